/* lock.h - the two locks of the map: the shards' and the snapshots'.
 *
 * Both are the same small futex lock; they differ in their *class*, the name under which clang
 * checks them (map.h says how): members guarded by a class can only be touched inside it.
 * Order: shards in ascending order, then the snapshots' lock, which is a leaf. A debug build also
 * knows the owner, and stops at once when a thread touches what it has not locked.
 */
#ifndef STROBE_MAP_LOCK_H
#define STROBE_MAP_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include "map/compiler.h"
#include "map/map.h"

#if defined(__clang__)
extern struct strobe_lock_class strobe_snapshots_lock __attribute__((acquired_after(strobe_shard_lock)));
#define SHARD_GUARDED     __attribute__((guarded_by(strobe_shard_lock)))
#define SHARD_TRIES       __attribute__((try_acquire_capability(true, strobe_shard_lock)))
#define SNAPSHOTS_GUARDED __attribute__((guarded_by(strobe_snapshots_lock)))
#define SNAPSHOTS_ENTERS  __attribute__((acquire_capability(strobe_snapshots_lock)))
#define SNAPSHOTS_LEAVES  __attribute__((release_capability(strobe_snapshots_lock)))
#define SNAPSHOTS_INSIDE  __attribute__((requires_capability(strobe_snapshots_lock)))
#define SNAPSHOTS_OUTSIDE __attribute__((locks_excluded(strobe_snapshots_lock)))
#define LOCK_UNCHECKED    __attribute__((no_thread_safety_analysis))
#else
#define SHARD_GUARDED
#define SHARD_TRIES
#define SNAPSHOTS_GUARDED
#define SNAPSHOTS_ENTERS
#define SNAPSHOTS_LEAVES
#define SNAPSHOTS_INSIDE
#define SNAPSHOTS_OUTSIDE
#define LOCK_UNCHECKED
#endif

struct lock {
    _Atomic uint32_t state;  /* 0 free, 1 taken */
    _Atomic uint32_t asleep; /* 1: somebody sleeps until it is free, or is about to, or did a moment ago */
    _Atomic uint32_t waits;  /* how often somebody had to wait for it; for statistics, wraps */
#ifdef STROBE_DEBUG
    _Atomic uint64_t owner; /* pthread_self of the holder, 0 = nobody */
#endif
#ifdef STROBE_LOCK_TIMES
    uint64_t since; /* when its holder got it */
#endif
};

#ifdef STROBE_LOCK_TIMES
/* For tests/bench/lock_bench, which is built with this: how long this thread has held locks, in ticks of the
 * processor's clock. */
struct lock_times {
    uint64_t holds, sum, longest;
};
extern _Thread_local struct lock_times lock_times;

static inline void lock_time_begin(struct lock *lock) {
    __builtin_ia32_lfence(); /* else the clock may be read before the lock is there */
    lock->since = __builtin_ia32_rdtsc();
}
static inline void lock_time_end(const struct lock *lock) {
    uint64_t took;

    __builtin_ia32_lfence(); /* else the clock is read while what was loaded under the lock is still on its way */
    took = __builtin_ia32_rdtsc() - lock->since;
    lock_times.holds++;
    lock_times.sum += took;
    if (took > lock_times.longest) lock_times.longest = took;
}
#else
static inline void lock_time_begin(struct lock *lock) {
    (void)lock;
}
static inline void lock_time_end(const struct lock *lock) {
    (void)lock;
}
#endif

uint64_t lock_wait(struct lock *lock); /* the slow half of lock_enter */
void lock_wake(struct lock *lock);     /* the slow half of lock_leave: wakes one */

#ifdef STROBE_DEBUG
void lock_note_owner(struct lock *lock);
void lock_note_free(struct lock *lock);
void lock_assert_held(const struct lock *lock); /* aborts with a message unless this thread holds it */
#else
static inline void lock_note_owner(struct lock *lock) {
    (void)lock;
}
static inline void lock_note_free(struct lock *lock) {
    (void)lock;
}
static inline void lock_assert_held(const struct lock *lock) {
    (void)lock;
}
#endif

/* True: taken. Waits for nobody and makes no call. The acquire pairs with the release in lock_leave: what the last
 * holder wrote is seen. */
static inline bool lock_try(struct lock *lock) {
    uint32_t expected = 0;

    if (!atomic_compare_exchange_strong_explicit(&lock->state, &expected, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    lock_note_owner(lock);
    lock_time_begin(lock);
    return true;
}

/* Returns for how many nanoseconds the thread had left its processor to others. */
static inline uint64_t lock_enter(struct lock *lock) {
    uint64_t slept;

    if (lock_try(lock)) return 0;
    slept = lock_wait(lock);
    lock_note_owner(lock);
    lock_time_begin(lock);
    return slept;
}

/* lock_leave but for waking. Results: true: somebody sleeps, and lock_wake has to be called. */
static inline bool lock_release(struct lock *lock) {
    lock_note_free(lock);
    lock_time_end(lock);
    atomic_store_explicit(&lock->state, 0, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst); /* the compiler keeps this order; for the processor see lock.c */
    return UNUSUAL(atomic_load_explicit(&lock->asleep, memory_order_relaxed));
}

static inline void lock_leave(struct lock *lock) {
    if (lock_release(lock)) lock_wake(lock);
}

#endif

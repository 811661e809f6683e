/* lock.c - what happens when a lock is not free, and who holds it in a debug build.
 *
 * A holder needs the lock for tens of nanoseconds, so a waiter first looks again a few times. Then
 * it sleeps in the kernel: with more threads than processors the holder may itself be waiting for a
 * processor, and whoever spins keeps it from getting one. (Not here: which lock comes first, lock.h.)
 */
#include "map/lock.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Looks before sleeping, some 5 us together: the longest usual hold, a segment copied for a scan, is waited out awake.
 * With 64 a writer beside a scan slept and was woken late: p99.9 9-19 us and at most 4 ms, with 250 8-10 us and 0.4 ms
 * (map_bench scan --keys 1000000, in turn). */
#define LOCK_SPINS 250

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

#ifdef STROBE_DEBUG
/* Whoever waits for a lock that it holds waits for ever. */
static void assert_not_held(const struct lock *lock) {
    if (atomic_load_explicit(&lock->owner, memory_order_relaxed) != (uint64_t)pthread_self()) return;
    (void)fprintf(stderr, "strobe map: this thread enters a lock that it holds already (lock %p)\n",
                  (const void *)lock);
    abort();
}
#else
static void assert_not_held(const struct lock *lock) {
    (void)lock;
}
#endif

static uint64_t clock_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t lock_wait(struct lock *lock) {
    assert_not_held(lock);
    atomic_fetch_add_explicit(&lock->waits, 1, memory_order_relaxed);
    for (int spin = 0; spin < LOCK_SPINS; spin++) {
        uint32_t expected = 0;

        if (atomic_load_explicit(&lock->state, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&lock->state, &expected, 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return 0;
        relax();
    }
    uint64_t began = clock_ns();
    /* Taking it as 2 may wake nobody needlessly once, but never forgets a sleeper. */
    while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0) {
        /* EAGAIN (the state changed) and EINTR both mean: look again. */
        (void)syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
    }
    return clock_ns() - began;
}

void lock_wake(struct lock *lock) {
    (void)syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#ifdef STROBE_DEBUG
void lock_note_owner(struct lock *lock) {
    atomic_store_explicit(&lock->owner, (uint64_t)pthread_self(), memory_order_relaxed);
}

void lock_note_free(struct lock *lock) {
    lock_assert_held(lock);
    atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
}

void lock_assert_held(const struct lock *lock) {
    /* Only this thread can have stored its own number, so relaxed order is enough. */
    uint64_t owner = atomic_load_explicit(&lock->owner, memory_order_relaxed);

    if (owner == (uint64_t)pthread_self()) return;
    (void)fprintf(stderr,
                  "strobe map: this thread touches what a lock guards without holding that lock"
                  " (lock %p, holder %llx, this thread %llx)\n",
                  (const void *)lock, (unsigned long long)owner, (unsigned long long)pthread_self());
    abort();
}
#endif

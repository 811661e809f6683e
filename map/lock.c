/* lock.c - what happens when a lock is not free, and who holds it in a debug build.
 *
 * A holder needs the lock for tens of nanoseconds, so a waiter first looks again now and then. Then it offers its
 * processor to others, and at last it sleeps in the kernel: with more threads than processors the holder may itself be
 * waiting for a processor, and whoever spins keeps it from getting one. (Not here: which lock comes first, lock.h.)
 *
 * Who leaves stores "free" and then looks whether somebody sleeps. Between the two there is no barrier, for it was a
 * tenth to a quarter of what a get or a set costs. So the store may become visible only after the look, when what the
 * holder had stored before has reached its cache; and a waiter that says "asleep" and finds the lock taken just then is
 * not woken. Mostly the next one who leaves wakes it; nothing relies on that, for it looks again by itself after
 * SLEEP_NS. (A barrier that the waiter has every processor pass, membarrier(2), would close the gap, but it interrupts
 * the holder that is waited for: two threads that held one lock for 2 us each got 0.6 of their rate, `map_bench lock`.)
 * Who wakes a sleeper takes `asleep` back first, and who is woken says it again before it tries, for those that sleep
 * still.
 */
#include "map/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Pauses of the processor before sleeping: 250 are 2.5 us where one takes 10 ns, and 10 where it takes 40. The longest
 * usual hold, a segment copied for a scan, is waited out awake. With 64 a writer beside a scan slept and was woken
 * late: p99.9 9-19 us and at most 4 ms, with 250 8-10 us and 0.4 ms (map_bench scan --keys 1000000, in turn). */
#define LOCK_PAUSES 250

/* Pauses between two looks: twice as many each time, and at most so many. A look takes the lock's line from its holder,
 * who needs it to go on. With a look at each pause two or eight threads that write one key took 3.2 times as long
 * (map_bench speed --choice one --writes 100, in turn). */
#define LOCK_PAUSES_AT_ONCE 32

/* Offers before sleeping. Eight threads on two processors meet a lock whose holder has lost its processor some hundred
 * times a second; when all slept, and had to be woken one by another, they took 1.07 to 1.10 times as long (map_bench
 * speed --keys 100000 --threads 8, in turn). */
#define LOCK_YIELDS 8

/* How long the first sleep is at most, and the last: twice as long each time, for a holder that has lost its
 * processor; always below a millisecond. */
#define SLEEP_NS     200000
#define SLEEP_NS_MAX 800000

static inline void relax(int pauses) {
    while (pauses-- > 0) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb"); /* some tens of cycles; "yield" is none on most of them */
#else
        atomic_signal_fence(memory_order_seq_cst);
#endif
    }
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

/* lock_try, for whoever waits: takes the line from its holder only when it is worth it. */
static bool try_again(struct lock *lock) {
    uint32_t expected = 0;

    return atomic_load_explicit(&lock->state, memory_order_relaxed) == 0 &&
           atomic_compare_exchange_weak_explicit(&lock->state, &expected, 1, memory_order_acquire,
                                                 memory_order_relaxed);
}

static void sleep_until_free(struct lock *lock) {
    struct timespec most = {.tv_nsec = SLEEP_NS};

    for (;;) {
        atomic_store(&lock->asleep, 1);
        /* `asleep` stays, for those that sleep still; when this thread leaves, perhaps nobody does. */
        if (atomic_exchange(&lock->state, 1) == 0) return;
        /* EAGAIN (somebody is being woken) and EINTR mean: look again, as does being woken. */
        if (syscall(SYS_futex, &lock->asleep, FUTEX_WAIT_PRIVATE, 1, &most, NULL, 0) != 0 && errno == ETIMEDOUT &&
            most.tv_nsec < SLEEP_NS_MAX)
            most.tv_nsec *= 2;
    }
}

uint64_t lock_wait(struct lock *lock) {
    assert_not_held(lock);
    atomic_fetch_add_explicit(&lock->waits, 1, memory_order_relaxed);
    for (int paused = 0, pauses = 1; paused < LOCK_PAUSES; paused += pauses) {
        if (pauses < LOCK_PAUSES_AT_ONCE) pauses *= 2;
        relax(pauses);
        if (try_again(lock)) return 0;
    }
    uint64_t began = clock_ns();
    for (int yield = 0; yield < LOCK_YIELDS; yield++) {
        (void)sched_yield();
        if (try_again(lock)) return clock_ns() - began;
    }
    sleep_until_free(lock);
    return clock_ns() - began;
}

void lock_wake(struct lock *lock) {
    /* Release: who finds nobody asleep, and tries again, finds the lock free. */
    atomic_store_explicit(&lock->asleep, 0, memory_order_release);
    (void)syscall(SYS_futex, &lock->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
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

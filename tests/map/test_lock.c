/* test_lock.c - a lock lets one thread in at a time, counts who had to wait, and wakes who sleeps; and an access to
 * some shards leaves the others to everybody else. No sleeps: each thread waits for what another has done. */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "map/lock.h"
#include "map/map_private.h"
#include "tests/map/map_world.h"

struct counted {
    struct lock lock;
    uint64_t count;
    unsigned rounds;
};

LOCK_UNCHECKED static void *count_up(void *context) {
    struct counted *counted = context;

    for (unsigned i = 0; i < counted->rounds; i++) {
        lock_enter(&counted->lock);
        counted->count++;
        if (i % 64 == 0) (void)sched_yield(); /* so that others find it taken */
        lock_leave(&counted->lock);
    }
    return NULL;
}

static void test_sixteen_threads_lose_no_count(void **state) {
    enum { THREADS = 16, ROUNDS = 20000 };
    struct counted counted = {.rounds = ROUNDS};
    pthread_t threads[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, count_up, &counted), 0);
    for (unsigned i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(counted.count, THREADS * ROUNDS);
    assert_int_equal(counted.lock.state, 0);
}

LOCK_UNCHECKED static void test_who_finds_it_taken_is_counted_and_gets_in_later(void **state) {
    struct counted counted = {.rounds = 1};
    pthread_t thread;

    (void)state;
    lock_enter(&counted.lock);
    assert_int_equal(counted.lock.waits, 0);
    assert_int_equal(pthread_create(&thread, NULL, count_up, &counted), 0);
    while (!atomic_load(&counted.lock.asleep)) /* until it sleeps, or is about to */
        (void)sched_yield();
    assert_int_equal(counted.lock.waits, 1);
    assert_int_equal(counted.count, 0);
    lock_leave(&counted.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(counted.count, 1);
    assert_int_equal(counted.lock.state, 0);
}

/* ---- Sleepers ------------------------------------------------------------------------------------ */

struct sleeper {
    struct lock *lock;
    _Atomic long tid;
};

LOCK_UNCHECKED static void *enter_once(void *context) {
    struct sleeper *sleeper = context;

    atomic_store(&sleeper->tid, syscall(SYS_gettid));
    lock_enter(sleeper->lock);
    lock_leave(sleeper->lock);
    return NULL;
}

/* Sleeps as a waiter does, but for ever. */
static void *sleep_for_good(void *context) {
    struct sleeper *sleeper = context;

    atomic_store(&sleeper->tid, syscall(SYS_gettid));
    while (atomic_load(&sleeper->lock->asleep))
        (void)syscall(SYS_futex, &sleeper->lock->asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
    return NULL;
}

/* Until the kernel says that the thread sleeps, after it has said so itself. */
static void await_sleep(struct sleeper *sleeper) {
    char path[64], state = 0;

    while (!atomic_load(&sleeper->tid) || !atomic_load(&sleeper->lock->asleep)) (void)sched_yield();
    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/stat", atomic_load(&sleeper->tid));
    while (state != 'S') {
        FILE *file = fopen(path, "r");

        assert_non_null(file);
        assert_int_equal(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
        (void)fclose(file);
    }
}

/* LEAVE leaves LOCK, which it may have entered itself, and has to wake one that would sleep for ever. */
static void assert_wakes(struct lock *lock, void (*leave)(void *context), void *context) {
    struct sleeper sleeper = {.lock = lock};
    pthread_t thread;

    atomic_store(&lock->asleep, 1);
    assert_int_equal(pthread_create(&thread, NULL, sleep_for_good, &sleeper), 0);
    await_sleep(&sleeper);
    leave(context);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

LOCK_UNCHECKED static void leave_lock(void *context) {
    lock_leave(context);
}

LOCK_UNCHECKED static void test_who_leaves_wakes_one_that_sleeps(void **state) {
    struct lock lock = {.state = 0};

    (void)state;
    lock_enter(&lock);
    assert_false(lock_release(&lock));
    lock_enter(&lock);
    assert_wakes(&lock, leave_lock, &lock);
    lock_enter(&lock);
    assert_false(lock_release(&lock)); /* once is enough */
}

static void get_one(void *context) {
    struct map_world *w = context;
    char value[8];
    size_t len = sizeof value;

    assert_int_equal(strobe_get(w->map, "k", 1, value, &len), STROBE_OK);
}

static void set_one(void *context) {
    struct map_world *w = context;

    assert_int_equal(strobe_set(w->map, "k", 1, "2", 1, 0), STROBE_OK);
}

/* The two that do not leave by strobe_leave. */
static void test_get_and_set_wake_one_that_sleeps(void **state) {
    struct map_world w;

    (void)state;
    map_world_open(&w, 1);
    assert_int_equal(strobe_set(w.map, "k", 1, "1", 1, 0), STROBE_OK);
    assert_wakes(&w.map->shards[0].lock, get_one, &w);
    assert_wakes(&w.map->shards[0].lock, set_one, &w);
    map_world_close(&w);
}

LOCK_UNCHECKED static void test_who_is_woken_in_vain_is_asleep_again(void **state) {
    struct lock lock = {.state = 0};
    struct sleeper sleeper = {.lock = &lock};
    pthread_t thread;

    (void)state;
    lock_enter(&lock);
    assert_int_equal(pthread_create(&thread, NULL, enter_once, &sleeper), 0);
    for (unsigned times = 0; times < 100; times++) {
        await_sleep(&sleeper);
        lock_wake(&lock); /* which takes `asleep` back */
    }
    lock_leave(&lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(lock.state, 0);
}

/* As when the look for sleepers came too early. */
LOCK_UNCHECKED static void test_a_sleeper_that_was_not_seen_looks_again_by_itself(void **state) {
    (void)state;
    for (unsigned times = 0; times < 100; times++) {
        struct lock lock = {.state = 0};
        struct sleeper sleeper = {.lock = &lock};
        pthread_t thread;

        lock_enter(&lock);
        assert_int_equal(pthread_create(&thread, NULL, enter_once, &sleeper), 0);
        await_sleep(&sleeper);
        lock_note_free(&lock);
        atomic_store(&lock.state, 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

struct handing {
    struct lock lock;
    _Atomic unsigned held, got; /* rounds */
};

enum { HANDED_OVER = 40000 };

LOCK_UNCHECKED static void *take_over(void *context) {
    struct handing *handing = context;

    for (unsigned round = 1; round <= HANDED_OVER; round++) {
        while (atomic_load(&handing->held) < round) (void)sched_yield();
        lock_enter(&handing->lock);
        atomic_store(&handing->got, round);
        lock_leave(&handing->lock);
    }
    return NULL;
}

static void busy(uint64_t ns) {
    struct timespec now;
    uint64_t until = 0;

    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (!until) until = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + ns;
    } while ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec < until);
}

/* The lock becomes free while its waiter falls asleep, and nobody else would ever wake it. */
LOCK_UNCHECKED static void test_nobody_is_forgotten_asleep(void **state) {
    struct handing handing = {.lock.state = 0};
    uint64_t x = 88172645463325252u;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, take_over, &handing), 0);
    for (unsigned round = 1; round <= HANDED_OVER; round++) {
        lock_enter(&handing.lock);
        atomic_store(&handing.held, round);
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        busy(x % (round % 4 ? 10000 : 40000)); /* about how long a waiter looks before it sleeps, and longer */
        lock_leave(&handing.lock);
        while (atomic_load(&handing.got) < round) (void)sched_yield();
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(handing.lock.state, 0);
}

/* ---- Shards -------------------------------------------------------------------------------------- */

#define SHARDS 8u
#define KEYS   64u

struct others {
    struct map_world *w;
    char text[KEYS][16];
    struct strobe_key keys[KEYS];
    uint32_t free_count; /* the first so many are not in the shards that are held */
};

static uint32_t shard_of(const struct strobe_key *key) {
    return (uint32_t)(key->hash >> 61);
}

static void *write_others(void *context) {
    const struct others *others = context;

    for (uint32_t i = 0; i < others->free_count; i++) {
        if (strobe_set(others->w->map, others->keys[i].data, others->keys[i].len, "x", 1, 0) != STROBE_OK)
            return context;
    }
    return NULL;
}

static void test_an_access_to_some_shards_leaves_the_others_writable(void **state) {
    struct map_world w;
    struct others others = {.w = &w};
    struct strobe_key held[KEYS];
    struct strobe_access access;
    struct strobe_stats stats;
    uint32_t held_count = 0;
    pthread_t thread;
    void *failed;

    (void)state;
    map_world_open(&w, SHARDS);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct strobe_key key;
        int len = snprintf(others.text[others.free_count], sizeof others.text[0], "k%u", i);

        key = strobe_key(w.map, others.text[others.free_count], (size_t)len);
        if (shard_of(&key) % 2)
            others.keys[others.free_count++] = key;
        else
            held[held_count++] = key; /* its text is used up, its hash is enough */
    }
    assert_true(others.free_count > 10 && held_count > 10);
    strobe_enter_many(w.map, held, held_count, &access);
    assert_int_equal(pthread_create(&thread, NULL, write_others, &others), 0);
    assert_int_equal(pthread_join(thread, &failed), 0); /* done, while we hold half of the map */
    strobe_leave(&access);
    assert_null(failed);
    assert_int_equal(strobe_count(w.map), others.free_count);
    map_world_stats(&w, &stats);
    assert_int_equal(stats.lock_waits, 0);
    map_world_close(&w);
}

static void *write_one(void *context) {
    const struct others *others = context;
    const struct strobe_key *key = &others->keys[0];

    return strobe_set(others->w->map, key->data, key->len, "x", 1, 0) == STROBE_OK ? NULL : context;
}

LOCK_UNCHECKED static uint64_t waits(struct map_world *w, const struct strobe_key *inside,
                                     struct strobe_access *access) {
    struct strobe_stats stats;

    strobe_leave(access);
    map_world_stats(w, &stats);
    strobe_enter(w->map, inside, access);
    return stats.lock_waits;
}

/* The map counts the waits of its shards: here somebody tries a shard that is held. */
LOCK_UNCHECKED static void test_the_shards_count_who_had_to_wait(void **state) {
    struct map_world w;
    struct others others = {.w = &w};
    struct strobe_access access;
    pthread_t thread;
    uint64_t before;

    (void)state;
    map_world_open(&w, 4);
    others.keys[0] = map_world_key(&w, "k");
    strobe_enter(w.map, &others.keys[0], &access);
    before = waits(&w, &others.keys[0], &access);
    assert_int_equal(before, 0);
    for (unsigned tries = 0; waits(&w, &others.keys[0], &access) == 0; tries++) {
        assert_int_equal(pthread_create(&thread, NULL, write_one, &others), 0);
        for (unsigned i = 0; i < 1000; i++) (void)sched_yield();
        strobe_leave(&access);
        assert_int_equal(pthread_join(thread, NULL), 0);
        strobe_enter(w.map, &others.keys[0], &access);
        assert_true(tries < 1000);
    }
    strobe_leave(&access);
    assert_int_equal(strobe_shard_count(w.map), 4);
    for (unsigned shard = 0; shard < 4; shard++)
        assert_int_equal(strobe_shard_lock_waits(w.map, shard) != 0, shard == others.keys[0].hash >> 62);
    map_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sixteen_threads_lose_no_count),
        cmocka_unit_test(test_who_finds_it_taken_is_counted_and_gets_in_later),
        cmocka_unit_test(test_who_leaves_wakes_one_that_sleeps),
        cmocka_unit_test(test_get_and_set_wake_one_that_sleeps),
        cmocka_unit_test(test_who_is_woken_in_vain_is_asleep_again),
        cmocka_unit_test(test_a_sleeper_that_was_not_seen_looks_again_by_itself),
        cmocka_unit_test(test_nobody_is_forgotten_asleep),
        cmocka_unit_test(test_an_access_to_some_shards_leaves_the_others_writable),
        cmocka_unit_test(test_the_shards_count_who_had_to_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_reaper.c - large blocks are freed elsewhere, all of them, once; small ones, and more than may wait, at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <uv.h>

#include "server/reaper.h"

#define LARGE REAPER_MIN
#define SMALL (REAPER_MIN - 1)

/* An allocator that says who releases, and can be made to wait or to fail. */
struct watched {
    struct strobe_allocator allocator;
    uv_mutex_t lock;
    uv_cond_t changed;
    uv_thread_t owner;
    size_t held;      /* blocks */
    size_t here;      /* released by the test's own thread */
    size_t elsewhere; /* released by others */
    size_t failures;  /* allocations that shall fail */
    bool is_shut;     /* releases elsewhere wait until it is not */
};

static void *watched_alloc(void *context, size_t size, size_t align) {
    struct watched *watched = context;
    void *memory = NULL;

    uv_mutex_lock(&watched->lock);
    if (watched->failures > 0) {
        watched->failures--;
    } else if (posix_memalign(&memory, align, size) == 0) {
        watched->held++;
    }
    uv_mutex_unlock(&watched->lock);
    return memory;
}

static void watched_release(void *context, void *memory, size_t size, size_t align) {
    struct watched *watched = context;
    uv_thread_t self = uv_thread_self();
    bool is_here = uv_thread_equal(&self, &watched->owner) != 0;

    (void)size;
    (void)align;
    uv_mutex_lock(&watched->lock);
    while (!is_here && watched->is_shut) uv_cond_wait(&watched->changed, &watched->lock);
    if (is_here) {
        watched->here++;
    } else {
        watched->elsewhere++;
    }
    watched->held--;
    uv_cond_broadcast(&watched->changed);
    uv_mutex_unlock(&watched->lock);
    free(memory);
}

static void watched_init(struct watched *watched) {
    *watched = (struct watched){.owner = uv_thread_self()};
    watched->allocator = (struct strobe_allocator){watched_alloc, watched_release, watched, NULL};
    assert_int_equal(uv_mutex_init(&watched->lock), 0);
    assert_int_equal(uv_cond_init(&watched->changed), 0);
}

static void watched_fini(struct watched *watched) {
    assert_int_equal(watched->held, 0);
    uv_cond_destroy(&watched->changed);
    uv_mutex_destroy(&watched->lock);
}

static void shut(struct watched *watched, bool is_shut) {
    uv_mutex_lock(&watched->lock);
    watched->is_shut = is_shut;
    uv_cond_broadcast(&watched->changed);
    uv_mutex_unlock(&watched->lock);
}

static void wait_for_elsewhere(struct watched *watched, size_t count) {
    uv_mutex_lock(&watched->lock);
    while (watched->elsewhere < count) uv_cond_wait(&watched->changed, &watched->lock);
    uv_mutex_unlock(&watched->lock);
}

static void *get(const struct reaper *reaper, size_t size) {
    const struct strobe_allocator *allocator = reaper_allocator(reaper);
    return allocator->alloc(allocator->context, size, 16);
}

static void release(const struct reaper *reaper, void *memory, size_t size) {
    const struct strobe_allocator *allocator = reaper_allocator(reaper);
    allocator->release(allocator->context, memory, size, 16);
}

static void test_large_blocks_are_freed_elsewhere_and_small_ones_here(void **state) {
    struct watched watched;
    struct reaper *reaper;
    void *large, *small;

    (void)state;
    watched_init(&watched);
    reaper = reaper_new(&watched.allocator, 10 * LARGE);
    assert_non_null(reaper);
    large = get(reaper, LARGE);
    small = get(reaper, SMALL);
    assert_non_null(large);
    assert_non_null(small);
    shut(&watched, true); /* whoever waited for the thread would wait for ever */
    release(reaper, large, LARGE);
    release(reaper, small, SMALL);
    assert_int_equal(watched.here, 1);
    shut(&watched, false);
    wait_for_elsewhere(&watched, 1);
    reaper_free(reaper);
    watched_fini(&watched);
}

static void test_more_than_may_wait_is_freed_by_who_releases_it(void **state) {
    enum { BLOCKS = 6 };
    struct watched watched;
    struct reaper *reaper;
    void *blocks[BLOCKS];

    (void)state;
    watched_init(&watched);
    reaper = reaper_new(&watched.allocator, 2 * LARGE);
    assert_non_null(reaper);
    for (size_t i = 0; i < BLOCKS; i++) blocks[i] = get(reaper, LARGE);
    shut(&watched, true);
    for (size_t i = 0; i < BLOCKS; i++) release(reaper, blocks[i], LARGE);
    assert_in_range(watched.here, BLOCKS - 3, BLOCKS - 2); /* two wait, and the thread may hold a third */
    shut(&watched, false);
    reaper_free(reaper);
    assert_int_equal(watched.here + watched.elsewhere, BLOCKS);
    watched_fini(&watched);
}

static void test_failed_allocation_frees_what_waits_and_tries_again(void **state) {
    struct watched watched;
    struct reaper *reaper;
    void *block;

    (void)state;
    watched_init(&watched);
    reaper = reaper_new(&watched.allocator, 10 * LARGE);
    assert_non_null(reaper);
    for (int i = 0; i < 4; i++) release(reaper, get(reaper, LARGE), LARGE);
    watched.failures = 1;
    block = get(reaper, LARGE);
    assert_non_null(block);
    assert_int_equal(watched.held, 1);
    watched.failures = 2;
    assert_null(get(reaper, 16));
    release(reaper, block, LARGE);
    reaper_settle(reaper);
    assert_int_equal(watched.held, 0);
    reaper_free(reaper);
    watched_fini(&watched);
}

static void churn(void *context) {
    const struct reaper *reaper = context;

    for (int i = 0; i < 200; i++) {
        void *block = get(reaper, LARGE);

        assert_non_null(block);
        release(reaper, block, LARGE);
    }
}

static void test_many_threads_release_and_nothing_is_lost(void **state) {
    enum { THREADS = 4 };
    struct watched watched;
    struct reaper *reaper;
    uv_thread_t threads[THREADS];

    (void)state;
    watched_init(&watched);
    reaper = reaper_new(&watched.allocator, 4 * LARGE);
    assert_non_null(reaper);
    for (size_t i = 0; i < THREADS; i++) assert_int_equal(uv_thread_create(&threads[i], churn, reaper), 0);
    for (size_t i = 0; i < THREADS; i++) assert_int_equal(uv_thread_join(&threads[i]), 0);
    reaper_free(reaper);
    watched_fini(&watched);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_blocks_are_freed_elsewhere_and_small_ones_here),
        cmocka_unit_test(test_more_than_may_wait_is_freed_by_who_releases_it),
        cmocka_unit_test(test_failed_allocation_frees_what_waits_and_tries_again),
        cmocka_unit_test(test_many_threads_release_and_nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

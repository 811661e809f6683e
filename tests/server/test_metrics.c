/* test_metrics.c - counters of several workers add up, and each slot stands alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/metrics.h"

static void test_new_metrics_are_zero(void **state) {
    struct metrics *metrics = metrics_new(3, 1234);
    struct metrics_sum sum;

    (void)state;
    assert_non_null(metrics);
    metrics_add_up(metrics, &sum);
    assert_int_equal(metrics_start_ms(metrics), 1234);
    assert_int_equal(metrics_total(sum.counters, METRICS_COUNTERS), 0);
    assert_int_equal(metrics_total(sum.commands, METRICS_COMMANDS_MAX), 0);
    metrics_free(metrics);
}

static void test_sum_adds_all_workers(void **state) {
    struct metrics *metrics = metrics_new(4, 0);
    struct metrics_sum sum;

    (void)state;
    assert_non_null(metrics);
    for (unsigned i = 0; i < 4; i++) {
        struct metrics_slot *slot = metrics_slot(metrics, i);

        metrics_count(slot, METRICS_HITS, 10 + i);
        metrics_command(slot, METRICS_COMMANDS_MAX - 1, i == 3);
        metrics_add(&slot->closes[METRICS_REASONS_MAX - 1], i);
        metrics_add(&slot->http_replies[5], 1);
        metrics_add(&slot->accepted[METRICS_DOOR_HTTP], 2);
    }
    metrics_add_up(metrics, &sum);
    assert_int_equal(sum.counters[METRICS_HITS], 46);
    assert_int_equal(sum.counters[METRICS_MISSES], 0);
    assert_int_equal(sum.commands[METRICS_COMMANDS_MAX - 1], 4);
    assert_int_equal(sum.commands_failed[METRICS_COMMANDS_MAX - 1], 1);
    assert_int_equal(sum.closes[METRICS_REASONS_MAX - 1], 6);
    assert_int_equal(sum.http_replies[5], 4);
    assert_int_equal(metrics_total(sum.accepted, METRICS_DOORS), 8);
    metrics_free(metrics);
}

static void test_slots_share_no_cache_line(void **state) {
    struct metrics *metrics = metrics_new(2, 0);

    (void)state;
    assert_non_null(metrics);
    assert_int_equal((uintptr_t)metrics_slot(metrics, 0) % 64, 0);
    assert_true((char *)metrics_slot(metrics, 1) - (char *)metrics_slot(metrics, 0) >=
                (ptrdiff_t)sizeof(struct metrics_slot));
    metrics_free(metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_metrics_are_zero),
        cmocka_unit_test(test_sum_adds_all_workers),
        cmocka_unit_test(test_slots_share_no_cache_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

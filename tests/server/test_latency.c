/* test_latency.c - histograms cut where Redis cuts, sums over workers and resets; histories of what was slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/latency.h"

static void test_buckets_are_those_of_redis(void **state) {
    static const uint64_t limits_us[LATENCY_BUCKETS] = {1,     2,     4,     8,      16,     33,     66,
                                                        132,   264,   528,   1056,   2113,   4227,   8454,
                                                        16908, 33816, 67633, 135266, 270532, 541065, 1082130};
    (void)state;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        uint64_t limit = ((uint64_t)1024 << i) + ((uint64_t)8 << i) - 1;
        assert_int_equal(latency_bucket_us(i), limits_us[i]);
        assert_int_equal(latency_bucket(limit), i);
        assert_int_equal(latency_bucket(limit + 1), i + 1 < LATENCY_BUCKETS ? i + 1 : i);
    }
    assert_int_equal(latency_bucket(0), 0);
    assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

static void test_sum_is_over_all_workers_since_the_reset(void **state) {
    struct latency *latency = latency_new(2);
    uint64_t counts[LATENCY_BUCKETS];
    (void)state;
    assert_non_null(latency);
    latency_add(latency_slot(latency, 0), 7, 3, 5, 9000);
    latency_add(latency_slot(latency, 1), 7, 3, 1, 8500);
    latency_add(latency_slot(latency, 1), 7, 20, 2, 2000000000);
    latency_add(latency_slot(latency, 1), 8, 0, 1, 500);
    assert_int_equal(latency_histogram(latency, 7, counts), 8);
    assert_int_equal(counts[3], 6);
    assert_int_equal(counts[20], 2);
    assert_int_equal(latency_time(latency, 7), 5 * 9000 + 8500 + 2 * UINT64_C(2000000000));
    assert_int_equal(latency_time(latency, 8), 500);
    latency_reset_histograms(latency);
    assert_int_equal(latency_histogram(latency, 7, counts), 0);
    assert_int_equal(latency_time(latency, 7), 0);
    latency_add(latency_slot(latency, 0), 7, 3, 1, 9001);
    assert_int_equal(latency_histogram(latency, 7, counts), 1);
    assert_int_equal(counts[3], 1);
    assert_int_equal(latency_time(latency, 7), 9001);
    assert_int_equal(latency_histogram(latency, 8, counts), 0);
    latency_free(latency);
}

static void test_history_keeps_the_longest_of_a_second(void **state) {
    struct latency *latency = latency_new(1);
    struct latency_history history;
    (void)state;
    assert_non_null(latency);
    latency_event_add(latency, LATENCY_EVENT_COMMAND, 0); /* too short to be one */
    latency_history(latency, LATENCY_EVENT_COMMAND, &history);
    assert_int_equal(history.count, 0);
    assert_false(latency_event_reset(latency, LATENCY_EVENT_COMMAND));
    for (uint64_t ms = 1; ms <= 500; ms++) latency_event_add(latency, LATENCY_EVENT_COMMAND, ms);
    latency_event_add(latency, LATENCY_EVENT_COMMAND, 3);
    latency_history(latency, LATENCY_EVENT_COMMAND, &history);
    assert_in_range(history.count, 1, LATENCY_SAMPLES_MAX);
    assert_int_equal(history.max_ms, 500);
    latency_history(latency, LATENCY_EVENT_FAST_COMMAND, &history);
    assert_int_equal(history.count, 0);
    assert_true(latency_event_reset(latency, LATENCY_EVENT_COMMAND));
    latency_history(latency, LATENCY_EVENT_COMMAND, &history);
    assert_int_equal(history.count, 0);
    assert_int_equal(history.max_ms, 0);
    latency_free(latency);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_are_those_of_redis),
        cmocka_unit_test(test_sum_is_over_all_workers_since_the_reset),
        cmocka_unit_test(test_history_keeps_the_longest_of_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

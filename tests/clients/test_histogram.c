/* test_histogram.c - percentiles against the slow truth: all values, sorted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clients/bench/histogram.h"
#include "clients/bench/keys.h"

enum { VALUES = 20000 };

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The smallest of the sorted VALUES that PERCENT per cent do not pass. */
static uint64_t truth(const uint64_t *values, size_t count, double percent) {
    size_t rank = (size_t)ceil((double)count * percent / 100);

    return values[rank == 0 ? 0 : rank - 1];
}

static void assert_close(const struct histogram *histogram, uint64_t *values, size_t count) {
    static const double percents[] = {0, 0.1, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100};

    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        uint64_t right = truth(values, count, percents[i]), got = histogram_percentile(histogram, percents[i]);
        assert_true(got >= right);
        assert_true(got - right <= right >> HISTOGRAM_SUB_BITS);
    }
    assert_int_equal(histogram->least, values[0]);
    assert_int_equal(histogram->most, values[count - 1]);
    assert_int_equal(histogram_percentile(histogram, 100), values[count - 1]);
}

/* Values of every size up to 2^BITS. */
static void fill(struct histogram *histogram, uint64_t *values, unsigned bits, uint64_t seed) {
    struct random random;

    random_init(&random, seed);
    histogram_init(histogram);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = random_next(&random) >> (64 - 1 - random_below(&random, bits));
        histogram_add(histogram, values[i]);
    }
}

static struct histogram *make(void) {
    struct histogram *histogram = malloc(sizeof *histogram);

    assert_non_null(histogram);
    return histogram;
}

static void test_percentiles_are_those_of_the_sorted_values(void **state) {
    struct histogram *histogram = make();
    uint64_t *values = malloc(VALUES * sizeof *values);

    (void)state;
    for (unsigned bits = 1; bits <= HISTOGRAM_TOP_BITS; bits++) {
        fill(histogram, values, bits, bits);
        assert_int_equal(histogram->total, VALUES);
        assert_close(histogram, values, VALUES);
    }
    free(values);
    free(histogram);
}

static void test_small_values_are_exact(void **state) {
    struct histogram *histogram = make();

    (void)state;
    histogram_init(histogram);
    for (uint64_t value = 1; value <= 500; value++) histogram_add(histogram, value);
    for (unsigned percent = 1; percent <= 100; percent++)
        assert_int_equal(histogram_percentile(histogram, percent), 5 * percent);
    assert_int_equal(histogram_mean(histogram), 250);
    free(histogram);
}

static void test_buckets_rise_without_a_gap(void **state) {
    uint32_t before = 0;

    (void)state;
    for (uint64_t value = 1; value < UINT64_C(1) << 20; value++) {
        uint32_t bucket = histogram_bucket(value);
        assert_in_range(bucket, before, before + 1);
        before = bucket;
    }
    assert_in_range(histogram_bucket((UINT64_C(1) << HISTOGRAM_TOP_BITS) - 1), before, HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_C(1) << HISTOGRAM_TOP_BITS), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_merged_is_as_if_counted_together(void **state) {
    struct histogram *one = make(), *other = make();
    uint64_t *values = malloc(2 * VALUES * sizeof *values);

    (void)state;
    fill(one, values, 30, 1);
    fill(other, values + VALUES, 12, 2);
    histogram_merge(one, other);
    assert_int_equal(one->total, 2 * VALUES);
    assert_close(one, values, 2 * VALUES);
    free(values);
    free(one);
    free(other);
}

static void test_of_nothing_all_is_zero(void **state) {
    struct histogram *histogram = make();

    (void)state;
    histogram_init(histogram);
    assert_int_equal(histogram_percentile(histogram, 50), 0);
    assert_int_equal(histogram_mean(histogram), 0);
    free(histogram);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles_are_those_of_the_sorted_values),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_buckets_rise_without_a_gap),
        cmocka_unit_test(test_merged_is_as_if_counted_together),
        cmocka_unit_test(test_of_nothing_all_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

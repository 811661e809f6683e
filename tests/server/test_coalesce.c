/* test_coalesce.c - who is kept waiting for others, and who never is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/coalesce.h"

enum { START = 1000000, SMALL = 40 };

/* COUNT connections are read from for the first time in this millisecond. */
static void read_from(struct coalesce *coalesce, unsigned count) {
    for (unsigned i = 0; i < count; i++) coalesce_read(coalesce, SMALL, true);
}

/* A loop that had ACTIVE connections a millisecond up to NOW, and has looked at the clock then. */
static struct coalesce loop_with(unsigned active, uint64_t now) {
    struct coalesce coalesce = {.since = now - 1};

    read_from(&coalesce, active);
    coalesce_wanted(&coalesce, now);
    return coalesce;
}

static void test_busy_loop_that_found_few_sleeps(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE, START);

    read_from(&coalesce, 1);
    assert_true(coalesce_wanted(&coalesce, START));
    read_from(&coalesce, COALESCE_FEW - 1);
    assert_true(coalesce_wanted(&coalesce, START));
}

static void test_loop_that_found_several_does_not(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE, START);

    read_from(&coalesce, COALESCE_FEW);
    assert_false(coalesce_wanted(&coalesce, START));
}

static void test_loop_that_found_nothing_does_not(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE, START);

    assert_false(coalesce_wanted(&coalesce, START));
    read_from(&coalesce, 1);
    assert_true(coalesce_wanted(&coalesce, START));
    assert_false(coalesce_wanted(&coalesce, START)); /* woken by something else */
}

static void test_few_connections_are_not_kept_waiting(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE - 1, START);

    read_from(&coalesce, 1);
    assert_false(coalesce_wanted(&coalesce, START));
}

static void test_lone_connection_is_one_however_often_it_asks(void **state) {
    (void)state;
    struct coalesce coalesce = {.since = START - 1};

    for (int i = 0; i < 1000; i++) coalesce_read(&coalesce, SMALL, i == 0);
    coalesce_wanted(&coalesce, START);
    coalesce_read(&coalesce, SMALL, true);
    assert_false(coalesce_wanted(&coalesce, START));
}

static void test_mean_is_of_all_the_time_that_passed(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE, START);

    read_from(&coalesce, 3 * COALESCE_ACTIVE - 1);
    coalesce_wanted(&coalesce, START + 3);
    read_from(&coalesce, 1);
    assert_false(coalesce_wanted(&coalesce, START + 3));
    read_from(&coalesce, 3 * COALESCE_ACTIVE - 1);
    coalesce_wanted(&coalesce, START + 6);
    read_from(&coalesce, 1);
    assert_true(coalesce_wanted(&coalesce, START + 6)); /* the one of before was of these three */
}

static void test_after_a_silence_the_first_is_answered_at_once(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(100 * COALESCE_ACTIVE, START);

    read_from(&coalesce, 1);
    assert_false(coalesce_wanted(&coalesce, START + 60000));
}

static void test_long_reads_do_not_count(void **state) {
    (void)state;
    struct coalesce coalesce = {.since = START - 1};

    for (int i = 0; i < COALESCE_ACTIVE; i++) coalesce_read(&coalesce, COALESCE_BYTES + 1, true);
    coalesce_wanted(&coalesce, START);
    read_from(&coalesce, 1);
    assert_false(coalesce_wanted(&coalesce, START));

    coalesce = loop_with(COALESCE_ACTIVE, START);
    coalesce_read(&coalesce, COALESCE_BYTES + 1, true);
    assert_false(coalesce_wanted(&coalesce, START));
    coalesce_read(&coalesce, COALESCE_BYTES + 1, true);
    coalesce_read(&coalesce, SMALL, true);
    assert_false(coalesce_wanted(&coalesce, START));
    coalesce_read(&coalesce, COALESCE_BYTES, true);
    assert_true(coalesce_wanted(&coalesce, START));
}

/* A sleep, after which COUNT reads are found: whether the loop wants another. */
static bool wants_after(struct coalesce *coalesce, uint64_t now, unsigned count) {
    coalesce_slept(coalesce, now, COALESCE_NS);
    read_from(coalesce, count);
    return coalesce_wanted(coalesce, now);
}

/* However much there is to do, no sleep is wanted for COALESCE_REST_MS from NOW on, and then one is. */
static void assert_rests(struct coalesce *coalesce, uint64_t now) {
    for (uint64_t ms = 1; ms <= COALESCE_REST_MS; ms++) {
        read_from(coalesce, COALESCE_ACTIVE);
        coalesce_wanted(coalesce, now + ms);
        read_from(coalesce, 1);
        assert_int_equal(coalesce_wanted(coalesce, now + ms), ms == COALESCE_REST_MS);
    }
}

static void test_sleeps_that_find_little_end(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE, START);

    for (int i = 1; i < COALESCE_USELESS; i++) assert_true(wants_after(&coalesce, START, 1));
    assert_false(wants_after(&coalesce, START, 1));
    assert_rests(&coalesce, START);
    assert_false(wants_after(&coalesce, START + COALESCE_REST_MS, 1)); /* one is tried, and not several */
}

/* A pool of connections that so many threads use in turn: all of them wait when the sleep ends. */
static void test_pool_of_a_few_threads_is_soon_left_alone(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE, START);

    for (int i = 0; i < COALESCE_USELESS; i++) wants_after(&coalesce, START, COALESCE_ENOUGH - 1);
    read_from(&coalesce, 1);
    assert_false(coalesce_wanted(&coalesce, START));
}

static void test_sleeps_that_find_much_go_on(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE, START);

    for (int i = 0; i < 10; i++) {
        for (int useless = 1; useless < COALESCE_USELESS; useless++) assert_true(wants_after(&coalesce, START, 1));
        assert_false(wants_after(&coalesce, START, COALESCE_ENOUGH)); /* there is enough to do now */
        read_from(&coalesce, 1);
        assert_true(coalesce_wanted(&coalesce, START));
    }
}

static void test_no_sleeps_where_others_want_the_processor(void **state) {
    (void)state;
    struct coalesce coalesce = loop_with(COALESCE_ACTIVE, START);

    coalesce_slept(&coalesce, START, COALESCE_LATE_NS);
    read_from(&coalesce, 1);
    assert_true(coalesce_wanted(&coalesce, START));
    coalesce_slept(&coalesce, START, COALESCE_LATE_NS + 1);
    assert_rests(&coalesce, START);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_busy_loop_that_found_few_sleeps),
        cmocka_unit_test(test_loop_that_found_several_does_not),
        cmocka_unit_test(test_loop_that_found_nothing_does_not),
        cmocka_unit_test(test_few_connections_are_not_kept_waiting),
        cmocka_unit_test(test_lone_connection_is_one_however_often_it_asks),
        cmocka_unit_test(test_mean_is_of_all_the_time_that_passed),
        cmocka_unit_test(test_after_a_silence_the_first_is_answered_at_once),
        cmocka_unit_test(test_long_reads_do_not_count),
        cmocka_unit_test(test_sleeps_that_find_little_end),
        cmocka_unit_test(test_pool_of_a_few_threads_is_soon_left_alone),
        cmocka_unit_test(test_sleeps_that_find_much_go_on),
        cmocka_unit_test(test_no_sleeps_where_others_want_the_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

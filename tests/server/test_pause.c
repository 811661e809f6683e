/* test_pause.c - CLIENT PAUSE's state, and the roll of the loops: both are told the time or the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/attention.h"
#include "server/pause.h"
#include "server/rollcall.h"

static void test_pause_of_writes_holds_writes_alone_until_its_end(void **state) {
    struct attention attention = {0};
    struct pause *pause = pause_new(&attention);
    uint64_t until = 0;
    (void)state;
    assert_non_null(pause);
    assert_int_equal(attention_now(&attention), 0);
    pause_begin(pause, PAUSE_WRITES, 1000000);
    assert_int_equal(attention_now(&attention), ATTENTION_PAUSE);
    assert_true(pause_holds(pause, true, 0, &until));
    assert_false(pause_holds(pause, false, 0, &until));
    assert_true(pause_holds(pause, true, until - 1, &until));
    assert_false(pause_holds(pause, true, until, &until));
    assert_int_equal(attention_now(&attention), 0);
    pause_free(pause);
}

static void test_longer_and_stricter_pause_wins_whatever_comes_later(void **state) {
    struct attention attention = {0};
    struct pause *pause = pause_new(&attention);
    uint64_t first = 0, until = 0;
    (void)state;
    pause_begin(pause, PAUSE_ALL, 1000000);
    assert_true(pause_holds(pause, false, 0, &first));
    pause_begin(pause, PAUSE_WRITES, 1);
    assert_true(pause_holds(pause, false, 0, &until));
    assert_int_equal(until, first);
    pause_begin(pause, PAUSE_WRITES, UINT64_MAX);
    assert_true(pause_holds(pause, false, UINT64_MAX - 1, &until));
    pause_end(pause);
    assert_false(pause_holds(pause, true, 0, &until));
    assert_int_equal(attention_now(&attention), 0);
    pause_free(pause);
}

static void test_closed_pause_never_begins_again(void **state) {
    struct attention attention = {0};
    struct pause *pause = pause_new(&attention);
    uint64_t until;
    (void)state;
    pause_begin(pause, PAUSE_ALL, 1000000);
    pause_close(pause);
    pause_begin(pause, PAUSE_ALL, 1000000);
    assert_false(pause_holds(pause, true, 0, &until));
    assert_int_equal(attention_now(&attention), 0);
    pause_count(pause, 1);
    pause_count(pause, 1);
    pause_count(pause, -1);
    assert_int_equal(pause_waiting(pause), 1);
    pause_free(pause);
}

static void test_roll_is_done_when_the_last_loop_has_answered(void **state) {
    struct rollcall *rollcall = rollcall_new(3);
    (void)state;
    assert_non_null(rollcall);
    uint64_t first = rollcall_begin(rollcall);
    assert_false(rollcall_answer(rollcall, 0, rollcall_latest(rollcall)));
    assert_false(rollcall_answer(rollcall, 2, rollcall_latest(rollcall)));
    uint64_t second = rollcall_begin(rollcall);
    assert_false(rollcall_is_done(rollcall, first));
    assert_true(rollcall_answer(rollcall, 1, rollcall_latest(rollcall)));
    assert_true(rollcall_is_done(rollcall, first));
    assert_false(rollcall_is_done(rollcall, second));
    assert_false(rollcall_answer(rollcall, 0, rollcall_latest(rollcall)));
    assert_true(rollcall_answer(rollcall, 2, rollcall_latest(rollcall)));
    assert_false(rollcall_answer(rollcall, 2, rollcall_latest(rollcall)));
    assert_true(rollcall_is_done(rollcall, second));
    rollcall_free(rollcall);
}

static void test_roll_that_begins_while_a_loop_acts_is_not_answered_by_that(void **state) {
    struct rollcall *rollcall = rollcall_new(1);
    (void)state;
    uint64_t first = rollcall_begin(rollcall), latest = rollcall_latest(rollcall);
    uint64_t second = rollcall_begin(rollcall); /* the loop has begun to do what the first one asks */
    assert_true(rollcall_answer(rollcall, 0, latest));
    assert_true(rollcall_is_done(rollcall, first));
    assert_false(rollcall_is_done(rollcall, second));
    rollcall_free(rollcall);
}

static void test_closed_roll_makes_nobody_wait(void **state) {
    struct rollcall *rollcall = rollcall_new(2);
    (void)state;
    uint64_t number = rollcall_begin(rollcall);
    rollcall_close(rollcall);
    assert_true(rollcall_is_done(rollcall, number));
    assert_false(rollcall_is_answered(rollcall, number));
    assert_true(rollcall_is_done(rollcall, rollcall_begin(rollcall)));
    rollcall_free(rollcall);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause_of_writes_holds_writes_alone_until_its_end),
        cmocka_unit_test(test_longer_and_stricter_pause_wins_whatever_comes_later),
        cmocka_unit_test(test_closed_pause_never_begins_again),
        cmocka_unit_test(test_roll_is_done_when_the_last_loop_has_answered),
        cmocka_unit_test(test_roll_that_begins_while_a_loop_acts_is_not_answered_by_that),
        cmocka_unit_test(test_closed_roll_makes_nobody_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

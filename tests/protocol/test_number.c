/* test_number.c - which texts are numbers, and that numbers survive their text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/number.h"

static struct strobe_slice text(const char *string) {
    return strobe_slice_make(string, strlen(string));
}

static void test_integers_are_read_strictly(void **state) {
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "01",
                                      "-0",
                                      "-01",
                                      "00",
                                      "1.0",
                                      "1e3",
                                      "0x1",
                                      "--1",
                                      "a",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "18446744073709551616",
                                      "99999999999999999999999",
                                      "-99999999999999999999999",
                                      "1\n"};
    int64_t value = 42;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(strobe_number_parse_int64(text(bad[i]), &value));
        assert_int_equal(value, 42);
    }
    assert_false(strobe_number_parse_int64(strobe_slice_make("1\0", 2), &value));
    assert_true(strobe_number_parse_int64(text("0"), &value));
    assert_int_equal(value, 0);
    assert_true(strobe_number_parse_int64(text("-1"), &value));
    assert_int_equal(value, -1);
    assert_true(strobe_number_parse_int64(text("9223372036854775807"), &value));
    assert_true(value == INT64_MAX);
    assert_true(strobe_number_parse_int64(text("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
}

static void test_unsigned_integers_reach_their_end(void **state) {
    uint64_t value = 42;

    (void)state;
    assert_false(strobe_number_parse_uint64(text("18446744073709551616"), &value));
    assert_false(strobe_number_parse_uint64(text("-1"), &value));
    assert_false(strobe_number_parse_uint64(text(""), &value));
    assert_int_equal(value, 42);
    assert_true(strobe_number_parse_uint64(text("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
}

static void check_integer(int64_t value) {
    char ours[STROBE_NUMBER_INT64_TEXT];
    char theirs[32];
    int64_t back;
    size_t len = strobe_number_format_int64(ours, value);

    assert_int_equal(len, sprintf(theirs, "%" PRId64, value));
    assert_memory_equal(ours, theirs, len);
    assert_true(strobe_number_parse_int64(strobe_slice_make(ours, len), &back));
    assert_true(back == value);
    len = strobe_number_format_uint64(ours, (uint64_t)value);
    assert_int_equal(len, sprintf(theirs, "%" PRIu64, (uint64_t)value));
    assert_memory_equal(ours, theirs, len);
}

static void test_integers_survive_their_text(void **state) {
    uint64_t random = 1;
    uint64_t power = 1;

    (void)state;
    for (int i = 0; i < 20; i++, power *= 10) {
        for (int64_t near = -2; near <= 2; near++) {
            check_integer((int64_t)power + near);
            check_integer(near - (int64_t)power);
        }
    }
    check_integer(INT64_MAX);
    check_integer(INT64_MIN);
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        check_integer((int64_t)(random >> (random >> 58)));
    }
}

static void test_reals_are_read_to_their_end(void **state) {
    static const char *const bad[] = {"",      " 1",     "1 ",      "1x", "nan", "-nan",
                                      "1e400", "-1e400", "1e-5000", "e",  ".",   "1,5"};
    double value = 42;
    long double wide = 42;
    char longest[STROBE_NUMBER_LONG_DOUBLE_TEXT + 1];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(strobe_number_parse_double(text(bad[i]), &value));
        assert_true(value == 42);
    }
    assert_false(strobe_number_parse_long_double(text("nan"), &wide));
    assert_false(strobe_number_parse_long_double(text("1e5000"), &wide));
    assert_false(strobe_number_parse_long_double(strobe_slice_make("1\0", 2), &wide));
    assert_true(strobe_number_parse_double(text("-1.5e3"), &value) && value == -1500);
    assert_true(strobe_number_parse_double(text("inf"), &value) && isinf(value));
    assert_true(strobe_number_parse_double(text("0x10"), &value) && value == 16);
    assert_true(strobe_number_parse_double(text("1e-310"), &value) && value > 0);
    assert_true(strobe_number_parse_long_double(text("1e400"), &wide) && wide > 1e300L);
    memset(longest, '0', sizeof longest);
    assert_true(strobe_number_parse_double(strobe_slice_make(longest, STROBE_NUMBER_LONG_DOUBLE_TEXT - 1), &value));
    assert_false(strobe_number_parse_double(strobe_slice_make(longest, STROBE_NUMBER_LONG_DOUBLE_TEXT), &value));
}

static void test_reals_survive_their_text(void **state) {
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "0"},
                {1, "1"},
                {-3, "-3"},
                {0.1, "0.1"},
                {3.14, "3.14"},
                {1e21, "1e+21"},
                {1.0 / 3, "0.3333333333333333"},
                {INFINITY, "inf"},
                {-INFINITY, "-inf"},
                {NAN, "nan"}};
    uint64_t random = 1;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char ours[STROBE_NUMBER_DOUBLE_TEXT];

        assert_int_equal(strobe_number_format_double(ours, rows[i].value), strlen(rows[i].text));
        assert_string_equal(ours, rows[i].text);
    }
    for (int i = 0; i < 20000; i++) {
        char ours[STROBE_NUMBER_DOUBLE_TEXT];
        double value, back;

        random = random * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &random, sizeof value);
        if (isfinite(value) && fabs(value) > 1e-300) {
            size_t len = strobe_number_format_double(ours, value);

            assert_true(strobe_number_parse_double(strobe_slice_make(ours, len), &back));
            assert_true(back == value);
        }
    }
}

static void test_long_doubles_are_written_as_incrbyfloat_does(void **state) {
    static const struct {
        long double value;
        const char *text;
    } rows[] = {{0, "0"},
                {-0.0L, "0"},
                {10.5L, "10.5"},
                {5000, "5000"},
                {3.0e3L, "3000"},
                {0.1L, "0.1"},
                {-1e-17L, "-0.00000000000000001"},
                {-1e-30L, "0"},
                {1e17L, "100000000000000000"},
                {INFINITY, "inf"},
                {-INFINITY, "-inf"}};
    static char ours[STROBE_NUMBER_LONG_DOUBLE_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(strobe_number_format_long_double(ours, rows[i].value), strlen(rows[i].text));
        assert_string_equal(ours, rows[i].text);
    }
    assert_true(strobe_number_format_long_double(ours, 1e4932L) > 4900);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_read_strictly),
        cmocka_unit_test(test_unsigned_integers_reach_their_end),
        cmocka_unit_test(test_integers_survive_their_text),
        cmocka_unit_test(test_reals_are_read_to_their_end),
        cmocka_unit_test(test_reals_survive_their_text),
        cmocka_unit_test(test_long_doubles_are_written_as_incrbyfloat_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

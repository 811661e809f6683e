/* test_values.c - a value is right, and every change to it is seen, in whatever pieces it comes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/bench/values.h"

static const uint64_t sizes[] = {0, 1, 2, 7, 15, 16, 17, 32, 100, 4096, 4097, 70000, VALUES_BLOCK + 77};

enum { SIZES = sizeof sizes / sizeof *sizes };

/* The bytes of the value of SIZE for key NUMBER; to be freed. */
static char *bytes_of(const struct values *values, uint64_t number, uint64_t sequence, uint64_t size) {
    struct value value;
    char *bytes = malloc((size_t)size + 1);

    assert_non_null(bytes);
    values_make(values, number, sequence, size, &value);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = i < VALUES_HEAD ? value.head[i] : values->block[(value.body_at + i - VALUES_HEAD) % VALUES_BLOCK];
    }
    return bytes;
}

/* Is it found wrong, told in pieces of PIECE bytes? */
static bool is_wrong(const struct values *values, uint64_t number, const char *bytes, uint64_t size, size_t piece) {
    struct value_check check;

    value_check_begin(&check, values, number, size);
    for (size_t at = 0; at < size; at += piece)
        value_check_feed(&check, bytes + at, size - at < piece ? (size_t)size - at : piece);
    return check.wrong;
}

static void setup(struct values *values) {
    assert_true(values_init(values, STROBE_SLICE("key:")));
}

static void test_a_value_is_right_in_all_pieces(void **state) {
    struct values values;

    (void)state;
    setup(&values);
    for (int i = 0; i < SIZES; i++) {
        char *bytes = bytes_of(&values, 77, 12345 + (uint64_t)i, sizes[i]);
        assert_false(is_wrong(&values, 77, bytes, sizes[i], SIZE_MAX / 2));
        assert_false(is_wrong(&values, 77, bytes, sizes[i], 13));
        if (sizes[i] <= 4097)
            for (size_t piece = 1; piece < 40; piece++) assert_false(is_wrong(&values, 77, bytes, sizes[i], piece));
        free(bytes);
    }
    values_fini(&values);
}

static void test_a_changed_byte_is_seen_anywhere(void **state) {
    struct values values;

    (void)state;
    setup(&values);
    for (int i = 0; i < SIZES; i++) {
        char *bytes = bytes_of(&values, 5, 99, sizes[i]);
        size_t step = sizes[i] > 100 ? (size_t)sizes[i] / 50 : 1;
        for (size_t at = 0; at < sizes[i]; at += step) {
            bytes[at] ^= 1;
            assert_true(is_wrong(&values, 5, bytes, sizes[i], 1000));
            bytes[at] ^= 1;
        }
        free(bytes);
    }
    values_fini(&values);
}

static void test_a_value_of_another_key_is_seen(void **state) {
    struct values values, others;

    (void)state;
    setup(&values);
    assert_true(values_init(&others, STROBE_SLICE("kez:")));
    for (int i = 3; i < SIZES; i++) {
        char *bytes = bytes_of(&values, 5, 99, sizes[i]);
        assert_true(is_wrong(&values, 6, bytes, sizes[i], 1000));
        assert_true(is_wrong(&others, 5, bytes, sizes[i], 1000));
        free(bytes);
    }
    values_fini(&values);
    values_fini(&others);
}

static void test_a_cut_or_torn_value_is_seen(void **state) {
    struct values values;

    (void)state;
    setup(&values);
    for (int i = 7; i < SIZES; i++) {
        uint64_t size = sizes[i];
        char *one = bytes_of(&values, 5, 1, size), *other = bytes_of(&values, 5, 2, size);
        assert_true(is_wrong(&values, 5, one, size - 1, 1000));
        memcpy(one + size / 2, other + size / 2, (size_t)(size - size / 2));
        assert_true(is_wrong(&values, 5, one, size, 1000));
        free(one);
        free(other);
    }
    values_fini(&values);
}

static void test_values_need_no_escapes(void **state) {
    struct values values;

    (void)state;
    setup(&values);
    char *bytes = bytes_of(&values, 1, 2, 5000);
    bytes[5000] = '\0';
    assert_int_equal(strspn(bytes, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_abcdefghijklmnopqrstuvwxyz"), 5000);
    free(bytes);
    values_fini(&values);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_is_right_in_all_pieces), cmocka_unit_test(test_a_changed_byte_is_seen_anywhere),
        cmocka_unit_test(test_a_value_of_another_key_is_seen), cmocka_unit_test(test_a_cut_or_torn_value_is_seen),
        cmocka_unit_test(test_values_need_no_escapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

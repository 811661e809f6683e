/* test_upload.c - a large value fills its blob as it comes: whole, in no more room than what came allows, and without a
 * long copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/limits.h"
#include "server/upload.h"

enum { TAIL = 3 }; /* what may be read behind a value */

/* An allocator that counts, and fails when it is told to. */
struct counting {
    struct strobe_allocator allocator;
    size_t held, asked; /* bytes; of the latest call */
    bool fails;
};

static void *counted_alloc(void *context, size_t size, size_t align) {
    struct counting *counting = context;
    void *memory = NULL;

    counting->asked = size;
    if (counting->fails || posix_memalign(&memory, align, size) != 0) return NULL;
    counting->held += size;
    return memory;
}

static void counted_release(void *context, void *memory, size_t size, size_t align) {
    struct counting *counting = context;

    (void)align;
    counting->held -= size;
    free(memory);
}

static struct strobe_map *counted_map(struct counting *counting) {
    const struct strobe_map_options options = {.allocator = &counting->allocator, .shards = 1};
    struct strobe_map *map;

    *counting = (struct counting){.allocator = {counted_alloc, counted_release, counting, NULL}};
    assert_int_equal(strobe_map_new(&options, &map), STROBE_OK);
    return map;
}

static char byte_at(size_t i) {
    return (char)(i * 2654435761u >> 13);
}

/* Uploads TOTAL bytes in pieces of STEP, looking at the room after each. */
static void upload_all(struct counting *counting, struct strobe_map *map, size_t total, size_t step) {
    struct upload upload = {.map = NULL};
    char *piece = malloc(step);
    size_t empty = counting->held, len;
    const char *bytes;

    assert_non_null(piece);
    upload_begin(&upload, map, total, 0);
    assert_int_equal(counting->held, empty);
    for (size_t at = 0; at < total; at += len) {
        size_t known = at > STROBE_READ_SIZE ? at : STROBE_READ_SIZE;

        len = total - at < step ? total - at : step;
        for (size_t i = 0; i < len; i++) piece[i] = byte_at(at + i);
        assert_true(upload_take(&upload, strobe_slice_make(piece, len)));
        known = at + len > known ? at + len : known;
        assert_in_range(upload_memory(&upload), at + len, 3 * known + 1);
        assert_in_range(counting->held - empty, at + len, 3 * known + 256);
    }
    assert_true(upload_settle(&upload, 0));
    bytes = strobe_blob_bytes(upload_value(&upload), &len);
    assert_int_equal(len, total);
    for (size_t i = 0; i < total; i++) {
        if (bytes[i] != byte_at(i)) fail_msg("byte %zu of %zu, in pieces of %zu", i, total, step);
    }
    upload_end(&upload);
    assert_int_equal(counting->held, empty);
    assert_null(upload_value(&upload));
    free(piece);
}

static void test_value_is_whole_for_every_length_and_cut(void **state) {
    static const size_t steps[] = {1, 7, 1000, STROBE_READ_SIZE - 1, STROBE_READ_SIZE, 300000};
    static const size_t totals[] = {1, 16384, 65535, 65536, 65537, 131072, 131073, 262143, 262144, 262145, 1000003};
    struct counting counting;
    struct strobe_map *map = counted_map(&counting);

    (void)state;
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        for (size_t j = 0; j < sizeof steps / sizeof *steps; j++) upload_all(&counting, map, totals[i], steps[j]);
    }
    strobe_map_free(map);
}

/* The same when the length is not announced: moving what is left takes SLICE bytes at a time. */
static void upload_unknown(struct counting *counting, struct strobe_map *map, size_t total, size_t step, size_t slice) {
    struct upload upload = {.map = NULL};
    char *piece = malloc(step);
    size_t empty = counting->held, most = 0, len;
    const char *bytes;

    assert_non_null(piece);
    upload_begin(&upload, map, UPLOAD_UNKNOWN, 0);
    for (size_t at = 0; at < total; at += len) {
        size_t known = at > STROBE_READ_SIZE ? at : STROBE_READ_SIZE;

        len = total - at < step ? total - at : step;
        for (size_t i = 0; i < len; i++) piece[i] = byte_at(at + i);
        assert_true(upload_take(&upload, strobe_slice_make(piece, len)));
        known = at + len > known ? at + len : known;
        assert_in_range(upload_memory(&upload), at + len, 3 * known);
        assert_in_range(counting->held - empty, at + len, 3 * known + 256);
    }
    if (upload.old != NULL) most = (upload.behind - upload.moved) / slice + 1;
    for (size_t i = 0; !upload_settle(&upload, slice); i++) assert_true(i < most);
    bytes = strobe_blob_bytes(upload_value(&upload), &len);
    assert_int_equal(len, total);
    for (size_t i = 0; i < total; i++) {
        if (bytes[i] != byte_at(i)) fail_msg("byte %zu of %zu, in pieces of %zu", i, total, step);
    }
    upload_end(&upload);
    assert_int_equal(counting->held, empty);
    free(piece);
}

static void test_value_of_unknown_length_is_whole_in_slices(void **state) {
    static const size_t steps[] = {1000, STROBE_READ_SIZE, 300000};
    static const size_t totals[] = {1, 65535, 65536, 131072, 131073, 262144, 262145, 300000, 600001, 1048576, 1048577};
    struct counting counting;
    struct strobe_map *map = counted_map(&counting);

    (void)state;
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        for (size_t j = 0; j < sizeof steps / sizeof *steps; j++) {
            upload_unknown(&counting, map, totals[i], steps[j], 4096);
            upload_unknown(&counting, map, totals[i], steps[j], SIZE_MAX);
        }
    }
    strobe_map_free(map);
}

static void test_upload_without_bytes_is_no_value(void **state) {
    struct counting counting;
    struct strobe_map *map = counted_map(&counting);
    struct upload upload = {.map = NULL};

    (void)state;
    upload_begin(&upload, map, UPLOAD_UNKNOWN, 0);
    assert_true(upload_settle(&upload, 0));
    assert_null(upload_value(&upload));
    upload_end(&upload);
    strobe_map_free(map);
}

/* Uploads TOTAL bytes as a connection does: the first FIRST as a piece, and the others into their place wherever there
 * is one, of which the socket brings STEP at a time and holds WAITING (at most what is left). */
static void upload_in_place(struct counting *counting, struct strobe_map *map, size_t total, size_t first, size_t step,
                            size_t waiting) {
    struct upload upload = {.map = NULL};
    char *piece = malloc(first > step ? first : step);
    size_t empty = counting->held, len;

    assert_non_null(piece);
    upload_begin(&upload, map, total, TAIL);
    for (size_t at = 0; at < total; at += len) {
        size_t left = total - at, behind, room = 0, tail = 0;
        char *place = NULL;

        len = at == 0 ? first : step;
        len = len < left ? len : left;
        behind = waiting < left - len ? waiting : left - len;
        size_t come = at + len + behind;
        if (at > 0) {
            if (!upload_has_room(&upload)) upload_expect(&upload, len + behind);
            place = upload_room(&upload, &room, &tail);
            assert_true(place == NULL || room > 0);
        } else {
            upload_expect(&upload, behind);
        }
        if (place != NULL) {
            assert_true(room <= total - at);
            assert_true(tail == 0 || (tail == TAIL && room == total - at));
            memset(place, 'x', room + tail); /* it is ours, all of it */
            len = len < room ? len : room;
        }
        for (size_t i = 0; i < len; i++) (place != NULL ? place : piece)[i] = byte_at(at + i);
        assert_true(upload_take(&upload, strobe_slice_make(place != NULL ? place : piece, len)));
        size_t known = come > STROBE_READ_SIZE ? come : STROBE_READ_SIZE;
        assert_in_range(upload_memory(&upload), at + len, 3 * known + 1 + TAIL);
    }
    assert_null(upload_room(&upload, &len, &len));
    assert_true(upload_settle(&upload, 0));
    const char *bytes = strobe_blob_bytes(upload_value(&upload), &len);
    assert_int_equal(len, total);
    for (size_t i = 0; i < total; i++) {
        if (bytes[i] != byte_at(i)) fail_msg("byte %zu of %zu: %zu, %zu, %zu", i, total, first, step, waiting);
    }
    upload_end(&upload);
    assert_int_equal(counting->held, empty);
    free(piece);
}

static void test_bytes_that_are_read_into_their_place_make_the_same_value(void **state) {
    static const size_t totals[] = {2,      65535,   65536,   65537,   131071,  131072,  131073,
                                    262145, 1048576, 3000017, 4194303, 4194304, 4194305, 5242887};
    static const size_t firsts[] = {1, 1000, STROBE_READ_SIZE, 81920};
    static const size_t steps[] = {997, STROBE_READ_SIZE, 300000};
    static const size_t waiting[] = {0, 1, 50000, STROBE_READ_SIZE, 1000000, SIZE_MAX};
    struct counting counting;
    struct strobe_map *map = counted_map(&counting);

    (void)state;
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        for (size_t j = 0; j < sizeof firsts / sizeof *firsts; j++) {
            for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
                for (size_t l = 0; l < sizeof waiting / sizeof *waiting; l++) {
                    upload_in_place(&counting, map, totals[i], firsts[j], steps[k], waiting[l]);
                }
            }
        }
    }
    strobe_map_free(map);
}

/* One upload, and bytes for it: as many as one read brings. */
struct one {
    struct counting counting;
    struct strobe_map *map;
    struct upload upload;
    char piece[STROBE_READ_SIZE];
    size_t empty; /* what was held before it */
};

static void one_begin(struct one *one, size_t total) {
    memset(one, 0, sizeof *one);
    one->map = counted_map(&one->counting);
    one->empty = one->counting.held;
    upload_begin(&one->upload, one->map, total, 0);
}

static void one_end(struct one *one) {
    upload_end(&one->upload);
    assert_int_equal(one->counting.held, one->empty);
    strobe_map_free(one->map);
}

static void test_nothing_that_is_only_announced_makes_room(void **state) {
    struct one one;
    size_t len, behind;

    (void)state;
    one_begin(&one, (size_t)1 << 30);
    assert_null(upload_room(&one.upload, &len, &behind));
    assert_int_equal(one.counting.held, one.empty);
    assert_true(upload_take(&one.upload, strobe_slice_make(one.piece, STROBE_READ_SIZE)));
    while (upload_room(&one.upload, &len, &behind) != NULL) {
        size_t held = one.counting.held;
        assert_int_equal(behind, 0);
        assert_true(upload_take(&one.upload, strobe_slice_make(one.piece, len)));
        assert_true(one.counting.held <= held);
    }
    assert_true(one.counting.held - one.empty <= 2 * STROBE_READ_SIZE + 256);
    /* A full socket counts, but not for more than it can be believed. */
    upload_expect(&one.upload, SIZE_MAX);
    assert_non_null(upload_room(&one.upload, &len, &behind));
    assert_true(one.counting.held - one.empty <= (size_t)5 << 20);
    one_end(&one);
}

static void test_room_that_is_not_to_be_had_leaves_what_came(void **state) {
    struct one one;
    size_t len, behind;

    (void)state;
    one_begin(&one, 4 * STROBE_READ_SIZE);
    assert_true(upload_take(&one.upload, strobe_slice_make(one.piece, STROBE_READ_SIZE)));
    one.counting.fails = true;
    upload_expect(&one.upload, STROBE_READ_SIZE);
    assert_null(upload_room(&one.upload, &len, &behind));
    assert_int_equal(one.upload.len, STROBE_READ_SIZE);
    one.counting.fails = false;
    assert_non_null(upload_room(&one.upload, &len, &behind));
    one_end(&one);
}

static void test_the_longest_value_has_no_room_behind_it(void **state) {
    struct one one;

    (void)state;
    one_begin(&one, STROBE_VALUE_MAX);
    one.upload.tail = TAIL;
    one.upload.len = STROBE_VALUE_MAX / 2 + 1; /* as if so many had come */
    one.counting.fails = true;
    one.counting.asked = 0;
    assert_false(upload_take(&one.upload, strobe_slice_make(one.piece, 1)));
    assert_in_range(one.counting.asked, STROBE_VALUE_MAX, (size_t)STROBE_VALUE_MAX + 64); /* the header with it */
    one_end(&one);
}

static void test_old_room_is_empty_before_the_next_growth(void **state) {
    struct counting counting;
    struct strobe_map *map = counted_map(&counting);
    struct upload upload = {.map = NULL};
    char piece[1000] = {0};
    size_t left = 0;

    (void)state;
    upload_begin(&upload, map, 3000017, 0);
    for (size_t at = 0; at < upload.total; at += sizeof piece) {
        const struct strobe_blob *blob = upload.blob;
        size_t len = upload.total - at < sizeof piece ? upload.total - at : sizeof piece;

        assert_true(upload_take(&upload, strobe_slice_make(piece, len)));
        if (upload.blob != blob) assert_int_equal(left, 0);
        left = upload.old != NULL ? upload.behind - upload.moved : 0;
    }
    assert_int_equal(left, 0);
    upload_end(&upload);
    strobe_map_free(map);
}

static void test_failed_growth_keeps_what_came(void **state) {
    struct one one;

    (void)state;
    one_begin(&one, 4 * STROBE_READ_SIZE);
    one.counting.fails = true;
    assert_false(upload_take(&one.upload, strobe_slice_make(one.piece, 100)));
    one.counting.fails = false;
    assert_true(upload_take(&one.upload, strobe_slice_make(one.piece, STROBE_READ_SIZE)));
    one.counting.fails = true;
    assert_false(upload_take(&one.upload, strobe_slice_make(one.piece, STROBE_READ_SIZE)));
    assert_int_equal(one.upload.len, STROBE_READ_SIZE);
    one_end(&one);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_is_whole_for_every_length_and_cut),
        cmocka_unit_test(test_value_of_unknown_length_is_whole_in_slices),
        cmocka_unit_test(test_upload_without_bytes_is_no_value),
        cmocka_unit_test(test_bytes_that_are_read_into_their_place_make_the_same_value),
        cmocka_unit_test(test_nothing_that_is_only_announced_makes_room),
        cmocka_unit_test(test_room_that_is_not_to_be_had_leaves_what_came),
        cmocka_unit_test(test_the_longest_value_has_no_room_behind_it),
        cmocka_unit_test(test_old_room_is_empty_before_the_next_growth),
        cmocka_unit_test(test_failed_growth_keeps_what_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_resp_json.c - replies written as RESP2 and told as JSON, in one go or a little at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/resp_json.h"
#include "protocol/resp_writer.h"
#include "tests/protocol/written.h"

enum { ROOM = 1 << 20 };

struct world {
    struct strobe_out_pool pool;
    struct strobe_out from, to;
    struct strobe_reply reply;
    struct strobe_resp_json told;
    char text[ROOM];
};

static int begin(void **state) {
    struct world *world = calloc(1, sizeof *world);

    if (world == NULL) return -1;
    strobe_out_pool_init(&world->pool, 4);
    strobe_out_init(&world->from, &world->pool, ROOM);
    strobe_out_init(&world->to, &world->pool, ROOM);
    strobe_resp_writer_init(&world->reply, &world->from, STROBE_RESP2);
    *state = world;
    return 0;
}

static int end(void **state) {
    struct world *world = *state;

    strobe_out_fini(&world->from);
    strobe_out_fini(&world->to);
    strobe_out_pool_fini(&world->pool);
    free(world);
    return 0;
}

static void release(void *owner) {
    ++*(int *)owner;
}

static void write_all(struct strobe_reply *reply) {
    strobe_reply_ok(reply);
    strobe_reply_integer(reply, -5);
    strobe_reply_null(reply);
    strobe_reply_bulk(reply, STROBE_SLICE("a\"b\xc3\xa9"));
    strobe_reply_bulk(reply, STROBE_SLICE(""));
    strobe_reply_bulk(reply, STROBE_SLICE("\xff\x00"));
    strobe_reply_error(reply, "ERR", "no");
    strobe_reply_array(reply, 0);
    strobe_reply_null_array(reply);
    strobe_reply_array(reply, 3);
    strobe_reply_integer(reply, 1);
    strobe_reply_array(reply, 2);
    strobe_reply_bulk(reply, STROBE_SLICE("x"));
    strobe_reply_array(reply, 0);
    strobe_reply_error(reply, "ERR", "inside");
    strobe_reply_map(reply, 1);
    strobe_reply_bulk(reply, STROBE_SLICE("name"));
    strobe_reply_bulk(reply, STROBE_SLICE("value"));
}

static const char *const items[] = {
    "{\"result\":\"OK\"}",
    "{\"result\":-5}",
    "{\"result\":null}",
    "{\"result\":\"a\\\"b\xc3\xa9\"}",
    "{\"result\":\"\"}",
    "{\"result\":{\"base64\":\"/wA=\"}}",
    "{\"error\":\"ERR no\"}",
    "{\"result\":[]}",
    "{\"result\":null}",
    "{\"result\":[1,[\"x\",[]],{\"error\":\"ERR inside\"}]}",
    "{\"result\":[\"name\",\"value\"]}",
};

static void test_each_reply_is_an_object(void **state) {
    struct world *world = *state;
    char wanted[2][1024] = {"[", ""};

    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        if (i > 0) strcat(wanted[0], ",");
        strcat(wanted[0], items[i]);
        strcat(strcat(wanted[1], items[i]), "\n");
    }
    strcat(wanted[0], "]\n");
    for (size_t work = 1; work < 50; work++) {
        for (int lines = 0; lines < 2; lines++) {
            strobe_resp_json_init(&world->told, &world->from, &world->to,
                                  lines ? STROBE_JSON_LINES : STROBE_JSON_ARRAY);
            write_all(&world->reply);
            while (!strobe_resp_json_tell(&world->told, ROOM, work)) continue;
            strobe_resp_json_finish(&world->told);
            take_written(&world->to, world->text, ROOM);
            assert_string_equal(world->text, wanted[lines]);
        }
    }
}

static void test_the_array_of_a_transaction_is_unpacked(void **state) {
    struct world *world = *state;

    strobe_resp_json_init(&world->told, &world->from, &world->to, STROBE_JSON_ARRAY);
    world->told.unpack = true;
    strobe_reply_array(&world->reply, 3);
    strobe_reply_array(&world->reply, 1);
    strobe_reply_ok(&world->reply);
    assert_true(strobe_resp_json_tell(&world->told, ROOM, ROOM)); /* the rest comes later */
    strobe_reply_error(&world->reply, "ERR", "no");
    strobe_reply_integer(&world->reply, 7);
    assert_true(strobe_resp_json_tell(&world->told, ROOM, ROOM));
    strobe_resp_json_finish(&world->told);
    take_written(&world->to, world->text, ROOM);
    assert_string_equal(world->text, "[{\"result\":[\"OK\"]},{\"error\":\"ERR no\"},{\"result\":7}]\n");
    strobe_resp_json_init(&world->told, &world->from, &world->to, STROBE_JSON_ARRAY);
    strobe_resp_json_finish(&world->told);
    take_written(&world->to, world->text, ROOM);
    assert_string_equal(world->text, "[]\n");
}

/* A string of LEN bytes in three segments, cut at A and B, told PIECE bytes at a time, is what it is in one. */
static void check_cut(struct world *world, const char *bytes, size_t len, size_t a, size_t b, size_t work) {
    static char whole[ROOM];
    struct strobe_json json;
    int released = 0;

    strobe_json_init(&json, &world->to);
    strobe_json_object_begin(&json);
    strobe_json_name(&json, "result");
    strobe_json_string(&json, strobe_slice_make(bytes, len));
    strobe_json_object_end(&json);
    strobe_json_newline(&json);
    take_written(&world->to, whole, ROOM);
    strobe_resp_json_init(&world->told, &world->from, &world->to, STROBE_JSON_LINES);
    world->told.bulk = len;
    world->told.is_utf8 = true;
    world->told.state = STROBE_RESP_JSON_CHECK;
    strobe_out_borrow(&world->from, strobe_slice_make(bytes, a), release, &released);
    strobe_out_borrow(&world->from, strobe_slice_make(bytes + a, b - a), release, &released);
    strobe_out_borrow(&world->from, strobe_slice_make(bytes + b, len - b), release, &released);
    strobe_out_append(&world->from, STROBE_SLICE("\r\n"));
    while (!strobe_resp_json_tell(&world->told, ROOM, work)) continue;
    take_written(&world->to, world->text, ROOM);
    assert_string_equal(world->text, whole);
    assert_int_equal(released, 3);
}

static void test_long_strings_may_be_cut_anywhere(void **state) {
    static const char *const texts[] = {"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", "abc\xc3\xa9\xff\xe2\x82",
                                        "\xe2\x82\xacxx\xe2\x82", "0123456789ab"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t len = strlen(texts[i]);

        for (size_t a = 1; a < len - 1; a++) {
            for (size_t b = a + 1; b < len; b++) {
                for (size_t work = 1; work < 6; work++) check_cut(*state, texts[i], len, a, b, work);
            }
        }
    }
}

static void test_telling_stops_at_the_high_mark(void **state) {
    struct world *world = *state;
    size_t calls = 0;

    strobe_resp_json_init(&world->told, &world->from, &world->to, STROBE_JSON_LINES);
    memset(world->text, 'x', 200000);
    strobe_reply_bulk(&world->reply, strobe_slice_make(world->text, 200000));
    while (!strobe_resp_json_tell(&world->told, 1000, ROOM)) {
        assert_true(strobe_out_pending(&world->to) < 100000);
        take_written(&world->to, world->text, ROOM);
        calls++;
    }
    assert_true(calls > 10);
    take_written(&world->to, world->text, ROOM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_reply_is_an_object, begin, end),
        cmocka_unit_test_setup_teardown(test_the_array_of_a_transaction_is_unpacked, begin, end),
        cmocka_unit_test_setup_teardown(test_long_strings_may_be_cut_anywhere, begin, end),
        cmocka_unit_test_setup_teardown(test_telling_stops_at_the_high_mark, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

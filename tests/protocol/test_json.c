/* test_json.c - JSON byte for byte: structure, escapes, UTF-8 and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/buf.h"
#include "protocol/json.h"
#include "tests/protocol/written.h"

struct world {
    struct strobe_out_pool pool;
    struct strobe_out out;
    struct strobe_json json;
    char text[100000];
};

static int setup(void **state) {
    struct world *world = test_calloc(1, sizeof(*world));

    strobe_out_pool_init(&world->pool, 4);
    strobe_out_init(&world->out, &world->pool, 1 << 20);
    strobe_json_init(&world->json, &world->out);
    *state = world;
    return 0;
}

static int teardown(void **state) {
    struct world *world = *state;

    strobe_out_fini(&world->out);
    strobe_out_pool_fini(&world->pool);
    test_free(world);
    return 0;
}

static const char *written(struct world *world) {
    take_written(&world->out, world->text, sizeof world->text);
    return world->text;
}

static void test_commas_stand_between_members(void **state) {
    struct world *world = *state;
    struct strobe_json *json = &world->json;

    strobe_json_object_begin(json);
    strobe_json_name(json, "keys");
    strobe_json_array_begin(json);
    strobe_json_text(json, "a");
    strobe_json_array_begin(json);
    strobe_json_array_end(json);
    strobe_json_object_begin(json);
    strobe_json_object_end(json);
    strobe_json_i64(json, INT64_MIN);
    strobe_json_number(json, STROBE_SLICE("-0.50"));
    strobe_json_u64(json, UINT64_MAX);
    strobe_json_bool(json, true);
    strobe_json_bool(json, false);
    strobe_json_null(json);
    strobe_json_version(json, 7);
    strobe_json_version(json, 8);
    strobe_json_string(json, STROBE_SLICE("\xff"));
    strobe_json_array_end(json);
    strobe_json_name(json, "version");
    strobe_json_version(json, UINT64_MAX);
    strobe_json_name(json, "done");
    strobe_json_bool(json, true);
    strobe_json_object_end(json);
    strobe_json_newline(json);
    strobe_json_object_begin(json);
    strobe_json_object_end(json);
    assert_string_equal(written(world),
                        "{\"keys\":[\"a\",[],{},-9223372036854775808,-0.50,18446744073709551615,true,false,null,\"7\","
                        "\"8\",{\"base64\":\"/w==\"}],\"version\":\"18446744073709551615\",\"done\":true}\n{}");
}

static void test_controls_and_quotes_are_escaped(void **state) {
    struct world *world = *state;

    strobe_json_string(&world->json, STROBE_SLICE("a\"b\\c/\b\f\n\r\t\0\x01\x0b\x1f\x7f"));
    assert_string_equal(written(world), "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0000\\u0001\\u000b\\u001f\x7f\"");
}

/* Each byte at each place of a word and around the border of a block. */
static void test_each_byte_is_found_at_each_place(void **state) {
    struct world *world = *state;

    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 600; at += at < 20 ? 1 : at == 20 ? 480 : at < 530 ? 1 : 70) {
            char text[600], escape[8];
            const char *out;
            bool plain = c >= 0x20 && c != '"' && c != '\\';

            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            strobe_json_string(&world->json, strobe_slice_make(text, sizeof(text)));
            out = written(world);
            if (c >= 0x80) {
                assert_memory_equal(out, "{\"base64\":\"", 11);
                assert_int_equal(strlen(out), 13 + 800);
                continue;
            }
            snprintf(escape, sizeof(escape), "\\u%04x", c);
            if (plain) assert_int_equal(out[1 + at], c);
            if (!plain && out[2 + at] == 'u') assert_memory_equal(out + 1 + at, escape, 6);
            if (!plain) assert_int_equal(out[1 + at], '\\');
            assert_int_equal(strlen(out), plain ? 602 : out[2 + at] == 'u' ? 607 : 603);
        }
    }
}

static const struct {
    const char *text;
    bool valid;
} sequences[] = {
    {"", true},
    {"\xc3\xa4", true},
    {"\xe2\x82\xac", true},
    {"\xf0\x9f\x98\x80", true},
    {"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true},
    {"\x80", false},
    {"\xc3", false},
    {"\xc0\x80", false},
    {"\xc1\xbf", false},
    {"\xe0\x80\x80", false},
    {"\xe0\x9f\xbf", false},
    {"\xed\xa0\x80", false},
    {"\xed\xbf\xbf", false},
    {"\xe2\x82", false},
    {"\xe2\x82x", false},
    {"\xf0\x80\x80\x80", false},
    {"\xf0\x8f\xbf\xbf", false},
    {"\xf4\x90\x80\x80", false},
    {"\xf5\x80\x80\x80", false},
    {"\xf0\x9f\x98", false},
    {"\xf8\x88\x80\x80\x80", false},
    {"\xfe", false},
    {"\xff", false},
};

/* At each place around a block's border, so that a sequence is cut by it. */
static void test_utf8_stays_and_the_rest_is_base64(void **state) {
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
        size_t len = strlen(sequences[i].text);

        for (size_t before = 500; before < 520; before++) {
            char text[600], expected[700];

            memset(text, 'x', before);
            memcpy(text + before, sequences[i].text, len);
            assert_int_equal(strobe_utf8_valid(strobe_slice_make(text, before + len)) == before + len,
                             sequences[i].valid);
            strobe_json_string(&world->json, strobe_slice_make(text, before + len));
            snprintf(expected, sizeof(expected), "\"%.*s\"", (int)(before + len), text);
            if (sequences[i].valid) {
                assert_string_equal(written(world), expected);
            } else {
                assert_memory_equal(written(world), "{\"base64\":\"eHh4", 14);
            }
        }
    }
}

static void test_base64_is_that_of_rfc_4648(void **state) {
    static const char *const rows[][2] = {
        {"\xff", "/w=="}, {"\xff\xfe", "//4="}, {"\xff\xfe\xfd", "//79"}, {"foobar\xff", "Zm9vYmFy/w=="}};
    struct world *world = *state;

    for (size_t i = 0; i < 4; i++) {
        char expected[64];

        strobe_json_text(&world->json, rows[i][0]);
        snprintf(expected, sizeof(expected), "{\"base64\":\"%s\"}", rows[i][1]);
        assert_string_equal(written(world), expected);
    }
}

/* A bad byte at the end of a long text takes back what was written of it, and nothing before it. */
static void test_a_string_is_taken_back_whole(void **state) {
    struct world *world = *state;
    char *text = test_malloc(60000);
    const char *out;

    memset(text, 'x', 60000);
    text[59999] = '\xff';
    strobe_json_array_begin(&world->json);
    strobe_json_text(&world->json, "before");
    strobe_json_string(&world->json, strobe_slice_make(text, 60000));
    strobe_json_text(&world->json, "after");
    strobe_json_array_end(&world->json);
    out = written(world);
    assert_memory_equal(out, "[\"before\",{\"base64\":\"eHh4", 24);
    assert_int_equal(strlen(out), strlen("[\"before\",{\"base64\":\"\"},\"after\"]") + 80000);
    assert_string_equal(out + strlen(out) - 12, "/\"},\"after\"]");
    test_free(text);
}

static void write_pieces(struct strobe_json *json, struct strobe_slice text, bool is_utf8, size_t each) {
    strobe_json_pieces_begin(json, is_utf8);
    for (size_t at = 0; at < text.len; at += each) {
        size_t len = text.len - at < each ? text.len - at : each;

        strobe_json_piece(json, is_utf8, strobe_slice_make(text.data + at, len));
    }
    strobe_json_pieces_end(json, is_utf8);
}

static void test_pieces_make_the_string_that_the_whole_makes(void **state) {
    struct world *world = *state;
    char text[1500], whole[10000];

    for (int is_utf8 = 0; is_utf8 < 2; is_utf8++) {
        for (size_t i = 0; i < sizeof(text); i++) text[i] = (char)(is_utf8 ? i % 128 : 255 - i % 256);
        for (size_t each = 3; each <= sizeof(text) + 3; each += 300) {
            strobe_json_array_begin(&world->json);
            strobe_json_string(&world->json, strobe_slice_make(text, sizeof(text)));
            strobe_json_string(&world->json, strobe_slice_make(text, sizeof(text)));
            strobe_json_array_end(&world->json);
            strcpy(whole, written(world));
            strobe_json_array_begin(&world->json);
            write_pieces(&world->json, strobe_slice_make(text, sizeof(text)), is_utf8 != 0, each);
            write_pieces(&world->json, strobe_slice_make(text, sizeof(text)), is_utf8 != 0, each);
            strobe_json_array_end(&world->json);
            assert_string_equal(written(world), whole);
        }
    }
}

static void test_a_full_output_fails_and_stays_quiet(void **state) {
    struct world *world = *state;
    struct strobe_out small;
    struct strobe_json json;

    strobe_out_init(&small, &world->pool, 10);
    strobe_json_init(&json, &small);
    strobe_json_array_begin(&json);
    for (int i = 0; i < 10; i++) {
        strobe_json_text(&json, "0123456789");
        strobe_json_string(&json, STROBE_SLICE("\xff"));
        strobe_json_i64(&json, i);
    }
    strobe_json_array_end(&json);
    assert_int_equal(strobe_out_status(&small), STROBE_BUF_FULL);
    strobe_out_fini(&small);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_commas_stand_between_members),
        CASE(test_controls_and_quotes_are_escaped),
        CASE(test_each_byte_is_found_at_each_place),
        CASE(test_utf8_stays_and_the_rest_is_base64),
        CASE(test_base64_is_that_of_rfc_4648),
        CASE(test_a_string_is_taken_back_whole),
        CASE(test_pieces_make_the_string_that_the_whole_makes),
        CASE(test_a_full_output_fails_and_stays_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_json_words.c - commands read out of JSON: the same whatever the pieces, checked without a change, or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/json_words.h"

enum { ROOM = 4096 };

/* Writes what is read of TEXT, looked at BUDGET bytes at a time, as "word|word;" and "!" for a fault. */
static void read_all(const char *text, size_t budget, bool is_check, char told[ROOM]) {
    struct strobe_json_words words;
    struct strobe_request request;
    size_t len = strlen(text), at = 0;
    char *data = malloc(len + 1); /* the sanitizer sees a byte read behind the end */
    bool is_over = false;

    assert_non_null(data);
    data = realloc(data, len > 0 ? len : 1);
    assert_non_null(data);
    memcpy(data, text, len);
    strobe_request_init(&request);
    strobe_json_words_init(&words, data, len, strobe_json_form_of(strobe_slice_make(data, len)), is_check);
    while (!is_over) {
        size_t left = budget;

        switch (strobe_json_words_next(&words, is_check ? NULL : &request, &left)) {
        case STROBE_JSON_COMMAND:
            for (size_t i = 0; !is_check && i < request.argc; i++) {
                memcpy(told + at, request.args[i].data, request.args[i].len);
                at += request.args[i].len;
                told[at++] = i + 1 < request.argc ? '|' : ';';
            }
            if (is_check) told[at++] = ';';
            break;
        case STROBE_JSON_MORE: break;
        case STROBE_JSON_BAD:
            told[at++] = '!';
            assert_non_null(words.fault);
            is_over = words.form == STROBE_JSON_ARRAY;
            for (left = budget; !is_over && !strobe_json_words_skip(&words, &left); left = budget) continue;
            break;
        default: is_over = true; break;
        }
    }
    told[at] = '\0';
    if (is_check) assert_memory_equal(data, text, len);
    strobe_request_fini(&request);
    free(data);
}

static void check(const char *text, const char *wanted) {
    char told[ROOM];

    for (size_t budget = 1; budget < 40; budget++) {
        read_all(text, budget, false, told);
        if (strcmp(told, wanted) != 0) fail_msg("%s (%zu): %s, not %s", text, budget, told, wanted);
    }
}

static void test_commands_are_read_in_any_pieces(void **state) {
    (void)state;
    check("[[\"SET\",\"k\",\"v\"],[\"GET\",\"k\"]]", "SET|k|v;GET|k;");
    check("[\"SET\",\"k\",\"v\"]\n[\"GET\",\"k\"]", "SET|k|v;GET|k;");
    check("\r\n  [ \"a\" , 1 , -2.5e+7 , true , false ]\r\n\n\n", "a|1|-2.5e+7|true|false;");
    check("[\"\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\n\"]", "\xc3\xa9\xf0\x9f\x98\x80\"\\/\n;");
    check("[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and a longer run of plain ones\"]",
          "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and a longer run of plain ones;");
    check("[{\"base64\":\"aGVsbG8=\"},{ \"base64\" : \"\"},{\"base64\":\"aGk\\u003d\"}]", "hello||hi;");
    check("[\n    [\n        \"a\",\n        {\n            \"base64\" :\r\n\t\"aGk=\"\n        }\n    ]\n]\n",
          "a|hi;");
    check("[]", "");
    check(" [ ] ", "");
    check("", "");
    check("\n\n", "");
}

static void test_a_bad_line_does_not_spoil_the_next(void **state) {
    (void)state;
    check("[\"a\"]\nnonsense\n[\"b\"]", "a;!b;");
    check("[\"a\",\n\"b\"]\n[\"c\"]", "!!c;");
    check("[\"a\"] x\n[\"a\"]]\n[\"a\",]\n[null]\n[01]\n[\"\\q\"]\n[\"\xff\"]\n[\"b\"]\n[\"open", "!!!!!!!b;!");
    check("[\"a\x01\"]\n[\"\\ud800\"]\n[{\"base64\":\"A\"}]\n[{\"base65\":\"\"}]\n[\"b\"]\n[", "!!!!b;!");
    check("[{\"base64\"\n:\"aGk=\"}]\n[{\"base64\" \"aGk=\"}]\n[{\"base64\":1}]\n[{]\n[{\"base6", "!!!!!!");
}

static void test_a_bad_array_is_bad_as_a_whole(void **state) {
    (void)state;
    check("[[\"a\"],nonsense,[\"b\"]]", "a;!");
    check("[[\"a\"],[\"b\"]", "a;b;!");
    check("[[\"a\"]] x", "a;!");
    check("[[]]", "!");
    check("[[\"a\"],]", "a;!");
    check("[[\"a\"]\n[\"b\"]]", "a;!");
}

static void test_checking_says_the_same_and_changes_nothing(void **state) {
    static const char *const texts[] = {
        "[[\"\\u00e9\",{\"base64\":\"aGVsbG8=\"}],[\"b\"]]",
        "[[\"\\u00e9\",{\"base64\":\"aGVsbG8\"}],[\"b\"]]",
        "[[\"\\n\\n\\n\"],[\"b\",1,2.5,true]]",
        "[[\"a\"],[\"b\"",
    };
    static const char *const wanted[] = {";;", "!", ";;", ";!"};
    char told[ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t budget = 1; budget < 40; budget++) {
            read_all(texts[i], budget, true, told);
            assert_string_equal(told, wanted[i]);
        }
    }
}

static void test_every_cut_of_a_text_ends(void **state) {
    static const char text[] = "[[\"a\\u00e9\\ud83d\\ude00\",{\"base64\":\"aGk=\"},-1.5e3,true],[\"\xe2\x82\xac\"]]";
    char cut[sizeof text], told[ROOM];

    (void)state;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        memcpy(cut, text, len);
        cut[len] = '\0';
        read_all(cut, 5, false, told);
        if (len > 1) assert_int_equal(told[strlen(told) - 1], '!');
        read_all(cut + (len > 0), 5, false, told); /* the same as a line */
    }
}

static void test_a_number_has_an_end(void **state) {
    char text[1100], told[ROOM];

    (void)state;
    for (size_t digits = 1020; digits < 1028; digits++) {
        text[0] = '[';
        memset(text + 1, '7', digits);
        memcpy(text + 1 + digits, "]", 2);
        read_all(text, 10000, false, told);
        assert_int_equal(told[0], digits < 1024 ? '7' : '!');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_are_read_in_any_pieces),
        cmocka_unit_test(test_a_bad_line_does_not_spoil_the_next),
        cmocka_unit_test(test_a_bad_array_is_bad_as_a_whole),
        cmocka_unit_test(test_checking_says_the_same_and_changes_nothing),
        cmocka_unit_test(test_every_cut_of_a_text_ends),
        cmocka_unit_test(test_a_number_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_http_guard.c - what the guard finds in a head, that it reads nothing twice, and the chunk machine alone.
 *
 * The table of what is refused is in test_http_request.c, where http-parser comes behind the guard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/http_guard.h"
#include "protocol/limits.h"

static void assert_span(const char *head, struct strobe_http_span span, const char *text) {
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(head + span.at, text, span.len);
}

static void test_guard_finds_the_parts_of_a_head(void **state) {
    static const char head[] =
        "\r\nPUT http://b:8/kv/a/b?c=d&e HTTP/1.1\r\nX:1\r\nHost: \ta \r\nContent-Length: 12\r\n\r\nbody";
    struct strobe_http_guard guard;
    struct strobe_http_span name, value;
    size_t len = 0, at;

    (void)state;
    strobe_http_guard_init(&guard, NULL, NULL);
    assert_int_equal(strobe_http_guard_check(&guard, head, strlen(head), &len), STROBE_PARSE_DONE);
    assert_string_equal(head + len, "body");
    assert_int_equal(guard.start, 2);
    assert_int_equal(guard.method, STROBE_METHOD_PUT);
    assert_int_equal(guard.form, STROBE_HTTP_FORM_ABSOLUTE);
    assert_int_equal(guard.minor, 1);
    assert_span(head, guard.target, "http://b:8/kv/a/b?c=d&e");
    assert_span(head, guard.authority, "b:8");
    assert_span(head, guard.path, "/kv/a/b");
    assert_span(head, guard.query, "c=d&e");
    assert_span(head, guard.host, "a");
    assert_int_equal(guard.content_length, 12);
    assert_false(guard.chunked);
    at = guard.fields_from;
    assert_true(strobe_http_guard_next_field(head, len, &at, &name, &value));
    assert_span(head, name, "X");
    assert_span(head, value, "1");
    assert_true(strobe_http_guard_next_field(head, len, &at, &name, &value));
    assert_span(head, value, "a");
    assert_true(strobe_http_guard_next_field(head, len, &at, &name, &value));
    assert_span(head, name, "Content-Length");
    assert_false(strobe_http_guard_next_field(head, len, &at, &name, &value));
}

/* Lines that are complete have been looked at, so spoiling them changes nothing. */
static void test_guard_reads_no_line_twice(void **state) {
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    struct strobe_http_guard guard;
    char copy[sizeof(head)];
    size_t len = 0, line = 0;

    (void)state;
    memcpy(copy, head, sizeof(head));
    strobe_http_guard_init(&guard, NULL, NULL);
    for (size_t n = 1; n < strlen(head); n++) {
        assert_int_equal(strobe_http_guard_check(&guard, copy, n, &len), STROBE_PARSE_MORE);
        if (copy[n - 1] == '\n') {
            memset(copy + line, '\n', n - line);
            line = n;
        }
    }
    assert_int_equal(strobe_http_guard_check(&guard, copy, strlen(head), &len), STROBE_PARSE_DONE);
    assert_int_equal(len, strlen(head));
}

static void test_guard_follows_a_head_that_moves(void **state) {
    static const char head[] = "DELETE /kv/a HTTP/1.1\r\nHost: a\r\n\r\n";
    struct strobe_http_guard guard;
    size_t len = 0;

    (void)state;
    strobe_http_guard_init(&guard, NULL, NULL);
    for (size_t n = 1; n <= strlen(head); n++) {
        char *place = test_malloc(n);

        memcpy(place, head, n);
        assert_int_equal(strobe_http_guard_check(&guard, place, n, &len),
                         n < strlen(head) ? STROBE_PARSE_MORE : STROBE_PARSE_DONE);
        test_free(place);
    }
    assert_span(head, guard.path, "/kv/a");
}

static void test_a_first_byte_that_begins_no_method_is_refused_at_once(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        struct strobe_http_guard guard;
        char byte = (char)c;
        bool begins = c == '\r' || c == '\n' || (c > ' ' && c < 127 && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL);
        size_t len;

        strobe_http_guard_init(&guard, NULL, NULL);
        assert_int_equal(strobe_http_guard_check(&guard, &byte, 1, &len),
                         c == '\n' || !begins ? STROBE_PARSE_BAD : STROBE_PARSE_MORE);
    }
}

/* Every byte in a name, a value and a target: what RFC 9110 and SPEC 6 allow, and nothing else. */
static void test_every_byte_is_in_its_class(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool tchar = letter || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        bool value = c == '\t' || (c >= ' ' && c != 127);
        char in_name[] = "GET /? HTTP/1.0\r\nX?: y\r\n\r\n", in_value[] = "GET /? HTTP/1.0\r\nX: y?y\r\n\r\n";
        char in_target[] = "GET /? HTTP/1.0\r\n\r\n";
        struct strobe_http_guard guard;
        size_t len;

        in_name[18] = in_value[21] = in_target[5] = (char)c;
        strobe_http_guard_init(&guard, NULL, NULL);
        /* a colon ends the name early: "X:" and a value of ": y" */
        assert_int_equal(strobe_http_guard_check(&guard, in_name, strlen(in_name + 19) + 19, &len),
                         tchar || c == ':' ? STROBE_PARSE_DONE : STROBE_PARSE_BAD);
        strobe_http_guard_init(&guard, NULL, NULL);
        assert_int_equal(strobe_http_guard_check(&guard, in_value, sizeof(in_value) - 1, &len),
                         value ? STROBE_PARSE_DONE : STROBE_PARSE_BAD);
        strobe_http_guard_init(&guard, NULL, NULL);
        assert_int_equal(strobe_http_guard_check(&guard, in_target, sizeof(in_target) - 1, &len),
                         c > ' ' && c < 127 ? STROBE_PARSE_DONE : STROBE_PARSE_BAD);
    }
}

static void test_refusals_say_what_to_do(void **state) {
    struct strobe_http_guard guard;
    size_t len;

    (void)state;
    strobe_http_guard_init(&guard, NULL, NULL);
    assert_int_equal(strobe_http_guard_check(&guard, "GET / HTTP/1.1\r\n\r\n", 18, &len), STROBE_PARSE_BAD);
    assert_int_equal(guard.refusal.status, 400);
    assert_non_null(strstr(guard.refusal.detail, "Host"));
}

/* ---- chunks ------------------------------------------------------------------------------------- */

static enum strobe_parse check(struct strobe_http_chunks *chunks, const char *text, size_t *used, size_t *framed) {
    return strobe_http_chunks_check(chunks, text, strlen(text), used, framed);
}

static void test_chunks_end_where_the_blank_line_ends(void **state) {
    struct strobe_http_chunks chunks;
    size_t used, framed;

    (void)state;
    strobe_http_chunks_init(&chunks, 100);
    assert_int_equal(check(&chunks, "3\r\nabc\r\n0\r\nX: y\r\n\r\nGET", &used, &framed), STROBE_PARSE_DONE);
    assert_int_equal(used, strlen("3\r\nabc\r\n0\r\nX: y\r\n\r\n"));
    assert_int_equal(framed, strlen("3\r\nabc\r\n0\r\n"));
    assert_int_equal(chunks.total, 3);
}

static void test_chunks_are_framed_up_to_the_trailers_in_every_cut(void **state) {
    static const char body[] = "3\r\nabc\r\n0\r\nX: y\r\n\r\n";

    (void)state;
    for (size_t cut = 0; cut < sizeof(body); cut++) {
        struct strobe_http_chunks chunks;
        size_t used = 0, framed = 0, sum, len = sizeof(body) - 1;

        strobe_http_chunks_init(&chunks, 100);
        (void)strobe_http_chunks_check(&chunks, body, cut, &used, &framed);
        assert_int_equal(used, cut);
        sum = framed;
        if (cut < len) {
            assert_int_equal(strobe_http_chunks_check(&chunks, body + cut, len - cut, &used, &framed),
                             STROBE_PARSE_DONE);
            sum += framed;
        }
        assert_int_equal(sum, strlen("3\r\nabc\r\n0\r\n"));
    }
}

static void test_chunks_may_be_as_large_as_the_bound_together(void **state) {
    struct strobe_http_chunks chunks;
    size_t used, framed;

    (void)state;
    strobe_http_chunks_init(&chunks, 5);
    assert_int_equal(check(&chunks, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", &used, &framed), STROBE_PARSE_DONE);
    strobe_http_chunks_init(&chunks, 4);
    assert_int_equal(check(&chunks, "3\r\nabc\r\n2\r\n", &used, &framed), STROBE_PARSE_BAD);
    assert_int_equal(chunks.refusal.status, 413);
    strobe_http_chunks_init(&chunks, UINT64_MAX);
    assert_int_equal(check(&chunks, "7fffffffffffffff\r\n", &used, &framed), STROBE_PARSE_MORE);
    strobe_http_chunks_init(&chunks, UINT64_MAX);
    assert_int_equal(check(&chunks, "8000000000000000\r\n", &used, &framed), STROBE_PARSE_BAD);
    assert_int_equal(chunks.refusal.status, 400);
}

/* A head to PATH whose fields are LEN bytes with the blank line, of which Host's value is "a:80". Its length. */
static size_t make_head(char *out, const char *path, size_t len) {
    static const char fields[] = "Host: a:80\r\nX: ";
    int line = sprintf(out, "GET %s HTTP/1.1\r\n", path);
    char *at = stpcpy(out + line, fields);

    memset(at, 'x', len - strlen(fields) - 4);
    memcpy(at + len - strlen(fields) - 4, "\r\n\r\n", 4);
    return (size_t)line + len;
}

static void test_fields_that_fit_a_memo_repeat_and_longer_ones_do_not(void **state) {
    struct strobe_http_memo memo = {0};
    struct strobe_http_guard guard;
    size_t len = 0, head_len;
    char head[512];

    (void)state;
    for (size_t size = STROBE_HTTP_MEMO_MAX; size <= STROBE_HTTP_MEMO_MAX + 1; size++) {
        bool fits = size == STROBE_HTTP_MEMO_MAX;

        len = make_head(head, "/", size);
        strobe_http_guard_init(&guard, NULL, &memo);
        assert_int_equal(strobe_http_guard_check(&guard, head, len, &head_len), STROBE_PARSE_DONE);
        assert_false(guard.repeats);
        strobe_http_guard_remember(&guard, head, &memo);
        assert_int_equal(memo.len, fits ? size : 0);

        len = make_head(head, "/longer", size);
        strobe_http_guard_init(&guard, NULL, &memo);
        assert_int_equal(strobe_http_guard_check(&guard, head, len, &head_len), STROBE_PARSE_DONE);
        assert_int_equal(guard.repeats, fits);
        assert_int_equal(head_len, len);
        assert_int_equal(guard.host.len, 4);
        assert_memory_equal(head + guard.host.at, "a:80", 4);
        if (!fits) continue;

        strobe_http_guard_init(&guard, NULL, &memo); /* cut: the fields are read as they come */
        assert_int_equal(strobe_http_guard_check(&guard, head, len - 1, &head_len), STROBE_PARSE_MORE);
        assert_int_equal(strobe_http_guard_check(&guard, head, len, &head_len), STROBE_PARSE_DONE);
        assert_false(guard.repeats);
    }
}

static void test_only_bodies_of_a_short_known_length_are_remembered(void **state) {
    static const struct {
        const char *head;
        bool remembered;
    } rows[] = {
        {"PUT /k HTTP/1.1\r\nHost: a\r\nContent-Length: 4294967295\r\n\r\n", true},
        {"PUT /k HTTP/1.1\r\nHost: a\r\nContent-Length: 4294967296\r\n\r\n", false},
        {"PUT /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct strobe_http_memo memo = {.len = 1};
        struct strobe_http_guard guard;
        size_t head_len;

        strobe_http_guard_init(&guard, NULL, NULL);
        assert_int_equal(strobe_http_guard_check(&guard, rows[i].head, strlen(rows[i].head), &head_len),
                         STROBE_PARSE_DONE);
        strobe_http_guard_remember(&guard, rows[i].head, &memo);
        assert_int_equal(memo.len > 0, rows[i].remembered);
        if (!rows[i].remembered) continue;
        strobe_http_guard_init(&guard, NULL, &memo);
        assert_int_equal(strobe_http_guard_check(&guard, rows[i].head, strlen(rows[i].head), &head_len),
                         STROBE_PARSE_DONE);
        assert_true(guard.repeats && guard.has_length);
        assert_int_equal(guard.content_length, 4294967295);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard_finds_the_parts_of_a_head),
        cmocka_unit_test(test_guard_reads_no_line_twice),
        cmocka_unit_test(test_guard_follows_a_head_that_moves),
        cmocka_unit_test(test_a_first_byte_that_begins_no_method_is_refused_at_once),
        cmocka_unit_test(test_every_byte_is_in_its_class),
        cmocka_unit_test(test_refusals_say_what_to_do),
        cmocka_unit_test(test_fields_that_fit_a_memo_repeat_and_longer_ones_do_not),
        cmocka_unit_test(test_only_bodies_of_a_short_known_length_are_remembered),
        cmocka_unit_test(test_chunks_end_where_the_blank_line_ends),
        cmocka_unit_test(test_chunks_are_framed_up_to_the_trailers_in_every_cut),
        cmocka_unit_test(test_chunks_may_be_as_large_as_the_bound_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

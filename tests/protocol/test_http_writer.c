/* test_http_writer.c - replies byte for byte: status line, framing, what each method and version changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "protocol/buf.h"
#include "protocol/http_writer.h"
#include "tests/protocol/written.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

struct world {
    struct strobe_out_pool pool;
    struct strobe_out out;
    struct strobe_http_reply reply;
    char text[100000];
};

static int setup(void **state) {
    struct world *world = test_calloc(1, sizeof(*world));

    strobe_out_pool_init(&world->pool, 4);
    strobe_out_init(&world->out, &world->pool, 1 << 20);
    world->reply = (struct strobe_http_reply){.out = &world->out, .date = DATE, .keep_alive = true};
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

/* All that was written, as a C string; the output is empty again. */
static const char *sent(struct world *world) {
    take_written(&world->out, world->text, sizeof world->text);
    return world->text;
}

/* TEXT as a piece of a stream. */
static void chunk(struct world *world, struct strobe_slice text) {
    struct strobe_out piece;

    strobe_out_init(&piece, &world->pool, 1000);
    strobe_out_append(&piece, text);
    strobe_http_reply_chunk_from(&world->reply, &piece);
    strobe_out_fini(&piece);
}

static void test_dates_are_those_of_the_calendar(void **state) {
    char text[STROBE_HTTP_DATE_LEN + 1] = {0}, expected[64];
    int64_t second = 0;

    (void)state;
    strobe_http_date(784111777, text);
    assert_string_equal(text, DATE);
    for (int step = 0; second < 253402300800; step++) {
        time_t t = (time_t)second;
        struct tm tm;

        strobe_http_date(second, text);
        gmtime_r(&t, &tm);
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_string_equal(text, expected);
        second += step % 2 == 0 ? 86399 : 1 + 86400 * (step % 17); /* the last second of a day, the first of another */
    }
}

static void test_reply_with_a_length(void **state) {
    struct world *world = *state;

    strobe_http_reply_begin(&world->reply, 200);
    strobe_http_reply_etag(&world->reply, UINT64_MAX);
    strobe_http_reply_field_u64(&world->reply, "TTL", 30);
    strobe_http_reply_lines(&world->reply, STROBE_SLICE("X: y\r\n"));
    strobe_http_reply_length(&world->reply, 5);
    strobe_http_reply_body(&world->reply, STROBE_SLICE("hello"));
    assert_string_equal(sent(world),
                        "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nETag: \"18446744073709551615\"\r\nTTL: 30\r\n"
                        "X: y\r\nContent-Length: 5\r\n\r\nhello");
}

static void test_connection_is_said_when_it_must(void **state) {
    static const struct {
        bool keep_alive, is_http10;
        const char *line;
    } rows[] = {{true, false, ""},
                {false, false, "Connection: close\r\n"},
                {true, true, "Connection: keep-alive\r\n"},
                {false, true, "Connection: close\r\n"}};
    struct world *world = *state;

    for (size_t i = 0; i < 4; i++) {
        char expected[200];

        world->reply.keep_alive = rows[i].keep_alive;
        world->reply.is_http10 = rows[i].is_http10;
        strobe_http_reply_begin(&world->reply, 404);
        strobe_http_reply_empty(&world->reply);
        snprintf(expected, sizeof(expected), "HTTP/1.1 404 Not Found\r\nDate: " DATE "\r\n%sContent-Length: 0\r\n\r\n",
                 rows[i].line);
        assert_string_equal(sent(world), expected);
    }
}

static void test_head_has_the_head_of_get_alone(void **state) {
    struct world *world = *state;
    struct strobe_out body;

    world->reply.is_head = true;
    strobe_http_reply_text(&world->reply, 200, "text/plain", STROBE_SLICE("hello"));
    assert_string_equal(sent(world), "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Type: text/plain\r\n"
                                     "Content-Length: 5\r\n\r\n");
    strobe_out_init(&body, &world->pool, 1000);
    strobe_out_append(&body, STROBE_SLICE("0123456789"));
    strobe_http_reply_begin(&world->reply, 200);
    strobe_http_reply_body_from(&world->reply, &body);
    assert_non_null(strstr(sent(world), "Content-Length: 10\r\n\r\n"));
    assert_null(strstr(world->text, "0123"));
    assert_int_equal(strobe_out_pending(&body), 0);
    strobe_out_append(&body, STROBE_SLICE("0123456789"));
    strobe_http_reply_begin(&world->reply, 200);
    strobe_http_reply_chunked(&world->reply);
    chunk(world, STROBE_SLICE("abc"));
    strobe_http_reply_chunk_from(&world->reply, &body);
    strobe_http_reply_last_chunk(&world->reply);
    assert_string_equal(sent(world), "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(strobe_out_pending(&body), 0);
    strobe_out_fini(&body);
}

static void test_204_and_304_have_no_length_and_no_body(void **state) {
    static const int statuses[] = {204, 304};
    struct world *world = *state;

    for (size_t i = 0; i < 2; i++) {
        strobe_http_reply_begin(&world->reply, statuses[i]);
        assert_false(strobe_http_reply_wants_body(&world->reply));
        strobe_http_reply_etag(&world->reply, 7);
        strobe_http_reply_empty(&world->reply);
        strobe_http_reply_body(&world->reply, STROBE_SLICE("never"));
        assert_non_null(strstr(sent(world), "\r\nETag: \"7\"\r\n\r\n"));
        assert_null(strstr(world->text, "Content-Length"));
        assert_null(strstr(world->text, "never"));
    }
}

static void test_streams_are_chunked_on_1_1(void **state) {
    struct world *world = *state;
    struct strobe_out piece;

    strobe_out_init(&piece, &world->pool, 100000);
    strobe_http_reply_begin(&world->reply, 200);
    strobe_http_reply_chunked(&world->reply);
    chunk(world, STROBE_SLICE("hello"));
    chunk(world, STROBE_SLICE(""));
    strobe_http_reply_chunk_from(&world->reply, &piece);
    for (int i = 0; i < 5000; i++) strobe_out_append(&piece, STROBE_SLICE("0123456789"));
    strobe_http_reply_chunk_from(&world->reply, &piece);
    strobe_http_reply_last_chunk(&world->reply);
    assert_non_null(strstr(sent(world), "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nc350\r\n0123456789"));
    assert_string_equal(world->text + strlen(world->text) - 11, "6789\r\n0\r\n\r\n");
    strobe_out_fini(&piece);
}

static void test_streams_on_1_0_end_with_the_connection(void **state) {
    struct world *world = *state;

    world->reply.is_http10 = true;
    world->reply.keep_alive = false;
    strobe_http_reply_begin(&world->reply, 200);
    strobe_http_reply_chunked(&world->reply);
    chunk(world, STROBE_SLICE("hello"));
    strobe_http_reply_last_chunk(&world->reply);
    assert_string_equal(sent(world), "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nConnection: close\r\n\r\nhello");
}

static void test_values_cannot_end_a_line(void **state) {
    struct world *world = *state;

    strobe_http_reply_field(&world->reply, "Content-Type", STROBE_SLICE("a\r\nSet-Cookie: b\0c\x7f\xc3\xa4\n"));
    assert_string_equal(sent(world), "Content-Type: a  Set-Cookie: b c \xc3\xa4 \r\n");
    strobe_http_reply_field(&world->reply, "X", STROBE_SLICE(""));
    assert_string_equal(sent(world), "X: \r\n");
    strobe_http_reply_field(&world->reply, "X", STROBE_SLICE("\n"));
    assert_string_equal(sent(world), "X:  \r\n");
}

static void test_problems_say_what_to_do(void **state) {
    struct world *world = *state;
    static const char body[] = "{\"type\":\"about:blank\",\"title\":\"Method Not Allowed\",\"status\":405,"
                               "\"detail\":\"Use \\\"GET\\\".\"}\n";
    char expected[600];

    world->reply.keep_alive = false;
    strobe_http_reply_problem(&world->reply, 405, STROBE_SLICE("Use \"GET\"."), STROBE_SLICE("Allow: GET\r\n"));
    snprintf(
        expected, sizeof(expected),
        "HTTP/1.1 405 Method Not Allowed\r\nDate: " DATE "\r\nConnection: close\r\nAllow: GET\r\n"
        "Content-Type: application/problem+json\r\nX-Content-Type-Options: nosniff\r\nContent-Length: %zu\r\n\r\n%s",
        strlen(body), body);
    assert_string_equal(sent(world), expected);
}

static void test_continue_is_two_lines(void **state) {
    struct world *world = *state;

    strobe_http_write_continue(&world->out);
    assert_string_equal(sent(world), "HTTP/1.1 100 Continue\r\n\r\n");
}

static void test_a_full_output_fails_and_stays_quiet(void **state) {
    struct world *world = *state;
    struct strobe_out small;

    strobe_out_init(&small, &world->pool, 100);
    world->reply.out = &small;
    strobe_http_reply_problem(&world->reply, 400, STROBE_SLICE("A sentence."), STROBE_SLICE(""));
    strobe_http_reply_begin(&world->reply, 200);
    strobe_http_reply_chunked(&world->reply);
    chunk(world, STROBE_SLICE("x"));
    strobe_http_reply_last_chunk(&world->reply);
    assert_int_equal(strobe_out_status(&small), STROBE_BUF_FULL);
    strobe_out_fini(&small);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_are_those_of_the_calendar),
        CASE(test_reply_with_a_length),
        CASE(test_connection_is_said_when_it_must),
        CASE(test_head_has_the_head_of_get_alone),
        CASE(test_204_and_304_have_no_length_and_no_body),
        CASE(test_streams_are_chunked_on_1_1),
        CASE(test_streams_on_1_0_end_with_the_connection),
        CASE(test_values_cannot_end_a_line),
        CASE(test_problems_say_what_to_do),
        CASE(test_continue_is_two_lines),
        CASE(test_a_full_output_fails_and_stays_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

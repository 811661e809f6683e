/* test_http_request.c - bytes in, requests or a refusal out, the same for every cut.
 *
 * A row is a stream of bytes and what comes of it, as text: each request as METHOD PATH[?QUERY] [body] keep or close,
 * a refusal as its status, an unfinished request as three dots. The bodies' bound is 64 bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/http_request.h"
#include "protocol/limits.h"
#include "tests/protocol/failing_malloc.h"

enum { MAX_BODY = 64, TRANSCRIPT = 8192 };

struct transcript {
    char text[TRANSCRIPT];
    size_t len;
};

static void say(struct transcript *out, const char *text, size_t len) {
    if (len > sizeof(out->text) - 1 - out->len) len = sizeof(out->text) - 1 - out->len;
    if (len > 0) memcpy(out->text + out->len, text, len);
    out->len += len;
    out->text[out->len] = '\0';
}

static void say_text(struct transcript *out, const char *text) {
    say(out, text, strlen(text));
}

static void say_slice(struct transcript *out, struct strobe_slice slice) {
    if (slice.len > 200) {
        char text[32];

        snprintf(text, sizeof(text), "(%zu)", slice.len);
        say_text(out, text);
    } else {
        say(out, slice.data, slice.len);
    }
}

static void say_request(struct transcript *out, const struct strobe_http_request *request) {
    if (out->len > 0) say_text(out, " | ");
    say_text(out, strobe_http_method_name(request->method));
    say_text(out, " ");
    say_slice(out, request->path);
    if (request->has_query) say_text(out, "?");
    say_slice(out, request->query);
    if (request->has_body) {
        say_text(out, " [");
        say_slice(out, request->body);
        say_text(out, "]");
    }
    say_text(out, request->keep_alive ? " keep" : " close");
}

static void say_refusal(struct transcript *out, const struct strobe_http_request *request) {
    char text[64];

    assert_non_null(request->refusal.detail);
    snprintf(text, sizeof(text), "%s%d%s", out->len > 0 ? " | " : "", request->refusal.status,
             request->refusal.detail == strobe_http_disagreement ? " (disagreement)" : "");
    say_text(out, text);
}

/* One piece, in memory of its own that ends where it ends and goes away after. Results: no after the last request. */
static bool feed_piece(struct strobe_http_request *request, const char *data, size_t len, struct transcript *out) {
    struct strobe_http_accept accept = {.max_body = MAX_BODY};
    char *piece = test_malloc(len + 1); /* what stands before it is never read */
    bool open = true;
    size_t at = 1;

    memcpy(piece + 1, data, len);
    while (open) {
        size_t used;
        enum strobe_http_step step = strobe_http_request_feed(request, piece + at, len + 1 - at, &used);

        assert_true(used <= len + 1 - at);
        at += used;
        if (step == STROBE_HTTP_HEAD) {
            step = strobe_http_request_accept(request, &accept) ? STROBE_HTTP_HEAD : STROBE_HTTP_BAD;
        } else if (step == STROBE_HTTP_MORE) {
            assert_int_equal(at, len + 1);
            break;
        } else if (step == STROBE_HTTP_DONE) {
            say_request(out, request);
            open = request->keep_alive;
            strobe_http_request_next(request);
            if (at == len + 1) break;
        }
        if (step == STROBE_HTTP_BAD) {
            say_refusal(out, request);
            open = false;
        }
    }
    test_free(piece);
    return open;
}

/* The stream cut at the two places, or into pieces of EACH bytes if that is not 0. PARSE_ALL: as in the limits. */
static void run_as(const char *bytes, size_t len, size_t cut, size_t each, bool parse_all, struct transcript *out) {
    const struct strobe_http_limits limits = {.parse_all = parse_all};
    struct strobe_http_request request;
    bool open = true;

    out->len = 0;
    out->text[0] = '\0';
    assert_true(strobe_http_request_init(&request, &limits));
    if (each > 0) {
        for (size_t at = 0; open && at < len; at += each) {
            open = feed_piece(&request, bytes + at, len - at < each ? len - at : each, out);
        }
    } else {
        open = feed_piece(&request, bytes, cut, out) && feed_piece(&request, bytes + cut, len - cut, out);
    }
    if (open && !strobe_http_request_is_idle(&request)) say_text(out, out->len > 0 ? " | ..." : "...");
    strobe_http_request_fini(&request);
}

static void run(const char *bytes, size_t len, size_t cut, size_t each, struct transcript *out) {
    run_as(bytes, len, cut, each, false, out);
}

static void assert_outcome(const char *bytes, size_t len, const char *expected) {
    struct transcript out;

    run(bytes, len, len, 0, &out);
    if (strcmp(out.text, expected) != 0) print_error("for: %.*s\n", (int)(len < 400 ? len : 400), bytes);
    assert_string_equal(out.text, expected);
    run_as(bytes, len, len, 0, true, &out);
    assert_string_equal(out.text, expected);
    for (size_t each = 1; each <= 3; each++) {
        run(bytes, len, 0, each, &out);
        assert_string_equal(out.text, expected);
    }
    for (size_t cut = 0; cut < len && len < 2000; cut++) {
        run(bytes, len, cut, 0, &out);
        if (strcmp(out.text, expected) != 0) print_error("cut at %zu: %.*s\n", cut, (int)len, bytes);
        assert_string_equal(out.text, expected);
    }
}

struct row {
    const char *bytes;
    size_t len;
    const char *expected;
};

#define ROW(bytes, expected) \
    { bytes, sizeof(bytes) - 1, expected }
#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST
#define PUT  "PUT /k HTTP/1.1\r\n" HOST
#define TE   "Transfer-Encoding: chunked\r\n"
#define NEXT "GET /next HTTP/1.1\r\n" HOST "\r\n"

static const struct row request_lines[] = {
    ROW("", ""),
    ROW("G", "..."),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n\r", "..."),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / keep"),
    ROW("HEAD /kv/x HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /kv/x keep"),
    ROW("PATCH /kv/x?incr=1 HTTP/1.1\r\nHost: a\r\n\r\n", "PATCH /kv/x?incr=1 keep"),
    ROW("DELETE /kv/x? HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /kv/x? keep"),
    ROW("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "TRACE / keep"),
    ROW("GET /a?b?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a?b?c keep"),
    ROW("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a#b keep"),
    ROW("GET /a#b?c#d#e HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a#b?c#d#e keep"),
    ROW("GET //a/../b/./ HTTP/1.1\r\nHost: a\r\n\r\n", "GET //a/../b/./ keep"),
    ROW("GET /%00%2F%25%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%00%2F%25%zz keep"),
    ROW("GET /!\"$&'()*+,-.;<=>@[\\]^_`{|}~ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /!\"$&'()*+,-.;<=>@[\\]^_`{|}~ keep"),
    ROW("get / HTTP/1.1\r\nHost: a\r\n\r\n", "501"),
    ROW("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "501"),
    ROW("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "501"),
    ROW("GETT / HTTP/1.1\r\nHost: a\r\n\r\n", "501"),
    ROW("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400"),
    ROW("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / /b HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET k HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: a\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n\n", "400"),
    ROW("GET / HTTP/1.1\r\rHost: a\r\n\r\n", "400"),
    ROW("\x16\x03\x01\x02", "400"),
    ROW("PING\r\n", "400"),
    ROW("*1\r\n$4\r\nPING\r\n", "400"),
    ROW("SET greeting hello\r\n", "400"),
    ROW("{}", "400"),
};

static const struct row empty_lines[] = {
    ROW("\r\n", ""),
    ROW("\r", ""),
    ROW("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / keep"),
    ROW("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / keep"),
    ROW("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("\r\n" PUT "Content-Length: 3\r\n\r\nabc\r\n" NEXT, "PUT /k [abc] keep | GET /next keep"),
};

static const struct row versions[] = {
    ROW("GET / HTTP/1.0\r\n\r\n", "GET / close"),
    ROW("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / close"),
    ROW("GET /\r\n", "400"),
    ROW("GET / \r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/0.9\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/0.8\r\nHost: a\r\n\r\n", "505"),
    ROW("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505"),
    ROW("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
    ROW("GET / HTTP/3.1\r\nHost: a\r\n\r\n", "505"),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    ROW("GET / HTTP/2\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/11\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/a.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / http/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTPS/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / ICE/1.0\r\nHost: a\r\n\r\n", "400"),
};

static const struct row targets[] = {
    ROW("GET http://b/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y keep"),
    ROW("GET HTTP://b:81/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x keep"),
    ROW("GET http://[::1]:81/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x keep"),
    ROW("GET https://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / keep"),
    ROW("GET http://b?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?y keep"),
    ROW("GET http://b:/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET / keep"),
    ROW("GET http://b/x HTTP/1.1\r\n\r\n", "400"),
    ROW("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET http://u@b/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET http://b:x/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET http://b:65536/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET http://b#f HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET ftp://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET http:/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("GET b:80 HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * keep"),
    ROW("OPTIONS /kv/x HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /kv/x keep"),
    ROW("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ROW("CONNECT b:80 HTTP/1.1\r\nHost: b\r\n\r\n" NEXT, "CONNECT  keep | GET /next keep"),
    ROW("CONNECT b HTTP/1.1\r\nHost: b\r\n\r\n", "400"),
    ROW("CONNECT /x HTTP/1.1\r\nHost: b\r\n\r\n", "400"),
    ROW("CONNECT http://b:80/ HTTP/1.1\r\nHost: b\r\n\r\n", "400"),
    ROW("CONNECT [::1]:80 HTTP/1.1\r\nHost: b\r\n\r\n", "CONNECT  keep"),
};

static const struct row fields[] = {
    ROW("GET / HTTP/1.1\r\nhOST:a\r\n\r\n", "GET / keep"),
    ROW("GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", "GET / keep"),
    ROW("GET / HTTP/1.1\r\nHost: a.b-c_d:7172\r\n\r\n", "GET / keep"),
    ROW("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET / keep"),
    ROW("GET / HTTP/1.1\r\nHost: a%20b\r\n\r\n", "GET / keep"),
    ROW("GET / HTTP/1.1\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost:\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n", "400"),
    ROW("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "GET / keep"),
    ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", "400"),
    ROW(GET " X: y\r\n\r\n", "400"),
    ROW(GET "X: y\r\n z\r\n\r\n", "400"),
    ROW(GET "X: y\r\n\tz\r\n\r\n", "400"),
    ROW(GET "X: y\r\n \r\n\r\n", "400"),
    ROW("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400"),
    ROW(GET ": y\r\n\r\n", "400"),
    ROW(GET "X\r\n\r\n", "400"),
    ROW(GET "X y: z\r\n\r\n", "400"),
    ROW(GET "X(y): z\r\n\r\n", "400"),
    ROW(GET "X\xc3: z\r\n\r\n", "400"),
    ROW(GET "X\0: z\r\n\r\n", "400"),
    ROW(GET "X: y\0z\r\n\r\n", "400"),
    ROW(GET "X: y\x01z\r\n\r\n", "400"),
    ROW(GET "X: y\x7fz\r\n\r\n", "400"),
    ROW(GET "X: y\rz\r\n\r\n", "400"),
    ROW(GET "X: y\r\r\n\r\n", "400"),
    ROW(GET "X:\r\n\r\n", "GET / keep"),
    ROW(GET "X:   \r\n\r\n", "GET / keep"),
    ROW(GET "X: y\tz \xff\r\n\r\n", "GET / keep"),
    ROW(GET "!#$%&'*+-.^_`|~09: y\r\n\r\n", "GET / keep"),
    ROW(GET "Transfer-Encoding-Not: x\r\n\r\n" NEXT, "GET / keep | GET /next keep"),
    ROW(PUT "Transfer-Encodings: chunked\r\nContent-Length: 2\r\n\r\nhi", "PUT /k [hi] keep"),
    ROW(PUT "Content-Length: 2\r\nContent-Length2: 3\r\n\r\nhi", "PUT /k [hi] keep"),
    ROW(PUT "Transfer-Encodings: x\r\n" TE "\r\n2\r\nhi\r\n0\r\n\r\n", "PUT /k [hi] keep"),
    ROW(PUT TE "Transfer-Encodings: x\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "PUT /k [hi] keep"),
    ROW(PUT TE "TRANSFER-ENCODINGS: chunked\r\nX: y\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "PUT /k [hi] keep"),
    ROW(GET "Origin: null\r\nOrigin: http://a\r\n\r\n", "400"),
    ROW(GET "Authorization: a\r\nauthorization: b\r\n\r\n", "400"),
    ROW(GET "TTL: 5\r\nTtl: 6\r\n\r\n", "400"),
    ROW(GET "TTL:\r\nTtl: 6\r\n\r\n", "400"),
    ROW(GET "Accept: a\r\nAccept: b\r\n\r\n", "GET / keep"),
    ROW(GET "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n\r\n" NEXT,
        "GET / keep | GET /next keep"),
    ROW(PUT "Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi" NEXT,
        "PUT /k [hi] keep | GET /next keep"),
    ROW(PUT "Upgrade: websocket\r\nConnection: Upgrade\r\n" TE "\r\n2\r\nhi\r\n0\r\n\r\n" NEXT,
        "PUT /k [hi] keep | GET /next keep"),
};

static const struct row persistence[] = {
    ROW(GET "Connection: close\r\n\r\n" NEXT, "GET / close"),
    ROW(GET "Connection: Close\r\n\r\n" NEXT, "GET / close"),
    ROW(GET "Connection: keep-alive\r\n\r\n" NEXT, "GET / keep | GET /next keep"),
    ROW(GET "Connection: keep-alive, close\r\n\r\n" NEXT, "GET / close"),
    ROW(GET "Connection: close\t\r\n\r\n" NEXT, "GET / close"),
    ROW(GET "Connection: ,close,\r\n\r\n" NEXT, "GET / close"),
    ROW(GET "Connection: keep-alive\r\nConnection: close\r\n\r\n" NEXT, "GET / close"),
    ROW(GET "Connection: closed\r\n\r\n", "GET / keep"),
    ROW(GET "Connection:\r\n\r\n", "GET / keep"),
    ROW("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" NEXT, "GET / keep | GET /next keep"),
    ROW("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n" NEXT, "GET / close"),
    ROW("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n" NEXT, "GET / close"),
    ROW(PUT "Connection: close\r\nContent-Length: 2\r\n\r\nhi" NEXT, "PUT /k [hi] close"),
    ROW(GET "\r\n" NEXT NEXT, "GET / keep | GET /next keep | GET /next keep"),
    ROW(GET "\r\n" NEXT "GET / HTTP/9.9\r\n\r\n" NEXT, "GET / keep | GET /next keep | 505"),
    ROW(GET "\r\nX", "GET / keep | ..."),
};

static const struct row lengths[] = {
    ROW(PUT "Content-Length: 0\r\n\r\n" NEXT, "PUT /k keep | GET /next keep"),
    ROW(PUT "\r\n" NEXT, "PUT /k keep | GET /next keep"),
    ROW(PUT "Content-Length: 5\r\n\r\nhello" NEXT, "PUT /k [hello] keep | GET /next keep"),
    ROW(PUT "content-length:00005  \r\n\r\nhello" NEXT, "PUT /k [hello] keep | GET /next keep"),
    ROW(PUT "Content-Length: 5\r\n\r\nhell", "..."),
    ROW("PUT /k HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello" NEXT, "PUT /k [hello] close"),
    ROW("GET /k HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" NEXT, "GET /k [hello] keep | GET /next keep"),
    ROW("DELETE /k HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" NEXT, "DELETE /k [hello] keep | GET /next keep"),
    ROW(PUT "Content-Length: 64\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123",
        "PUT /k [0123456789012345678901234567890123456789012345678901234567890123] keep"),
    ROW(PUT "Content-Length: 65\r\n\r\n", "413"),
    ROW(PUT "Content-Length: 9223372036854775807\r\n\r\n", "413"),
    ROW(PUT "Content-Length: 9223372036854775808\r\n\r\n", "400"),
    ROW(PUT "Content-Length: 99999999999999999999999\r\n\r\n", "400"),
    ROW(PUT "Content-Length: 18446744073709551616\r\n\r\n", "400"),
    ROW(PUT "Content-Length:\r\n\r\n", "400"),
    ROW(PUT "Content-Length: -1\r\n\r\n", "400"),
    ROW(PUT "Content-Length: +5\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 0x5\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 5 5\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 5, 5\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 5,\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 5.0\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 5a\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: \"5\"\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 5\t\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "400"),
    ROW(PUT "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello", "400"),
};

static const struct row chunked[] = {
    ROW(PUT TE "\r\n0\r\n\r\n" NEXT, "PUT /k [] keep | GET /next keep"),
    ROW(PUT TE "\r\n5\r\nhello\r\n0\r\n\r\n" NEXT, "PUT /k [hello] keep | GET /next keep"),
    ROW(PUT TE "\r\n2\r\nhe\r\n3\r\nllo\r\n000\r\n\r\n" NEXT, "PUT /k [hello] keep | GET /next keep"),
    ROW(PUT TE "\r\nA\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n", "PUT /k [0123456789abcdefghij] keep"),
    ROW(PUT TE "\r\n0000000000000005\r\nhello\r\n0\r\n\r\n", "PUT /k [hello] keep"),
    ROW(PUT TE "\r\n00000000000000005\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\nfffffffffffffffff\r\n", "400"),
    ROW(PUT TE "\r\nffffffffffffffff\r\n", "400"),
    ROW(PUT TE "\r\n8000000000000000\r\n", "400"),
    ROW(PUT TE "\r\n7fffffffffffffff\r\n", "413"),
    ROW(PUT TE "\r\n41\r\n", "413"),
    ROW(PUT TE "\r\n3f\r\n012345678901234567890123456789012345678901234567890123456789012\r\n2\r\n", "413"),
    ROW(PUT TE "\r\n5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n" NEXT, "PUT /k [hello] keep | GET /next keep"),
    ROW(PUT TE "\r\n5; a\t=\xff\r\nhello\r\n0\r\n\r\n", "PUT /k [hello] keep"),
    ROW(PUT TE "\r\n5;a\x01\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5;a\0\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5;a\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5;a\rb\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5 ;a\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5 \r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n 5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5\t\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5\rhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5\r\nhello0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5\r\nhello\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5\r\nhello\r0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5\r\nhello!\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n;a\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n-5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n+5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n0x5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5g\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5_0\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "\r\n5\r\nhello\r\n0\r\n", "..."),
    ROW(PUT TE "\r\n5\r\nhello\r\n0\r\nX: y\r\n", "..."),
    ROW(PUT TE "\r\n5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n" NEXT, "PUT /k [hello] keep | GET /next keep"),
    ROW(PUT TE "\r\n5\r\nhello\r\n0\r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\nHost: b\r\n\r\n" NEXT,
        "PUT /k [hello] keep | GET /next keep"),
    ROW(PUT TE "\r\n0\r\nX : y\r\n\r\n", "400"),
    ROW(PUT TE "\r\n0\r\nX: y\n\r\n", "400"),
    ROW(PUT TE "\r\n0\r\nX: y\r\r\n\r\n", "400"),
    ROW(PUT TE "\r\n0\r\nX: y\r\n\n", "400"),
    ROW(PUT TE "\r\n0\r\nX: \x02\r\n\r\n", "400"),
    ROW(PUT TE "\r\n0\r\n X: y\r\n\r\n", "400"),
    ROW(PUT TE "\r\n0\r\nX: y\r\n z\r\n\r\n", "400"),
    ROW(PUT TE "\r\n0\r\nX\r\n\r\n", "400"),
    ROW(PUT TE "\r\n0\r\n: y\r\n\r\n", "400"),
    ROW(PUT TE "\r\n0\r\n\rX", "400"),
    ROW(PUT TE "\r\n0\r\n" NEXT, "400"),
};

static const struct row codings[] = {
    ROW(PUT "transfer-ENCODING:Chunked  \r\n\r\n0\r\n\r\n", "PUT /k [] keep"),
    ROW(PUT "Transfer-Encoding:\t chunked\r\n\r\n0\r\n\r\n", "PUT /k [] keep"),
    ROW(PUT "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", "400"),
    ROW(PUT "Transfer-Encoding: gzip\r\n\r\n", "501"),
    ROW(PUT "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"),
    ROW(PUT "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "501"),
    ROW(PUT "Transfer-Encoding: identity\r\n\r\n", "501"),
    ROW(PUT "Transfer-Encoding: xchunked\r\n\r\n", "501"),
    ROW(PUT "Transfer-Encoding: chunkedx\r\n\r\n", "501"),
    ROW(PUT "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(PUT TE TE "\r\n0\r\n\r\n", "400"),
    ROW(PUT TE "Transfer-Encoding: gzip\r\n\r\n", "501"),
    ROW(PUT "Transfer-Encoding:\r\n\r\n", "400"),
    ROW(PUT "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(PUT "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", "400"),
    ROW(PUT "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", "400"),
    ROW(PUT "Transfer-Encoding: chunked gzip\r\n\r\n0\r\n\r\n", "400"),
    ROW(PUT "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "400"),
    ROW(PUT "Transfer-Encoding: \x0b"
            "chunked\r\n\r\n0\r\n\r\n",
        "400"),
    ROW("PUT /k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW("PUT /k HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", "400"),
};

/* What one server reads as one request and another as two. */
static const struct row smuggling[] = {
    ROW(PUT "Content-Length: 5\r\n" TE "\r\n0\r\n\r\n" NEXT, "400"),
    ROW(PUT TE "Content-Length: 5\r\n\r\n0\r\n\r\n" NEXT, "400"),
    ROW(PUT TE "Content-Length: 0\r\n\r\n0\r\n\r\n" NEXT, "400"),
    ROW(PUT "Content-Length: 6\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nG", "400"),
    ROW(PUT "Content-Length: 6\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nG", "400"),
    ROW(PUT "Content-Length: 6\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", "400"),
    ROW(PUT "Content-Length: 6\r\nX: x\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", "400"),
    ROW(PUT "Content-Length: 6\r\nX: x\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", "400"),
    ROW(PUT "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" NEXT, "400"),
    ROW(PUT "Content-Length: 0\r\nContent-Length : 44\r\n\r\n" NEXT, "400"),
    ROW(PUT "Content-Length: 0\r\nContent\xc2\xad-Length: 44\r\n\r\n" NEXT, "400"),
    ROW(PUT "Content_Length: 44\r\n\r\n" NEXT, "PUT /k keep | GET /next keep"),
    ROW(PUT "Content-Length:\r\n 5\r\n\r\nhello" NEXT, "400"),
    ROW(PUT "Transfer-Encoding\r\n: chunked\r\n\r\n0\r\n\r\n" NEXT, "400"),
    ROW(PUT TE "\r\n0\r\n\r\n"
               "5\r\nhello\r\n0\r\n\r\n",
        "PUT /k [] keep | 400"),
    ROW(PUT TE "\r\n5\r\nhelloGET /next HTTP/1.1\r\n" HOST "\r\n", "400"),
    ROW(GET "Content-Length: 31\r\n\r\n" NEXT, "GET / [GET /next HTTP/1.1\r\nHost: a\r\n\r\n] keep"),
};

static const struct row expectations[] = {
    ROW(PUT "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", "PUT /k [hi] keep"),
    ROW(PUT "Expect: 100-Continue\r\n" TE "\r\n0\r\n\r\n", "PUT /k [] keep"),
    ROW(PUT "Expect: 100-continue\r\nContent-Length: 65\r\n\r\n", "413"),
    ROW(PUT "Expect: magic\r\nContent-Length: 2\r\n\r\nhi", "417"),
    ROW(PUT "Expect: 100-continue, magic\r\nContent-Length: 2\r\n\r\nhi", "417"),
    ROW(PUT "Expect: 100-continue\r\nExpect: magic\r\nContent-Length: 2\r\n\r\nhi", "417"),
    ROW("PUT /k HTTP/1.0\r\nExpect: magic\r\nContent-Length: 2\r\n\r\nhi", "PUT /k [hi] close"),
    ROW(GET "Expect:\r\n\r\n", "GET / keep"),
};

#define TABLE_TEST(name, table)                                              \
    static void name(void **state) {                                         \
        (void)state;                                                         \
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {      \
            assert_outcome(table[i].bytes, table[i].len, table[i].expected); \
        }                                                                    \
    }

TABLE_TEST(test_request_lines_are_strict, request_lines)
TABLE_TEST(test_a_few_empty_lines_before_a_request_are_skipped, empty_lines)
TABLE_TEST(test_only_1_0_and_1_1_are_served, versions)
TABLE_TEST(test_targets_have_four_forms, targets)
TABLE_TEST(test_fields_are_strict, fields)
TABLE_TEST(test_connections_persist_as_asked, persistence)
TABLE_TEST(test_lengths_are_one_number, lengths)
TABLE_TEST(test_chunks_are_strict, chunked)
TABLE_TEST(test_chunked_is_the_only_coding, codings)
TABLE_TEST(test_smuggling_finds_no_second_reading, smuggling)
TABLE_TEST(test_expectations_are_met_or_refused, expectations)

/* ---- limits: at the limit, and one over --------------------------------------------------------- */

struct text {
    char *data;
    size_t len;
};

static void add(struct text *text, const char *piece) {
    memcpy(text->data + text->len, piece, strlen(piece));
    text->len += strlen(piece);
}

static void add_many(struct text *text, char c, size_t count) {
    memset(text->data + text->len, c, count);
    text->len += count;
}

static void assert_text(const struct text *text, const char *expected) {
    assert_outcome(text->data, text->len, expected);
}

static void test_target_may_be_as_long_as_the_limit(void **state) {
    struct text text = {test_malloc(STROBE_HTTP_TARGET_MAX + 1000), 0};

    (void)state;
    for (size_t over = 0; over < 2; over++) {
        text.len = 0;
        add(&text, "GET /");
        add_many(&text, 'k', STROBE_HTTP_TARGET_MAX - 1 + over);
        add(&text, " HTTP/1.1\r\n" HOST "\r\n");
        assert_text(&text, over ? "414" : "GET (204797) keep");
    }
    text.len = 0; /* no end in sight */
    add(&text, "GET /");
    add_many(&text, 'k', STROBE_HTTP_TARGET_MAX + 500);
    assert_text(&text, "414");
    text.len = 0;
    add_many(&text, 'G', STROBE_HTTP_TARGET_MAX + 500);
    assert_text(&text, "501");
    test_free(text.data);
}

static void test_fields_may_be_as_long_as_the_limit(void **state) {
    struct text text = {test_malloc(STROBE_HTTP_HEAD_MAX + 1000), 0};

    (void)state;
    for (size_t over = 0; over < 2; over++) {
        text.len = 0;
        add(&text, "GET / HTTP/1.1\r\n" HOST "X: ");
        add_many(&text, 'x', STROBE_HTTP_HEAD_MAX - strlen(HOST "X: \r\n\r\n") + over);
        add(&text, "\r\n\r\n");
        assert_text(&text, over ? "431" : "GET / keep");
    }
    text.len = 0;
    add(&text, "GET / HTTP/1.1\r\n" HOST "X: ");
    add_many(&text, '\x01', STROBE_HTTP_HEAD_MAX + 500);
    assert_text(&text, "431");
    test_free(text.data);
}

static void test_fields_may_be_as_many_as_the_limit(void **state) {
    struct text text = {test_malloc(4096), 0};

    (void)state;
    for (size_t over = 0; over < 2; over++) {
        text.len = 0;
        add(&text, "GET / HTTP/1.1\r\n" HOST);
        for (size_t i = 1; i < STROBE_HTTP_FIELDS_MAX + over; i++) add(&text, "X: y\r\n");
        add(&text, "\r\n");
        assert_text(&text, over ? "431" : "GET / keep");
    }
    test_free(text.data);
}

static void test_chunk_extensions_may_be_as_long_as_the_limit(void **state) {
    struct text text = {test_malloc(4096), 0};

    (void)state;
    for (size_t over = 0; over < 2; over++) {
        text.len = 0;
        add(&text, PUT TE "\r\n2;");
        add_many(&text, 'x', STROBE_HTTP_CHUNK_EXTENSION_MAX - 1 + over);
        add(&text, "\r\nhi\r\n0;");
        add_many(&text, 'y', STROBE_HTTP_CHUNK_EXTENSION_MAX - 1);
        add(&text, "\r\n\r\n");
        assert_text(&text, over ? "400" : "PUT /k [hi] keep");
    }
    test_free(text.data);
}

static void test_trailers_may_be_as_long_as_the_limit(void **state) {
    struct text text = {test_malloc(STROBE_HTTP_TRAILERS_MAX + 1000), 0};

    (void)state;
    for (size_t over = 0; over < 2; over++) {
        text.len = 0;
        add(&text, PUT TE "\r\n2\r\nhi\r\n0\r\nX: y\r\nX:");
        add_many(&text, 'x', STROBE_HTTP_TRAILERS_MAX - strlen("X: y\r\nX:\r\n") + over);
        add(&text, "\r\n\r\n" NEXT);
        assert_text(&text, over ? "400" : "PUT /k [hi] keep | GET /next keep");
    }
    test_free(text.data);
}

/* ---- the interface ------------------------------------------------------------------------------ */

static enum strobe_http_step feed(struct strobe_http_request *request, const char *text, size_t *used) {
    return strobe_http_request_feed(request, text, strlen(text), used);
}

static void assert_slice(struct strobe_slice slice, const char *text) {
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.data, text, slice.len);
}

static void test_head_is_seen_before_the_body_comes(void **state) {
    static const char head[] = "PUT /kv/a?ttl=5 HTTP/1.1\r\nHost: a:1\r\nContent-Type: text/x \r\n"
                               "Expect: 100-continue\r\nX-Y: 1\r\nContent-Length: 3\r\nx-y: 2\r\n\r\n";
    struct strobe_http_request request;
    struct strobe_http_accept accept = {.max_body = 3};
    struct strobe_slice value;
    char *copy = test_malloc(sizeof(head));
    size_t used, at = 0;

    (void)state;
    memcpy(copy, head, sizeof(head));
    assert_true(strobe_http_request_init(&request, NULL));
    assert_int_equal(feed(&request, copy, &used), STROBE_HTTP_HEAD);
    assert_int_equal(used, sizeof(head) - 1);
    assert_int_equal(request.content_length, 3);
    assert_slice(request.authority, "a:1");
    assert_false(strobe_http_request_in_head(&request));
    assert_true(strobe_http_request_accept(&request, &accept));
    assert_true(request.send_continue);
    assert_int_equal(feed(&request, "", &used), STROBE_HTTP_MORE);
    test_free(copy); /* the request does not need it any more */
    assert_slice(request.path, "/kv/a");
    assert_slice(request.query, "ttl=5");
    assert_slice(request.target, "/kv/a?ttl=5");
    assert_slice(strobe_http_request_field(&request, STROBE_HTTP_FIELD_CONTENT_TYPE), "text/x");
    assert_null(strobe_http_request_field(&request, STROBE_HTTP_FIELD_TTL).data);
    assert_true(strobe_http_request_next_value(&request, STROBE_SLICE("x-y"), &at, &value));
    assert_slice(value, "1");
    assert_true(strobe_http_request_next_value(&request, STROBE_SLICE("x-y"), &at, &value));
    assert_slice(value, "2");
    assert_false(strobe_http_request_next_value(&request, STROBE_SLICE("x-y"), &at, &value));
    assert_true(strobe_http_request_memory(&request) > 0);
    assert_int_equal(feed(&request, "a\0c", &used), STROBE_HTTP_MORE);
    assert_int_equal(strobe_http_request_feed(&request, "\0cd", 3, &used), STROBE_HTTP_DONE);
    assert_int_equal(used, 2);
    assert_int_equal(request.body.len, 3);
    assert_memory_equal(request.body.data, "a\0c", 3);
    strobe_http_request_next(&request);
    assert_true(strobe_http_request_is_idle(&request));
    assert_int_equal(strobe_http_request_memory(&request), 0);
    strobe_http_request_fini(&request);
}

static void test_a_whole_body_is_borrowed(void **state) {
    static const char counted[] = PUT "Content-Length: 5\r\n\r\nhello" NEXT;
    static const char one_chunk[] = PUT TE "\r\n5\r\nhello\r\n0\r\n\r\n" NEXT;
    const char *const both[] = {counted, one_chunk};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct strobe_http_request request;
        struct strobe_http_accept accept = {.max_body = 5};
        size_t used, body;

        assert_true(strobe_http_request_init(&request, NULL));
        assert_int_equal(feed(&request, both[i], &used), STROBE_HTTP_HEAD);
        assert_true(strobe_http_request_accept(&request, &accept));
        assert_false(request.send_continue);
        assert_int_equal(feed(&request, both[i] + used, &body), STROBE_HTTP_DONE);
        assert_ptr_equal(request.body.data, strstr(both[i], "hello"));
        assert_int_equal(request.body.len, 5);
        assert_string_equal(both[i] + used + body, NEXT);
        assert_int_equal(strobe_http_request_memory(&request), 0);
        strobe_http_request_fini(&request);
    }
}

static void test_a_discarded_body_is_counted_and_not_kept(void **state) {
    struct strobe_http_request request;
    struct strobe_http_accept accept = {.max_body = 1 << 20, .discard = true};
    char *block = test_malloc(65536);
    size_t used;

    (void)state;
    memset(block, 'x', 65536);
    assert_true(strobe_http_request_init(&request, NULL));
    assert_int_equal(feed(&request, PUT "Content-Length: 1048576\r\n\r\n", &used), STROBE_HTTP_HEAD);
    assert_true(strobe_http_request_accept(&request, &accept));
    for (int i = 0; i < 15; i++) {
        assert_int_equal(strobe_http_request_feed(&request, block, 65536, &used), STROBE_HTTP_MORE);
    }
    assert_true(strobe_http_request_memory(&request) < 4096);
    assert_int_equal(strobe_http_request_feed(&request, block, 65536, &used), STROBE_HTTP_DONE);
    assert_int_equal(request.body.len, 0);
    strobe_http_request_fini(&request);
    test_free(block);
}

static void test_an_announced_length_takes_no_memory(void **state) {
    struct strobe_http_request request;
    struct strobe_http_accept accept = {.max_body = (uint64_t)1 << 40};
    size_t used;

    (void)state;
    assert_true(strobe_http_request_init(&request, NULL));
    assert_int_equal(feed(&request, PUT "Content-Length: 1099511627776\r\n\r\n", &used), STROBE_HTTP_HEAD);
    assert_true(strobe_http_request_accept(&request, &accept));
    assert_int_equal(feed(&request, "hello", &used), STROBE_HTTP_MORE);
    assert_true(strobe_http_request_memory(&request) < 4 * STROBE_READ_SIZE);
    strobe_http_request_fini(&request);
}

static void test_large_bodies_arrive_whole(void **state) {
    enum { SIZE = 300000 };
    struct strobe_http_request request;
    struct strobe_http_accept accept = {.max_body = SIZE};
    char *body = test_malloc(SIZE);
    size_t used;

    (void)state;
    for (size_t i = 0; i < SIZE; i++) body[i] = (char)(i * 7 + i / 251);
    assert_true(strobe_http_request_init(&request, NULL));
    for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
        enum strobe_http_step step = STROBE_HTTP_MORE;

        assert_int_equal(feed(&request, is_chunked ? PUT TE "\r\n" : PUT "Content-Length: 300000\r\n\r\n", &used),
                         STROBE_HTTP_HEAD);
        assert_true(strobe_http_request_accept(&request, &accept));
        for (size_t at = 0; at < SIZE; at += 1000) {
            if (is_chunked) assert_int_equal(feed(&request, "3e8\r\n", &used), STROBE_HTTP_MORE);
            step = strobe_http_request_feed(&request, body + at, 1000, &used);
            if (is_chunked) assert_int_equal(feed(&request, "\r\n", &used), STROBE_HTTP_MORE);
        }
        if (is_chunked) step = feed(&request, "0\r\n\r\n", &used);
        assert_int_equal(step, STROBE_HTTP_DONE);
        assert_int_equal(request.body.len, SIZE);
        assert_memory_equal(request.body.data, body, SIZE);
        strobe_http_request_next(&request);
    }
    strobe_http_request_fini(&request);
    test_free(body);
}

static void test_nothing_is_read_after_close(void **state) {
    struct strobe_http_request request;
    struct strobe_http_accept accept = {.max_body = 0};
    size_t used;

    (void)state;
    assert_true(strobe_http_request_init(&request, NULL));
    assert_int_equal(feed(&request, GET "Connection: close\r\n\r\n", &used), STROBE_HTTP_HEAD);
    assert_true(strobe_http_request_accept(&request, &accept));
    assert_int_equal(feed(&request, "", &used), STROBE_HTTP_DONE);
    strobe_http_request_next(&request);
    assert_int_equal(feed(&request, GET "\r\n", &used), STROBE_HTTP_BAD);
    assert_int_equal(feed(&request, GET "\r\n", &used), STROBE_HTTP_BAD);
    strobe_http_request_fini(&request);
}

static void test_every_known_field_is_found(void **state) {
    static const char *const names[] = {
#define NAME(name, text, singleton) text,
        STROBE_HTTP_FIELDS(NAME)
#undef NAME
    };

    (void)state;
    for (int field = 0; field < STROBE_HTTP_FIELD_COUNT; field++) {
        struct strobe_http_request request;
        char head[200];
        size_t used;

        if (field == STROBE_HTTP_FIELD_HOST) continue; /* every request has one */
        snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n%s: value %d\r\n\r\n", names[field], field);
        head[strlen("GET / HTTP/1.1\r\nHost: a\r\n")] &= (char)~0x20; /* an upper-case letter */
        assert_true(strobe_http_request_init(&request, NULL));
        assert_int_equal(feed(&request, head, &used), STROBE_HTTP_HEAD);
        snprintf(head, sizeof(head), "value %d", field);
        assert_slice(strobe_http_request_field(&request, (enum strobe_http_field)field), head);
        strobe_http_request_fini(&request);
    }
}

/* ---- heads that http-parser does not see --------------------------------------------------------------- */

enum { MUTATIONS = 20000 };

/* All that the head that BYTES (LEN of them) begin with comes to, said to OUT. *USED: how long it is. */
static enum strobe_http_step tell_next_head(struct strobe_http_request *request, const char *bytes, size_t len,
                                            size_t *used, struct transcript *out) {
    enum strobe_http_step step = strobe_http_request_feed(request, bytes, len, used);
    char text[64];

    snprintf(text, sizeof(text), "%d %zu ", (int)step, *used);
    say_text(out, text);
    if (step == STROBE_HTTP_BAD) say_refusal(out, request);
    if (step != STROBE_HTTP_HEAD) return step;
    say_request(out, request);
    say_slice(out, request->target);
    say_slice(out, request->authority);
    for (int f = 0; f < STROBE_HTTP_FIELD_COUNT; f++) {
        struct strobe_slice value = strobe_http_request_field(request, (enum strobe_http_field)f);

        say_text(out, value.data == NULL ? "\n-" : "\n=");
        say_slice(out, value);
        if (strobe_http_request_has(request, (enum strobe_http_field)f, "close")) say_text(out, " close");
    }
    return step;
}

/* Everything that HEAD (LEN bytes) comes to, as text. */
static void tell_head(const char *head, size_t len, bool parse_all, struct transcript *out) {
    const struct strobe_http_limits limits = {.parse_all = parse_all};
    struct strobe_http_request request;
    size_t used;

    out->len = 0;
    out->text[0] = '\0';
    assert_true(strobe_http_request_init(&request, &limits));
    tell_next_head(&request, head, len, &used, out);
    strobe_http_request_fini(&request);
}

/* The same of all heads of a stream, and their bodies. */
static void tell_heads(const char *bytes, size_t len, bool parse_all, struct transcript *out) {
    const struct strobe_http_limits limits = {.parse_all = parse_all};
    const struct strobe_http_accept accept = {.max_body = MAX_BODY};
    struct strobe_http_request request;
    bool open = true;
    size_t at = 0, used;

    out->len = 0;
    out->text[0] = '\0';
    assert_true(strobe_http_request_init(&request, &limits));
    while (open && at < len && tell_next_head(&request, bytes + at, len - at, &used, out) == STROBE_HTTP_HEAD) {
        at += used;
        open = strobe_http_request_accept(&request, &accept) &&
               strobe_http_request_feed(&request, bytes + at, len - at, &used) == STROBE_HTTP_DONE &&
               request.keep_alive;
        at += used;
        say_text(out, open ? "\nwhole " : "\nend ");
        say_slice(out, request.body);
        if (open) strobe_http_request_next(&request);
    }
    strobe_http_request_fini(&request);
}

/* A head from HEADS with some bytes of it changed, taken out, or doubled, mostly into ones that mean something. */
static size_t mutate(const char *const *heads, size_t count, uint32_t *seed, char *out) {
    static const char pieces[] = "\r\n\t :;,=/?#*%\"()[]{}aZ01-_.~\x01\x7f\x80\xff";
    const char *head;
    size_t len;

    *seed = *seed * 1664525 + 1013904223;
    head = heads[(*seed >> 16) % count];
    len = strlen(head);
    memcpy(out, head, len);
    for (uint32_t changes = *seed >> 8 & 3; changes > 0; changes--) {
        *seed = *seed * 1664525 + 1013904223;
        size_t at = (*seed >> 8) % len;
        char piece = pieces[(*seed >> 24) % (sizeof(pieces) - 1)];

        if ((*seed & 3) < 2) {
            out[at] = piece;
        } else if ((*seed & 3) == 2) {
            memmove(out + at, out + at + 1, --len - at);
        } else {
            memmove(out + at + 1, out + at, len++ - at);
            out[at] = piece;
        }
    }
    return len;
}

static void test_heads_read_without_http_parser_are_what_it_reads(void **state) {
    static const char *const heads[] = {
        "GET /kv/k HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
        "HEAD /kv/a?b#c?d HTTP/1.0\r\nConnection: keep-alive, Close\r\nProxy-Connection: close\r\n\r\n",
        "\r\nDELETE /kv/a/b HTTP/1.1\r\nHost:\t[::1]\t \r\nIf-Match: \"1\"\r\nIf-Match: *\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nTTL:\r\n\r\n",
        "POST /batch HTTP/1.1\r\nHost: a\r\nTransfer-Encodings: chunked\r\nContent-Lengths: 5\r\n\r\n",
        "PUT /kv/k HTTP/1.1\r\nHost: a\r\nTransfer-EncodinG : chunked\r\nContent-Lengt: 5\r\n\r\n",
        "PUT /kv/k HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nRange: bytes=1-2\r\nRange: bytes=3-4\r\n\r\n",
        "OPTIONS /kv/ HTTP/1.1\r\nHost: a\r\nOrigin: null\r\nAccept:  */* , text/html\r\nX: \xc3\xa4\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/b HTTP/1.1\r\nHost: b\r\n\r\n",
    };
    struct transcript ours, theirs;
    uint32_t seed = 1;
    char head[256];

    (void)state;
    for (int i = 0; i < MUTATIONS; i++) {
        size_t len = mutate(heads, sizeof(heads) / sizeof(heads[0]), &seed, head);

        tell_head(head, len, false, &ours);
        tell_head(head, len, true, &theirs);
        if (strcmp(ours.text, theirs.text) != 0) print_error("for: %.*s\n", (int)len, head);
        assert_string_equal(ours.text, theirs.text);
    }
}

#define HUNDRED "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

/* Streams of requests that have the fields of the one before, almost those, and quite others. */
static void test_fields_that_come_again_come_to_the_same(void **state) {
    static const char *const lines[] = {
        "GET /kv/k HTTP/1.1\r\n",    "HEAD /a?b HTTP/1.1\r\n", "\r\nGET /longer HTTP/1.1\r\n",
        "DELETE /k HTTP/1.0\r\n",    "OPTIONS * HTTP/1.1\r\n", "GET http://b:1/x HTTP/1.1\r\n",
        "PUT /kv/kk?a HTTP/1.1\r\n", "GET /kv/k HTTP/1.0\r\n", "CONNECT c:2 HTTP/1.1\r\n",
    };
    static const char *const blocks[] = {
        "Host: a\r\n\r\n",
        "host: a:80\r\nIf-Match: \"1\"\r\nIf-Match: *\r\nAccept: x\r\n\r\n",
        "Connection: keep-alive\r\nHost: a\r\n\r\n",
        "Connection: keep-alive\r\n\r\n",
        "Host: a\r\nContent-Length: 3\r\nTTL: 5\r\n\r\nabc",
        "Host: a\r\nContent-Length: 0\r\n\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Host: a\r\nX: " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
        "\r\nRange: bytes=0-\r\n\r\n", /* too long to be remembered */
    };
    enum { REQUESTS = 5, STREAM = REQUESTS * 1200 };
    struct transcript ours, theirs;
    uint32_t seed = 1;
    char stream[STREAM];

    (void)state;
    for (int i = 0; i < MUTATIONS; i++) {
        size_t len = 0, block = 0;

        for (int n = 0; n < REQUESTS; n++) {
            seed = seed * 1664525 + 1013904223;
            if (n == 0 || (seed >> 8 & 3) == 0) block = (seed >> 10) % (sizeof blocks / sizeof *blocks);
            len += (size_t)snprintf(stream + len, sizeof stream - len, "%s%s",
                                    lines[(seed >> 20) % (sizeof lines / sizeof *lines)], blocks[block]);
        }
        seed = seed * 1664525 + 1013904223;
        if ((seed >> 8 & 3) == 0) stream[(seed >> 10) % len] = (char)(seed >> 24);
        tell_heads(stream, len, false, &ours);
        tell_heads(stream, len, true, &theirs);
        if (strcmp(ours.text, theirs.text) != 0) print_error("for: %.*s\n", (int)len, stream);
        assert_string_equal(ours.text, theirs.text);
    }
}

static void test_lists_may_be_sent_in_several_fields(void **state) {
    struct strobe_http_request request;
    size_t used;

    (void)state;
    assert_true(strobe_http_request_init(&request, NULL));
    assert_int_equal(feed(&request,
                          GET "Accept: text/html\r\nIf-Match: \"1\"\r\nAccept: application/x-ndjson\r\n"
                              "If-Match: W/\"2\", \"3\"\r\n\r\n",
                          &used),
                     STROBE_HTTP_HEAD);
    assert_true(strobe_http_request_accepts(&request, STROBE_HTTP_FIELD_ACCEPT, "application/x-ndjson"));
    assert_false(strobe_http_request_accepts(&request, STROBE_HTTP_FIELD_ACCEPT, "application/json"));
    assert_int_equal(strobe_http_request_match_etag(&request, STROBE_HTTP_FIELD_IF_MATCH, 3, true, true),
                     STROBE_HTTP_ETAG_MATCH);
    assert_int_equal(strobe_http_request_match_etag(&request, STROBE_HTTP_FIELD_IF_MATCH, 2, true, true),
                     STROBE_HTTP_ETAG_NO_MATCH);
    assert_int_equal(strobe_http_request_match_etag(&request, STROBE_HTTP_FIELD_IF_NONE_MATCH, 3, true, false),
                     STROBE_HTTP_ETAG_NO_MATCH);
    strobe_http_request_fini(&request);
}

static void test_an_absolute_target_outranks_host(void **state) {
    struct strobe_http_request request;
    size_t used;

    (void)state;
    assert_true(strobe_http_request_init(&request, NULL));
    assert_int_equal(feed(&request, "GET http://there:8/x HTTP/1.1\r\nHost: here\r\n\r\n", &used), STROBE_HTTP_HEAD);
    assert_slice(request.authority, "there:8");
    assert_slice(request.path, "/x");
    strobe_http_request_fini(&request);
}

static void test_limits_can_be_set(void **state) {
    struct strobe_http_limits limits = {.max_target = 10, .max_fields = 30, .max_count = 2};
    static const struct {
        const char *bytes;
        int status;
    } rows[] = {
        {"GET /3456789012 HTTP/1.1\r\n", 414},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: 789012345678901\r\n\r\n", 431},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\n\r\n", 431},
        {"GET /34567890 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strobe_http_request request;
        size_t used;

        assert_true(strobe_http_request_init(&request, &limits));
        assert_int_equal(feed(&request, rows[i].bytes, &used), rows[i].status ? STROBE_HTTP_BAD : STROBE_HTTP_HEAD);
        assert_int_equal(request.refusal.status, rows[i].status);
        strobe_http_request_fini(&request);
    }
}

struct taken {
    char bytes[16];
    size_t len, room;
};

static bool take_some(void *context, struct strobe_slice piece) {
    struct taken *taken = context;

    if (piece.len > taken->room - taken->len) return false;
    memcpy(taken->bytes + taken->len, piece.data, piece.len);
    taken->len += piece.len;
    return true;
}

static void test_a_body_can_be_taken_as_it_comes(void **state) {
    static const char head[] = "PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n";

    (void)state;
    for (size_t room = 5; room <= 6; room++) {
        struct taken taken = {.room = room};
        struct strobe_http_accept accept = {.max_body = 6, .take = take_some, .context = &taken};
        struct strobe_http_request request;
        size_t used;

        assert_true(strobe_http_request_init(&request, NULL));
        assert_int_equal(feed(&request, head, &used), STROBE_HTTP_HEAD);
        assert_true(strobe_http_request_accept(&request, &accept));
        assert_int_equal(feed(&request, "abc", &used), STROBE_HTTP_MORE);
        assert_int_equal(taken.len, 3);
        if (room == 6) {
            assert_int_equal(feed(&request, "defGET", &used), STROBE_HTTP_DONE);
            assert_int_equal(used, 3);
            assert_memory_equal(taken.bytes, "abcdef", 6);
            assert_int_equal(request.body.len, 0);
        } else {
            assert_int_equal(feed(&request, "def", &used), STROBE_HTTP_BAD);
            assert_int_equal(request.refusal.status, 503);
        }
        strobe_http_request_fini(&request);
    }
}

/* Feeds BYTES in pieces of STEP bytes, each in memory of its own, which lives to the end of the next. */
static enum strobe_http_step feed_in_steps(struct strobe_http_request *request, const char *bytes, size_t step,
                                           const struct strobe_http_accept *accept) {
    enum strobe_http_step said = STROBE_HTTP_MORE;
    size_t len = strlen(bytes), at = 0, used;

    while (at < len && said == STROBE_HTTP_MORE) {
        size_t size = len - at < step ? len - at : step, taken = 0;
        char *piece = test_malloc(size);

        memcpy(piece, bytes + at, size);
        do {
            said = strobe_http_request_feed(request, piece + taken, size - taken, &used);
            taken += used;
            if (said == STROBE_HTTP_HEAD) assert_true(strobe_http_request_accept(request, accept));
        } while (said == STROBE_HTTP_HEAD);
        at += taken;
        if (said == STROBE_HTTP_DONE) assert_true(strobe_http_request_keep(request));
        test_free(piece);
    }
    assert_int_equal(at, len);
    return said;
}

static void test_a_body_is_taken_once_it_is_long_enough(void **state) {
    static const char bytes[] = "PUT /kv/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                                "chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n4\r\nefgh\r\n0\r\n\r\n";

    (void)state;
    for (size_t from = 0; from <= 10; from++) {
        for (size_t step = 1; step < sizeof bytes; step++) {
            struct taken taken = {.room = sizeof taken.bytes};
            struct strobe_http_accept accept = {.max_body = 8, .take = take_some, .take_from = from, .context = &taken};
            struct strobe_http_request request;

            assert_true(strobe_http_request_init(&request, NULL));
            assert_int_equal(feed_in_steps(&request, bytes, step, &accept), STROBE_HTTP_DONE);
            assert_int_equal(taken.len, from <= 8 ? 8 : 0);
            assert_int_equal(request.body.len, from <= 8 ? 0 : 8);
            assert_memory_equal(from <= 8 ? taken.bytes : request.body.data, "abcdefgh", 8);
            strobe_http_request_next(&request);
            assert_int_equal(strobe_http_request_memory(&request), 0);
            strobe_http_request_fini(&request);
        }
    }
}

static void test_a_request_that_is_kept_outlives_its_bytes(void **state) {
    static const char bytes[] = "PUT /kv/a?b HTTP/1.1\r\nHost: a\r\nTTL: 30\r\nContent-Length: 6\r\n\r\nabcdef";

    (void)state;
    for (size_t step = 1; step < sizeof bytes; step++) {
        const struct strobe_http_accept accept = {.max_body = 6};
        struct strobe_http_request request;

        assert_true(strobe_http_request_init(&request, NULL));
        assert_int_equal(feed_in_steps(&request, bytes, step, &accept), STROBE_HTTP_DONE);
        assert_true(strobe_slice_equal(request.path, STROBE_SLICE("/kv/a")));
        assert_true(strobe_slice_equal(request.query, STROBE_SLICE("b")));
        assert_true(strobe_slice_equal(request.body, STROBE_SLICE("abcdef")));
        assert_true(strobe_slice_equal(strobe_http_request_field(&request, STROBE_HTTP_FIELD_TTL), STROBE_SLICE("30")));
        strobe_http_request_fini(&request);
    }
}

static void test_a_hundred_pipelined_requests_with_an_error_in_the_middle(void **state) {
    struct text text = {test_malloc(8192), 0};
    struct transcript out;

    (void)state;
    for (int i = 0; i < 100; i++) add(&text, i == 50 ? "GET / HTTP/1.1\r\n\r\n" : GET "\r\n");
    run(text.data, text.len, text.len, 0, &out);
    assert_int_equal(out.len, 50 * strlen("GET / keep | ") + strlen("400"));
    test_free(text.data);
}

static void test_each_failing_allocation_is_a_refusal(void **state) {
    static const char bytes[] = PUT TE "\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n" PUT "Content-Length: 5\r\n\r\nhello";
    struct transcript out;
    bool failed = true;

    (void)state;
    for (size_t nth = 1; failed; nth++) { /* 0 is init's own */
        struct strobe_http_request request;
        bool open = true;

        out.len = 0;
        out.text[0] = '\0';
        fail_allocation(nth);
        assert_true(strobe_http_request_init(&request, NULL));
        for (size_t at = 0; open && at < sizeof(bytes) - 1; at++) open = feed_piece(&request, bytes + at, 1, &out);
        failed = allocation_failed();
        fail_allocation(SIZE_MAX);
        strobe_http_request_fini(&request);
        if (failed) assert_non_null(strstr(out.text, "503"));
    }
    assert_string_equal(out.text, "PUT /k [helloworld] keep | PUT /k [hello] keep");
    fail_allocation(0);
    assert_false(strobe_http_request_init(&(struct strobe_http_request){0}, NULL));
    fail_allocation(SIZE_MAX);
}

static int setup(void **state) {
    (void)state;
    strobe_http_request_setup(0);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_lines_are_strict),
        cmocka_unit_test(test_a_few_empty_lines_before_a_request_are_skipped),
        cmocka_unit_test(test_only_1_0_and_1_1_are_served),
        cmocka_unit_test(test_targets_have_four_forms),
        cmocka_unit_test(test_fields_are_strict),
        cmocka_unit_test(test_connections_persist_as_asked),
        cmocka_unit_test(test_lengths_are_one_number),
        cmocka_unit_test(test_chunks_are_strict),
        cmocka_unit_test(test_chunked_is_the_only_coding),
        cmocka_unit_test(test_smuggling_finds_no_second_reading),
        cmocka_unit_test(test_expectations_are_met_or_refused),
        cmocka_unit_test(test_target_may_be_as_long_as_the_limit),
        cmocka_unit_test(test_fields_may_be_as_long_as_the_limit),
        cmocka_unit_test(test_fields_may_be_as_many_as_the_limit),
        cmocka_unit_test(test_chunk_extensions_may_be_as_long_as_the_limit),
        cmocka_unit_test(test_trailers_may_be_as_long_as_the_limit),
        cmocka_unit_test(test_head_is_seen_before_the_body_comes),
        cmocka_unit_test(test_a_whole_body_is_borrowed),
        cmocka_unit_test(test_a_discarded_body_is_counted_and_not_kept),
        cmocka_unit_test(test_an_announced_length_takes_no_memory),
        cmocka_unit_test(test_large_bodies_arrive_whole),
        cmocka_unit_test(test_nothing_is_read_after_close),
        cmocka_unit_test(test_every_known_field_is_found),
        cmocka_unit_test(test_heads_read_without_http_parser_are_what_it_reads),
        cmocka_unit_test(test_fields_that_come_again_come_to_the_same),
        cmocka_unit_test(test_lists_may_be_sent_in_several_fields),
        cmocka_unit_test(test_an_absolute_target_outranks_host),
        cmocka_unit_test(test_limits_can_be_set),
        cmocka_unit_test(test_a_body_can_be_taken_as_it_comes),
        cmocka_unit_test(test_a_body_is_taken_once_it_is_long_enough),
        cmocka_unit_test(test_a_request_that_is_kept_outlives_its_bytes),
        cmocka_unit_test(test_a_hundred_pipelined_requests_with_an_error_in_the_middle),
        cmocka_unit_test(test_each_failing_allocation_is_a_refusal),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

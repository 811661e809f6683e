/* fuzz_http.c - any bytes as a stream of HTTP requests: whole, byte by byte, and in random pieces, with one outcome.
 *
 * The first byte chooses the pieces and whether bodies are kept. Also held: the guard and http-parser never disagree,
 * a head that http-parser need not see comes to the same when it does, and a request borrows nothing from a piece that
 * is gone (each has memory of its own). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/http_request.h"

enum { MAX_BODY = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void say(struct strobe_buf *out, struct strobe_slice slice) {
    uint32_t len = (uint32_t)slice.len;

    if (strobe_buf_append(out, strobe_slice_make((const char *)&len, sizeof(len))) != STROBE_BUF_OK) abort();
    if (strobe_buf_append(out, slice) != STROBE_BUF_OK) abort();
}

static void say_number(struct strobe_buf *out, uint64_t number) {
    say(out, strobe_slice_make((const char *)&number, sizeof(number)));
}

static void say_refusal(struct strobe_buf *out, const struct strobe_http_request *request) {
    if (request->refusal.detail == strobe_http_disagreement) abort();
    if (request->refusal.status < 400 || request->refusal.status > 599) abort();
    say_number(out, (uint64_t)request->refusal.status);
    say(out, strobe_slice_make(request->refusal.detail, strlen(request->refusal.detail)));
    say_number(out, (uint64_t)request->method);
}

static void say_request(struct strobe_buf *out, const struct strobe_http_request *request) {
    struct strobe_slice value;
    size_t at = 0;

    say_number(out, (uint64_t)request->method);
    say_number(out, (uint64_t)request->form);
    say_number(out, (uint64_t)request->minor);
    say_number(out, request->keep_alive);
    say_number(out, request->content_length);
    say(out, request->target);
    say(out, request->path);
    say(out, request->query);
    say(out, request->authority);
    say(out, request->body);
    for (int field = 0; field < STROBE_HTTP_FIELD_COUNT; field++) {
        say(out, strobe_http_request_field(request, (enum strobe_http_field)field));
    }
    while (strobe_http_request_next_value(request, STROBE_SLICE("x"), &at, &value)) say(out, value);
    strobe_http_request_match_etag(request, STROBE_HTTP_FIELD_IF_MATCH, 1, true, true);
    strobe_http_request_accepts(request, STROBE_HTTP_FIELD_ACCEPT, "application/x-ndjson");
}

static bool feed(struct strobe_http_request *request, const char *data, size_t len, bool discard,
                 struct strobe_buf *out) {
    struct strobe_http_accept accept = {.max_body = MAX_BODY, .discard = discard};
    char *piece = malloc(len > 0 ? len : 1);
    bool open = true;
    size_t at = 0;

    memcpy(piece, data, len);
    for (;;) {
        size_t used;
        enum strobe_http_step step = strobe_http_request_feed(request, piece + at, len - at, &used);

        if (used > len - at || (step == STROBE_HTTP_MORE && used != len - at)) abort();
        at += used;
        if (step == STROBE_HTTP_MORE) break;
        if (step == STROBE_HTTP_HEAD && !strobe_http_request_accept(request, &accept)) step = STROBE_HTTP_BAD;
        if (step == STROBE_HTTP_BAD) {
            say_refusal(out, request);
            open = false;
            break;
        }
        if (step == STROBE_HTTP_DONE) {
            say_request(out, request);
            open = request->keep_alive;
            strobe_http_request_next(request);
            if (!open || at == len) break;
        }
    }
    free(piece);
    return open;
}

/* SEED 0: whole, and http-parser sees every head; 1: byte by byte; 2: whole; else random pieces. */
static void run(const char *data, size_t len, uint32_t seed, bool discard, struct strobe_buf *out) {
    const struct strobe_http_limits limits = {.parse_all = seed == 0};
    struct strobe_http_request request;
    size_t at = 0;

    strobe_buf_init(out, (size_t)1 << 30);
    if (!strobe_http_request_init(&request, &limits)) abort();
    while (at < len) {
        size_t piece = len - at;

        if (seed == 1) piece = 1;
        if (seed > 2) {
            seed = seed * 1664525 + 1013904223;
            piece = (seed >> 16) % 40;
            if (piece > len - at) piece = len - at;
        }
        if (piece > 0 && !feed(&request, data + at, piece, discard, out)) break;
        at += piece;
    }
    say_number(out, strobe_http_request_is_idle(&request));
    say_number(out, strobe_http_request_in_head(&request));
    strobe_http_request_fini(&request);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    strobe_http_request_setup(0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct strobe_buf whole, cut;
    const char *bytes = (const char *)data + 1;

    if (size < 1) return 0;
    run(bytes, size - 1, 0, (data[0] & 1) != 0, &whole);
    for (uint32_t seed = 1; seed <= 3; seed++) {
        run(bytes, size - 1, seed < 3 ? seed : data[0] + 3u, (data[0] & 1) != 0, &cut);
        if (!strobe_slice_equal(strobe_buf_bytes(&whole), strobe_buf_bytes(&cut))) abort();
        strobe_buf_fini(&cut);
    }
    strobe_buf_fini(&whole);
    return 0;
}

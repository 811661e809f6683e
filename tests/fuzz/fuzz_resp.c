/* fuzz_resp.c - any bytes through the request parser: whole and in pieces it must read the same, keep to its limits,
 * and look at nothing outside of what it was given (each piece has an allocation of its own).
 *
 * The first two bytes of an input choose the options and how it is cut. libFuzzer's entry point, see tests/fuzz/run. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/resp_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what)                                                   \
    do {                                                             \
        if (!(what)) {                                               \
            (void)fprintf(stderr, "fuzz_resp: not so: %s\n", #what); \
            abort();                                                 \
        }                                                            \
    } while (0)

/* What was read, reduced to a number that other words, another order or another end would change. */
struct trace {
    uint64_t hash;
    size_t requests;
    size_t used;
    enum strobe_resp_fault fault;
    bool idle;
};

static void trace_bytes(struct trace *trace, const void *bytes, size_t len) {
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i++) {
        trace->hash = (trace->hash ^ p[i]) * 1099511628211u;
    }
}

static void trace_request(struct trace *trace, const struct strobe_request *request) {
    MUST(request->argc > 0);
    trace->requests++;
    trace_bytes(trace, &request->argc, sizeof request->argc);
    trace_bytes(trace, &request->size, sizeof request->size);
    trace_bytes(trace, &request->is_inline, sizeof request->is_inline);
    for (size_t i = 0; i < request->argc; i++) {
        trace_bytes(trace, &request->args[i].len, sizeof request->args[i].len);
        trace_bytes(trace, request->args[i].data, request->args[i].len);
    }
}

/* A taker: what it took of one request, one word after the other in one allocation. */
struct taken {
    char bytes[4096];
    size_t len;
    struct {
        size_t word, at, len;
    } words[4096];
    size_t count;
};

static void take_begin(void *context, size_t word, size_t len) {
    struct taken *taken = context;

    MUST(taken->count == 0 || word > taken->words[taken->count - 1].word);
    taken->words[taken->count].word = word;
    taken->words[taken->count].at = taken->len;
    taken->words[taken->count++].len = len;
}

static void take_piece(void *context, struct strobe_slice piece) {
    struct taken *taken = context;

    MUST(piece.len <= sizeof taken->bytes - taken->len);
    memcpy(taken->bytes + taken->len, piece.data, piece.len);
    taken->len += piece.len;
}

static void take_finish(void *context, struct strobe_request *request) {
    struct taken *taken = context;

    MUST(taken->count > 0);
    for (size_t i = 0; i < taken->count; i++) {
        struct strobe_slice *arg = &request->args[taken->words[i].word];

        MUST(taken->words[i].word < request->argc && arg->len == 0);
        *arg = strobe_slice_make(taken->bytes + taken->words[i].at, taken->words[i].len);
    }
    taken->len = taken->count = 0; /* the bytes stay until the next begins, which is after the request was looked at */
}

static void take_drop(void *context) {
    struct taken *taken = context;

    taken->len = taken->count = 0;
}

/* Reads DATA in pieces of PIECE bytes, each time at an address of its own; words from FROM bytes on are taken, 0: none.
 */
static struct trace read_in_pieces(const uint8_t *data, size_t size, size_t piece, size_t from,
                                   const struct strobe_resp_options *options) {
    static struct taken taken;
    const struct strobe_resp_taker taker = {from, take_begin, take_piece, take_finish, take_drop};
    struct trace trace = {.hash = 14695981039346656037u};
    struct strobe_resp_parser parser;
    struct strobe_request requests[2];
    enum strobe_parse parse = STROBE_PARSE_MORE;
    size_t given = 0;
    size_t turn = 0;

    taken.len = taken.count = 0;
    strobe_resp_parser_init(&parser, options);
    if (from > 0) strobe_resp_parser_set_taker(&parser, &taker, &taken);
    strobe_request_init(&requests[0]);
    strobe_request_init(&requests[1]);
    while (parse != STROBE_PARSE_BAD && given < size) {
        given = piece < size - given ? given + piece : size;
        do {
            struct strobe_request *request = &requests[turn++ % 2];
            size_t len = given - trace.used;
            char *input = malloc(len > 0 ? len : 1);
            size_t used;

            MUST(input != NULL);
            if (len > 0) {
                memcpy(input, data + trace.used, len);
            }
            parse = strobe_resp_parser_read(&parser, strobe_slice_make(input, len), request, &used);
            MUST(used <= len);
            if (parse == STROBE_PARSE_DONE) {
                MUST(request->size <= used || from > 0);
                trace_request(&trace, request);
            }
            MUST(parse != STROBE_PARSE_MORE || strobe_resp_parser_want(&parser) > 0);
            trace.used += parse == STROBE_PARSE_BAD ? 0 : used;
            free(input);
        } while (parse == STROBE_PARSE_DONE);
    }
    trace.fault = strobe_resp_parser_fault(&parser);
    trace.idle = trace.fault == STROBE_RESP_FINE && strobe_resp_parser_idle(&parser);
    MUST((trace.fault != STROBE_RESP_FINE) == (parse == STROBE_PARSE_BAD));
    strobe_request_fini(&requests[0]);
    strobe_request_fini(&requests[1]);
    strobe_resp_parser_fini(&parser);
    return trace;
}

/* TAKEN: B had a taker, so that it may have used more of a request that is not whole. */
static void must_agree(const struct trace *a, const struct trace *b, bool taken) {
    MUST(a->requests == b->requests);
    MUST(a->hash == b->hash);
    MUST(a->fault == b->fault);
    MUST(a->idle == b->idle);
    MUST(a->fault != STROBE_RESP_FINE || (taken ? a->used <= b->used : a->used == b->used));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct strobe_resp_options choices[4] = {
        {.max_args = 0},
        {.unauthenticated = true},
        {.max_request = 64, .max_args = 4, .max_inline = 16},
        {.max_inline = 100},
    };
    const struct strobe_resp_options *options;
    struct trace whole, parts;

    if (size < 2 || size > 4096) {
        return 0;
    }
    options = &choices[data[0] % 4];
    whole = read_in_pieces(data + 2, size - 2, size, 0, options);
    parts = read_in_pieces(data + 2, size - 2, 1, 0, options);
    must_agree(&whole, &parts, false);
    parts = read_in_pieces(data + 2, size - 2, 1 + data[1] % 64u, 0, options);
    must_agree(&whole, &parts, false);
    parts = read_in_pieces(data + 2, size - 2, 1, 1, options);
    must_agree(&whole, &parts, true);
    parts = read_in_pieces(data + 2, size - 2, 1 + data[1] % 64u, 1 + data[0] / 4 % 8u, options);
    must_agree(&whole, &parts, true);
    return 0;
}

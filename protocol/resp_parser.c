/* resp_parser.c - requests of the text protocol, read in place.
 *
 *     *3\r\n $3\r\n SET\r\n $1\r\n k\r\n $5\r\n hello\r\n    a multibulk: a count line, then words and their lengths
 *     SET k "hello"\r\n                                        an inline line
 *
 * A word's bytes are skipped by their length, never looked at. What was read of an unfinished request is kept as
 * offsets from its first byte: `at` is the next unread one, `left` words are to come, `body` is the length of the
 * word under way, and nothing before `scanned` needs to be searched for a line's end again.
 *
 * The words of a request that is whole in its first call point into the input at once. Those of an unfinished one are
 * put away in the parser as offsets, and get their address with the last word: linear however often it is cut.
 *
 * With a taker, a large word that has not come whole leaves the input piece by piece. So that it can, what came before
 * it is kept here, and offsets count in the bytes kept, then in the input from `done` on:
 *
 *     *5 $4 MSET $1 a $99999 | <taken> \r\n | $1 b $8888 | <taken ...         kept: "*5 $4 MSET $1 a $99999$1 b $8888"
 *
 * Always: a result depends on the bytes only, not on how they were cut. A length is checked against the limits
 * before one of its bytes is waited for, and no memory follows from a length that was only announced.
 * On failure: BAD with a fault that stays; lack of memory is a fault too.
 * Not here: growing the input (buf.c), answering and closing (server/conn.c). */

#include "protocol/resp_parser.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/number.h"

#define NO_BODY SIZE_MAX

/* The options with their defaults filled in, and a stranger's limits if he is one. */
struct parser_limits {
    size_t bulk, request, args, line;
    bool unauthenticated;
};

static size_t parser_default(size_t option, size_t value) {
    return option != 0 ? option : value;
}

static struct parser_limits parser_limits(const struct strobe_resp_options *options) {
    struct parser_limits limits;
    size_t value = parser_default(options->max_value, STROBE_VALUE_MAX_DEFAULT);

    limits.bulk = value > STROBE_KEY_MAX ? value : STROBE_KEY_MAX;
    limits.request = parser_default(options->max_request, STROBE_REQUEST_MAX_DEFAULT);
    limits.args = parser_default(options->max_args, STROBE_ARGS_MAX);
    limits.line = parser_default(options->max_inline, STROBE_INLINE_MAX);
    limits.unauthenticated = options->unauthenticated;
    if (limits.unauthenticated && limits.request > STROBE_UNAUTHENTICATED_REQUEST_MAX) {
        limits.request = STROBE_UNAUTHENTICATED_REQUEST_MAX;
    }
    return limits;
}

void strobe_resp_parser_init(struct strobe_resp_parser *parser, const struct strobe_resp_options *options) {
    *parser = (struct strobe_resp_parser){.options = options, .body = NO_BODY, .want = 1};
    strobe_buf_init(&parser->kept, SIZE_MAX); /* no more than the limit of a request ever comes to it */
}

/* Lets go of what is held of the unfinished request. */
static void parser_drop(struct strobe_resp_parser *parser) {
    free(parser->words.args);
    parser->words = (struct strobe_request_words){NULL, 0, 0};
    if (parser->gone > 0 || parser->is_taking) {
        strobe_buf_fini(&parser->kept);
        parser->taker->drop(parser->taker_context);
        parser->is_taking = false;
        parser->gone = 0;
    }
}

void strobe_resp_parser_fini(struct strobe_resp_parser *parser) {
    parser_drop(parser);
}

void strobe_resp_parser_set_taker(struct strobe_resp_parser *parser, const struct strobe_resp_taker *taker,
                                  void *context) {
    parser->taker = taker;
    parser->taker_context = context;
}

void strobe_resp_parser_set_options(struct strobe_resp_parser *parser, const struct strobe_resp_options *options) {
    parser->options = options;
}

void strobe_resp_parser_reset(struct strobe_resp_parser *parser) {
    const struct strobe_resp_taker *taker = parser->taker;
    void *context = parser->taker_context;

    parser_drop(parser);
    strobe_resp_parser_init(parser, parser->options);
    strobe_resp_parser_set_taker(parser, taker, context);
}

struct strobe_slice strobe_resp_parser_name(const struct strobe_resp_parser *parser) {
    const struct strobe_slice *first = parser->words.args;

    if (parser->gone == 0 || parser->words.argc == 0) {
        return STROBE_SLICE("");
    }
    return strobe_slice_make(parser->kept.data + (uintptr_t)first->data, first->len);
}

static enum strobe_parse parser_bad(struct strobe_resp_parser *parser, enum strobe_resp_fault fault) {
    parser_drop(parser);
    parser->fault = fault;
    return STROBE_PARSE_BAD;
}

static enum strobe_parse parser_more(struct strobe_resp_parser *parser, size_t want) {
    parser->want = want;
    return STROBE_PARSE_MORE;
}

/* ---- count and length lines -------------------------------------------------------------------- */

/* Reads a whole `*n` or `$n` line of 1 to 9 digits, which is nearly every one. Gives its length with its CRLF, or
 * 0 for whatever is rarer, unfinished or wrong. */
static inline size_t parser_short_line(const char *line, size_t avail, uint64_t *n) {
    size_t end = avail < 12 ? avail : 12; /* the type byte, 9 digits, CRLF */
    size_t i = 1;
    uint64_t sum = 0;

    while (i + 1 < end) {
        unsigned digit = (unsigned)(unsigned char)line[i] - '0';

        if (digit > 9) {
            break;
        }
        sum = sum * 10 + digit;
        i++;
    }
    if (i == 1 || i + 1 >= end || line[i] != '\r' || line[i + 1] != '\n' || (line[1] == '0' && i > 2)) {
        return 0;
    }
    *n = sum;
    return i + 2;
}

/* Reads any line at parser->at: the number behind its type byte into *N, its length with CRLF into *LEN.
 * TOO_LONG and WRONG are the faults of this kind of line. */
static enum strobe_parse parser_line(struct strobe_resp_parser *parser, struct strobe_slice input, size_t max,
                                     enum strobe_resp_fault too_long, enum strobe_resp_fault wrong, int64_t *n,
                                     size_t *len) {
    const char *line = input.data + parser->at;
    size_t avail = input.len - parser->at;
    size_t end = avail <= max ? avail : max + 1;
    size_t from = parser->scanned > parser->at ? parser->scanned - parser->at : 1;
    const char *cr = from < end ? memchr(line + from, '\r', end - from) : NULL;

    if (cr == NULL) {
        parser->scanned = parser->at + (from < end ? end : from);
        return avail > max ? parser_bad(parser, too_long) : parser_more(parser, 2);
    }
    *len = (size_t)(cr - line) + 2;
    if (*len > avail) {
        parser->scanned = parser->at + *len - 2;
        return parser_more(parser, 1);
    }
    if (cr[1] != '\n' || !strobe_number_parse_int64(strobe_slice_make(line + 1, *len - 3), n)) {
        return parser_bad(parser, wrong);
    }
    return STROBE_PARSE_DONE;
}

/* Reads the `*n` line; parser->left becomes n, or 0 for a request without words. */
static enum strobe_parse parser_count(struct strobe_resp_parser *parser, struct strobe_slice input,
                                      const struct parser_limits *limits) {
    uint64_t count = 0;
    size_t len = parser->scanned == 0 ? parser_short_line(input.data, input.len, &count) : 0;

    if (len == 0) {
        int64_t n;
        enum strobe_parse parse = parser_line(parser, input, limits->line, STROBE_RESP_BIG_MULTIBULK_COUNT,
                                              STROBE_RESP_MULTIBULK_LENGTH, &n, &len);

        if (parse != STROBE_PARSE_DONE) {
            return parse;
        }
        count = n < 0 ? 0 : (uint64_t)n; /* Redis: as if nothing was said */
    }
    if (count > limits->args) {
        return parser_bad(parser, STROBE_RESP_MULTIBULK_LENGTH);
    }
    if (limits->unauthenticated && count > STROBE_UNAUTHENTICATED_ARGS_MAX) {
        return parser_bad(parser, STROBE_RESP_UNAUTHENTICATED_MULTIBULK);
    }
    parser->at = len;
    parser->left = (size_t)count;
    return STROBE_PARSE_DONE;
}

/* Is a word of LEN bytes, which begins at offset AT, within the limits? */
static enum strobe_resp_fault parser_check_body(const struct parser_limits *limits, size_t at, uint64_t len) {
    if (len > limits->bulk) {
        return STROBE_RESP_BULK_LENGTH;
    }
    if (limits->unauthenticated && len > STROBE_UNAUTHENTICATED_BULK_MAX) {
        return STROBE_RESP_UNAUTHENTICATED_BULK;
    }
    if (at > limits->request || len + 2 > limits->request - at) {
        return limits->unauthenticated ? STROBE_RESP_UNAUTHENTICATED_REQUEST : STROBE_RESP_BIG_REQUEST;
    }
    return STROBE_RESP_FINE;
}

/* Reads the `$n` line at parser->at and moves behind it; parser->body becomes n. */
static enum strobe_parse parser_length(struct strobe_resp_parser *parser, struct strobe_slice input,
                                       const struct parser_limits *limits) {
    const char *line = input.data + parser->at;
    size_t avail = input.len - parser->at;
    enum strobe_resp_fault fault;
    uint64_t body = 0;
    size_t len;

    if (avail == 0) {
        return parser_more(parser, 4);
    }
    if (line[0] != '$') {
        parser->got = line[0];
        return parser_bad(parser, STROBE_RESP_EXPECTED_DOLLAR);
    }
    len = parser->scanned <= parser->at ? parser_short_line(line, avail, &body) : 0;
    if (len == 0) {
        int64_t n;
        enum strobe_parse parse =
            parser_line(parser, input, limits->line, STROBE_RESP_BIG_BULK_COUNT, STROBE_RESP_BULK_LENGTH, &n, &len);

        if (parse != STROBE_PARSE_DONE) {
            return parse;
        }
        body = n < 0 ? UINT64_MAX : (uint64_t)n;
    }
    fault = parser_check_body(limits, parser->gone + parser->at + len, body);
    if (fault != STROBE_RESP_FINE) {
        return parser_bad(parser, fault);
    }
    parser->at += len;
    parser->body = (size_t)body;
    return STROBE_PARSE_DONE;
}

/* ---- multibulks -------------------------------------------------------------------------------- */

/* Adds DELTA to where each word begins: an input's address makes offsets pointers, its negative takes it back. */
static void parser_shift_words(struct strobe_request *request, uintptr_t delta) {
    for (size_t i = 0; i < request->argc; i++) {
        request->args[i].data = (const char *)((uintptr_t)request->args[i].data + delta);
    }
}

/* Reads words as long as each is whole, within the limits and easy to read, which nearly all are; where it stops,
 * parser_words() finds out why. Keeps its place in registers, for this is where the time of a batch goes. */
static void parser_easy_words(struct strobe_resp_parser *parser, struct strobe_slice input,
                              struct strobe_request *request, const struct parser_limits *limits, uintptr_t origin) {
    size_t most = limits->request > parser->gone ? limits->request - parser->gone : 0;
    size_t end = input.len < most ? input.len : most;
    size_t max = limits->unauthenticated ? STROBE_UNAUTHENTICATED_BULK_MAX : limits->bulk;
    size_t at = parser->at;
    size_t left = parser->left;

    while (left > 0 && at < end && request->argc < request->capacity && input.data[at] == '$') {
        uint64_t body = 0;
        size_t len = parser_short_line(input.data + at, end - at, &body);
        size_t start = at + len;

        if (len == 0 || body > max || end - start < body + 2) {
            break;
        }
        if (input.data[start + body] != '\r' || input.data[start + body + 1] != '\n') {
            break;
        }
        request->args[request->argc++] = strobe_slice_make((const char *)(origin + start), (size_t)body);
        at = start + (size_t)body + 2;
        left--;
    }
    parser->at = at;
    parser->left = left;
}

/* The number that stands for the input's first byte in the offsets of words. */
static uintptr_t parser_origin(const struct strobe_resp_parser *parser) {
    return (uintptr_t)strobe_buf_len(&parser->kept) - parser->done;
}

/* Shall the word under way, of which not all is in the input, be taken? */
static bool parser_may_take(const struct strobe_resp_parser *parser) {
    return parser->taker != NULL && parser->body >= parser->taker->from;
}

/* Takes what is here of the word under way. DONE: that was all of it, and its end. */
static enum strobe_parse parser_take(struct strobe_resp_parser *parser, struct strobe_slice input) {
    size_t avail = input.len - parser->at;
    size_t left = parser->body - parser->taken;
    size_t len = avail < left ? avail : left;

    if (len > 0) {
        parser->taker->take(parser->taker_context, strobe_slice_make(input.data + parser->at, len));
    }
    parser->taken += len;
    parser->at += len;
    parser->done = parser->at;
    if (avail < left + 2) {
        return parser_more(parser, left + 2 - avail);
    }
    if (input.data[parser->at] != '\r' || input.data[parser->at + 1] != '\n') {
        return parser_bad(parser, STROBE_RESP_EXPECTED_CRLF);
    }
    parser->at += 2;
    parser->done = parser->at;
    return STROBE_PARSE_DONE;
}

/* Keeps what came before the word under way, which is word number WORD, and takes what is here of it. */
static enum strobe_parse parser_begin_taking(struct strobe_resp_parser *parser, struct strobe_slice input,
                                             size_t word) {
    struct strobe_slice before = strobe_slice_make(input.data + parser->done, parser->at - parser->done);

    if (strobe_buf_append(&parser->kept, before) != STROBE_BUF_OK) {
        return parser_bad(parser, STROBE_RESP_NO_MEMORY);
    }
    parser->is_taking = true;
    parser->taken = 0;
    parser->taker->begin(parser->taker_context, word, parser->body);
    return parser_take(parser, input);
}

/* Reads the words that are left into REQUEST; ORIGIN is the number that stands for the input's first byte. */
static enum strobe_parse parser_words(struct strobe_resp_parser *parser, struct strobe_slice input,
                                      struct strobe_request *request, const struct parser_limits *limits,
                                      uintptr_t origin) {
    for (;;) {
        size_t body;

        if (parser->body == NO_BODY) {
            enum strobe_parse parse;

            if (parser->scanned <= parser->at) {
                parser_easy_words(parser, input, request, limits, origin);
            }
            if (parser->left == 0) {
                return STROBE_PARSE_DONE;
            }
            parse = parser_length(parser, input, limits);
            if (parse != STROBE_PARSE_DONE) {
                return parse;
            }
        }
        body = parser->body;
        if (input.len - parser->at < body + 2) {
            return parser_may_take(parser) ? parser_begin_taking(parser, input, request->argc)
                                           : parser_more(parser, body + 2 - (input.len - parser->at));
        }
        if (input.data[parser->at + body] != '\r' || input.data[parser->at + body + 1] != '\n') {
            return parser_bad(parser, STROBE_RESP_EXPECTED_CRLF);
        }
        if (strobe_request_add(request, strobe_slice_make((const char *)(origin + parser->at), body)) !=
            STROBE_BUF_OK) {
            return parser_bad(parser, STROBE_RESP_NO_MEMORY);
        }
        parser->at += body + 2;
        parser->body = NO_BODY;
        parser->left--;
    }
}

/* Goes on with the word under way as far as that needs no look at the others. DONE: REQUEST may be read on. */
static enum strobe_parse parser_resume(struct strobe_resp_parser *parser, struct strobe_slice input) {
    if (parser->is_taking) {
        return parser_take(parser, input);
    }
    if (parser->body != NO_BODY && input.len - parser->at < parser->body + 2 && !parser_may_take(parser)) {
        return parser_more(parser, parser->body + 2 - (input.len - parser->at));
    }
    return STROBE_PARSE_DONE;
}

/* The word under way was taken whole: REQUEST gets an empty one in its place. */
static bool parser_add_taken(struct strobe_resp_parser *parser, struct strobe_request *request) {
    parser->is_taking = false;
    parser->body = NO_BODY;
    parser->left--;
    return strobe_request_add(request, strobe_slice_make((const char *)(parser_origin(parser) + parser->at), 0)) ==
           STROBE_BUF_OK;
}

/* REQUEST is whole, and its words are offsets: makes them what they stand for. */
static void parser_place_words(struct strobe_resp_parser *parser, struct strobe_slice input,
                               struct strobe_request *request) {
    size_t kept = strobe_buf_len(&parser->kept);
    uintptr_t delta = (uintptr_t)input.data - parser_origin(parser);

    if (parser->gone == 0) {
        parser_shift_words(request, delta);
        return;
    }
    for (size_t i = 0; i < request->argc; i++) {
        uintptr_t at = (uintptr_t)request->args[i].data;

        request->args[i].data = at < kept ? parser->kept.data + at : (const char *)(at + delta);
    }
    strobe_request_adopt(request, &parser->kept);
    parser->taker->finish(parser->taker_context, request);
}

/* More is needed: what is done with goes, and the words of REQUEST are put away. RESUMED: they are offsets already. */
static enum strobe_parse parser_pause(struct strobe_resp_parser *parser, struct strobe_slice input,
                                      struct strobe_request *request, bool resumed, size_t *used) {
    if (request->argc > 0) {
        if (!resumed) {
            parser_shift_words(request, 0 - (uintptr_t)input.data);
        }
        if (strobe_request_put_away(request, &parser->words) != STROBE_BUF_OK) {
            return parser_bad(parser, STROBE_RESP_NO_MEMORY);
        }
    }
    *used = parser->done;
    parser->gone += parser->done;
    parser->at -= parser->done;
    parser->scanned = parser->scanned > parser->done ? parser->scanned - parser->done : 0;
    parser->done = 0;
    return STROBE_PARSE_MORE;
}

static enum strobe_parse parser_multibulk(struct strobe_resp_parser *parser, struct strobe_slice input,
                                          struct strobe_request *request, const struct parser_limits *limits,
                                          size_t *used) {
    bool resumed = parser->words.args != NULL || parser->gone > 0;
    bool was_taking = parser->is_taking;
    enum strobe_parse parse = parser->left == 0 ? parser_count(parser, input, limits) : parser_resume(parser, input);

    if (parse == STROBE_PARSE_DONE) {
        if (parser->words.args != NULL) {
            strobe_request_bring_back(request, &parser->words);
        }
        if (was_taking && !parser_add_taken(parser, request)) {
            return parser_bad(parser, STROBE_RESP_NO_MEMORY);
        }
        parse = parser_words(parser, input, request, limits, resumed ? parser_origin(parser) : (uintptr_t)input.data);
    }
    if (parse == STROBE_PARSE_MORE) {
        return parser_pause(parser, input, request, resumed, used);
    }
    if (parse == STROBE_PARSE_DONE) {
        if (resumed) {
            parser_place_words(parser, input, request);
        }
        *used = parser->at;
    }
    return parse;
}

/* ---- inline lines ------------------------------------------------------------------------------ */

enum { IS_SPACE = 1, ENDS_WORD = 2, IS_QUOTE = 4 };

/* What a byte means outside quotes. A vertical tab or form feed is skipped between words, but part of one. */
static const unsigned char byte_kinds[256] = {
    ['\t'] = IS_SPACE | ENDS_WORD,
    ['\n'] = IS_SPACE | ENDS_WORD,
    ['\r'] = IS_SPACE | ENDS_WORD,
    [' '] = IS_SPACE | ENDS_WORD,
    ['\v'] = IS_SPACE,
    ['\f'] = IS_SPACE,
    ['"'] = IS_QUOTE,
    ['\''] = IS_QUOTE,
};

static bool parser_is(char c, unsigned kinds) {
    return (byte_kinds[(unsigned char)c] & kinds) != 0;
}

/* The value of a hexadecimal digit, or 16. */
static unsigned parser_hex(char c) {
    unsigned digit = (unsigned)(unsigned char)c - '0';
    unsigned letter = (unsigned)strobe_ascii_lower(c) - 'a';

    return digit < 10 ? digit : letter < 6 ? letter + 10 : 16;
}

static char parser_escape(char c) {
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

/* Reads what follows the backslash at AT in double quotes into *C. Gives how many bytes that took. */
static size_t parser_unescape(struct strobe_slice line, size_t at, char *c) {
    const char *p = line.data + at;
    size_t avail = line.len - at;

    if (avail >= 4 && p[1] == 'x' && parser_hex(p[2]) < 16 && parser_hex(p[3]) < 16) {
        *c = (char)(parser_hex(p[2]) * 16 + parser_hex(p[3]));
        return 4;
    }
    *c = parser_escape(p[1]);
    return 2;
}

/* Reads a quoted text, *AT being behind its opening QUOTE, to *TO. false: it is not closed, or something other than
 * a space follows. */
static bool parser_unquote(struct strobe_slice line, size_t *at, char quote, char **to) {
    size_t i = *at;

    while (i < line.len) {
        char c = line.data[i];
        size_t took = 1;

        if (c == quote) {
            *at = i + 1;
            return *at == line.len || parser_is(line.data[*at], IS_SPACE);
        }
        if (c == '\\' && i + 1 < line.len) {
            if (quote == '"') {
                took = parser_unescape(line, i, &c);
            } else if (line.data[i + 1] == '\'') {
                c = '\'';
                took = 2;
            }
        }
        *(*to)++ = c;
        i += took;
    }
    return false;
}

/* Splits LINE into REQUEST's words: slices of the line, but texts with quotes, which end a word as they end,
 * are rewritten in the request's scratch (never longer than the line). */
static enum strobe_resp_fault parser_split(struct strobe_slice line, struct strobe_request *request) {
    char *to = NULL;
    size_t at = 0;

    for (;;) {
        struct strobe_slice word;

        while (at < line.len && parser_is(line.data[at], IS_SPACE)) {
            at++;
        }
        if (at == line.len) {
            return STROBE_RESP_FINE;
        }
        word = strobe_slice_make(line.data + at, 0);
        while (at < line.len && !parser_is(line.data[at], ENDS_WORD | IS_QUOTE)) {
            at++;
            word.len++;
        }
        if (at < line.len && parser_is(line.data[at], IS_QUOTE)) {
            if (to == NULL && (to = strobe_request_scratch(request, line.len)) == NULL) {
                return STROBE_RESP_NO_MEMORY;
            }
            memcpy(to, word.data, word.len);
            word.data = to;
            to += word.len;
            at++;
            if (!parser_unquote(line, &at, line.data[at - 1], &to)) {
                return STROBE_RESP_UNBALANCED_QUOTES;
            }
            word.len = (size_t)(to - word.data);
        }
        if (strobe_request_add(request, word) != STROBE_BUF_OK) {
            return STROBE_RESP_NO_MEMORY;
        }
    }
}

/* What a browser that was talked into it would say here (Redis: "cross protocol scripting"). */
static bool parser_is_http(const struct strobe_request *request) {
    return request->argc > 0 && (strobe_slice_equal_nocase(request->args[0], STROBE_SLICE("post")) ||
                                 strobe_slice_starts_nocase(request->args[0], STROBE_SLICE("host:")));
}

static enum strobe_parse parser_inline(struct strobe_resp_parser *parser, struct strobe_slice input,
                                       struct strobe_request *request, const struct parser_limits *limits,
                                       size_t *used) {
    size_t max = limits->line < limits->request ? limits->line : limits->request;
    size_t end = input.len <= max ? input.len : max + 1;
    const char *lf = NULL;
    enum strobe_resp_fault fault;
    struct strobe_slice line;

    if (parser->scanned < end) {
        lf = memchr(input.data + parser->scanned, '\n', end - parser->scanned);
    }
    if (lf == NULL) {
        parser->scanned = end;
        return input.len > max ? parser_bad(parser, STROBE_RESP_BIG_INLINE) : parser_more(parser, 1);
    }
    line = strobe_slice_make(input.data, (size_t)(lf - input.data));
    *used = line.len + 1;
    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    fault = parser_split(line, request);
    if (fault == STROBE_RESP_FINE && parser_is_http(request)) {
        fault = STROBE_RESP_HTTP;
    }
    request->is_inline = true;
    return fault == STROBE_RESP_FINE ? STROBE_PARSE_DONE : parser_bad(parser, fault);
}

/* ---- both -------------------------------------------------------------------------------------- */

/* Reads one multibulk or line, which may be without words. */
static enum strobe_parse parser_one(struct strobe_resp_parser *parser, struct strobe_slice input,
                                    struct strobe_request *request, const struct parser_limits *limits, size_t *used) {
    enum strobe_parse parse;

    if (parser->left > 0 || input.data[0] == '*') {
        parse = parser_multibulk(parser, input, request, limits, used);
    } else {
        parse = parser_inline(parser, input, request, limits, used);
    }
    if (parse == STROBE_PARSE_DONE) {
        request->size = parser->gone + *used;
        parser->at = 0;
        parser->scanned = 0;
        parser->gone = 0;
        parser->done = 0;
    }
    return parse;
}

enum strobe_parse strobe_resp_parser_read(struct strobe_resp_parser *parser, struct strobe_slice input,
                                          struct strobe_request *request, size_t *used) {
    struct parser_limits limits = parser_limits(parser->options);
    enum strobe_parse parse = STROBE_PARSE_DONE;

    strobe_request_reset(request);
    *used = 0;
    if (parser->fault != STROBE_RESP_FINE) {
        return STROBE_PARSE_BAD;
    }
    while (*used < input.len) {
        struct strobe_slice rest = strobe_slice_make(input.data + *used, input.len - *used);
        size_t took = 0;

        parse = parser_one(parser, rest, request, &limits, &took);
        *used += took;
        if (parse != STROBE_PARSE_DONE) {
            strobe_request_reset(request);
            return parse;
        }
        if (request->argc > 0) {
            return STROBE_PARSE_DONE;
        }
        request->is_inline = false;
    }
    return parser_more(parser, parser->left > 0 ? parser->want : 1);
}

/* ---- faults ------------------------------------------------------------------------------------ */

/* Name for logs, words for the peer. */
static const struct {
    const char *name, *text;
} faults[STROBE_RESP_FAULTS] = {
    [STROBE_RESP_FINE] = {"fine", ""},
    [STROBE_RESP_MULTIBULK_LENGTH] = {"multibulk-length", "invalid multibulk length"},
    [STROBE_RESP_BULK_LENGTH] = {"bulk-length", "invalid bulk length"},
    [STROBE_RESP_UNAUTHENTICATED_MULTIBULK] = {"unauthenticated-multibulk", "unauthenticated multibulk length"},
    [STROBE_RESP_UNAUTHENTICATED_BULK] = {"unauthenticated-bulk", "unauthenticated bulk length"},
    [STROBE_RESP_UNAUTHENTICATED_REQUEST] = {"unauthenticated-request", "unauthenticated request length"},
    [STROBE_RESP_EXPECTED_DOLLAR] = {"expected-dollar", "expected '$', got '"},
    [STROBE_RESP_EXPECTED_CRLF] = {"expected-crlf", "expected CRLF after a bulk of its length"},
    [STROBE_RESP_UNBALANCED_QUOTES] = {"unbalanced-quotes", "unbalanced quotes in request"},
    [STROBE_RESP_BIG_INLINE] = {"big-inline", "too big inline request"},
    [STROBE_RESP_BIG_MULTIBULK_COUNT] = {"big-multibulk-count", "too big mbulk count string"},
    [STROBE_RESP_BIG_BULK_COUNT] = {"big-bulk-count", "too big bulk count string"},
    [STROBE_RESP_BIG_REQUEST] = {"big-request", "request larger than max-request"},
    [STROBE_RESP_HTTP] = {"http", "this is not the HTTP port"},
    [STROBE_RESP_NO_MEMORY] = {"no-memory", "out of memory"},
};

const char *strobe_resp_parser_error(const struct strobe_resp_parser *parser, char text[STROBE_RESP_ERROR_TEXT]) {
    bool dollar = parser->fault == STROBE_RESP_EXPECTED_DOLLAR;
    char got[3] = {parser->got != '\0' ? parser->got : ' ', '\'', '\0'};

    (void)snprintf(text, STROBE_RESP_ERROR_TEXT, "Protocol error: %s%s", faults[parser->fault].text, dollar ? got : "");
    return text;
}

const char *strobe_resp_fault_name(enum strobe_resp_fault fault) {
    return faults[fault].name;
}

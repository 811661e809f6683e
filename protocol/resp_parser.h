/* resp_parser.h - reads requests of the text protocol: RESP multibulks and inline lines, mixed at will.
 *
 * Format: https://redis.io/docs/reference/protocol-spec/ ; what it leaves open is as redis-server 7 does it.
 * RESP3 changes replies only, so one parser serves both. Input may be cut at any byte:
 *
 *     give it the unconsumed bytes, from the same first byte, at whatever address; it goes on where it stopped.
 *
 * One thread at a time. */
#ifndef STROBE_PROTOCOL_RESP_PARSER_H
#define STROBE_PROTOCOL_RESP_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/request.h"
#include "protocol/slice.h"

/* Zero means the default of limits.h. Shared by many parsers; may change between calls. */
struct strobe_resp_options {
    size_t max_value;     /* bytes of one word, or STROBE_KEY_MAX if that is more: then the command refuses a value */
    size_t max_request;   /* bytes of one whole request: max-request */
    size_t max_args;      /* words of one multibulk */
    size_t max_inline;    /* bytes of one inline or count line, before its end */
    bool unauthenticated; /* SPEC 8: the limits of a stranger in place of larger ones, in Redis's words */
};

/* Why an input is BAD. strobe_resp_parser_error() has the words. */
enum strobe_resp_fault {
    STROBE_RESP_FINE,
    STROBE_RESP_MULTIBULK_LENGTH,
    STROBE_RESP_BULK_LENGTH,
    STROBE_RESP_UNAUTHENTICATED_MULTIBULK,
    STROBE_RESP_UNAUTHENTICATED_BULK,
    STROBE_RESP_UNAUTHENTICATED_REQUEST,
    STROBE_RESP_EXPECTED_DOLLAR,
    STROBE_RESP_EXPECTED_CRLF, /* a word is longer than its length; Redis would silently cut it */
    STROBE_RESP_UNBALANCED_QUOTES,
    STROBE_RESP_BIG_INLINE,
    STROBE_RESP_BIG_MULTIBULK_COUNT,
    STROBE_RESP_BIG_BULK_COUNT,
    STROBE_RESP_BIG_REQUEST,
    STROBE_RESP_HTTP,      /* somebody speaks HTTP to us: close without an answer, and log it */
    STROBE_RESP_NO_MEMORY, /* not the peer's fault */
    STROBE_RESP_FAULTS     /* how many there are */
};

struct strobe_resp_parser {
    const struct strobe_resp_options *options; /* borrowed until fini */
    size_t at;      /* offset of the next unread byte, from the first byte of the unfinished request */
    size_t scanned; /* no line end lies before this offset */
    size_t left;    /* words still to come; 0 between requests */
    size_t body;    /* length of the word whose `$` line was read, or SIZE_MAX */
    size_t want;
    struct strobe_request_words words; /* of the unfinished request, as offsets */
    enum strobe_resp_fault fault;
    char got; /* the byte that was no '$' */
};

/* Starts PARSER, allocating nothing. Borrows OPTIONS until fini or set_options. */
void strobe_resp_parser_init(struct strobe_resp_parser *parser, const struct strobe_resp_options *options);
void strobe_resp_parser_fini(struct strobe_resp_parser *parser);

/* Other limits from the next call on, e.g. after AUTH. Borrows OPTIONS until fini or set_options. */
void strobe_resp_parser_set_options(struct strobe_resp_parser *parser, const struct strobe_resp_options *options);

/* Forgets the unfinished request (and a fault): the next input begins with a request's first byte. For
 * a caller that parsed ahead and gives requests it did not execute back to the unparsed bytes. */
void strobe_resp_parser_reset(struct strobe_resp_parser *parser);

/* Reads one request from INPUT into REQUEST, which is reset first; any request will do, also another
 * one than in the call before. *USED is how many bytes may be dropped:
 *   DONE  a request with at least one word; its words borrow from INPUT (and from REQUEST), so drop the
 *         bytes after executing it.
 *   MORE  REQUEST is empty; *USED bytes held nothing (blank lines, `*0`). Come again with the rest and more.
 *   BAD   see strobe_resp_parser_fault(); for ever so, until a reset. */
enum strobe_parse strobe_resp_parser_read(struct strobe_resp_parser *parser, struct strobe_slice input,
                                          struct strobe_request *request, size_t *used);

/* After MORE: at least this many more bytes are needed before a call can get further; to be handed to
 * strobe_buf_expect(). 1 when not known; announced by the peer, so believe it only as far as bytes arrive. */
static inline size_t strobe_resp_parser_want(const struct strobe_resp_parser *parser) {
    return parser->want;
}

/* Between requests: no byte of a request has been seen (for request-timeout and orderly stops). */
static inline bool strobe_resp_parser_idle(const struct strobe_resp_parser *parser) {
    return parser->at == 0 && parser->scanned == 0;
}

/* Bytes of memory held for an unfinished request. */
static inline size_t strobe_resp_parser_memory(const struct strobe_resp_parser *parser) {
    return parser->words.capacity * sizeof *parser->words.args;
}

static inline enum strobe_resp_fault strobe_resp_parser_fault(const struct strobe_resp_parser *parser) {
    return parser->fault;
}

/* Room for any text of strobe_resp_parser_error(). */
#define STROBE_RESP_ERROR_TEXT 80

/* The fault in Redis's words without the code, e.g. "Protocol error: invalid bulk length", for
 * strobe_reply_error(reply, "ERR", ...). Borrowed until TEXT goes; NUL-terminated. */
const char *strobe_resp_parser_error(const struct strobe_resp_parser *parser, char text[STROBE_RESP_ERROR_TEXT]);

/* A short name of FAULT for logs and metrics, e.g. "bulk-length". */
const char *strobe_resp_fault_name(enum strobe_resp_fault fault);

#endif

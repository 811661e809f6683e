/* resp_parser.h - reads requests of the text protocol: RESP multibulks and inline lines, mixed at will.
 *
 * Format: https://redis.io/docs/reference/protocol-spec/ ; what it leaves open is as redis-server 7 does it.
 * RESP3 changes replies only, so one parser serves both. Input may be cut at any byte:
 *
 *     give it the unconsumed bytes, from the same first byte, at whatever address; it goes on where it stopped.
 *
 * A large word need not lie in the input until the last of its bytes has come: a *taker* may have them as they come.
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

/* Takes the bytes of large words while they come, so that they are neither gathered nor copied twice. All functions get
 * the CONTEXT of strobe_resp_parser_set_taker. One request at a time:
 *
 *     (begin take take ...)  (begin take ...)  finish      or, at any moment, drop */
struct strobe_resp_taker {
    size_t from; /* words of so many bytes and more are taken, if they have not come whole when their turn comes */

    /* Word number WORD of the request under way has LEN bytes, which will come. */
    void (*begin)(void *context, size_t word, size_t len);

    /* The next bytes of that word (borrowed until return). */
    void (*take)(void *context, struct strobe_slice piece);

    /* REQUEST is whole: its words that were taken are empty, and get their bytes now, or stay so. */
    void (*finish)(void *context, struct strobe_request *request);

    /* Nothing comes of the request under way. */
    void (*drop)(void *context);
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
    const struct strobe_resp_taker *taker;     /* borrowed until fini; NULL: none */
    void *taker_context;
    size_t at;      /* offset of the next unread byte, from the first byte of the unfinished request still there */
    size_t scanned; /* no line end lies before this offset */
    size_t left;    /* words still to come; 0 between requests */
    size_t body;    /* length of the word whose `$` line was read, or SIZE_MAX */
    size_t taken;   /* bytes of it that were taken */
    size_t done;    /* bytes that need not come again; 0 between calls */
    size_t gone;    /* bytes of the unfinished request that do not come again */
    size_t want;
    struct strobe_request_words words; /* of the unfinished request, as offsets */
    struct strobe_buf kept;            /* what is gone of its lines and words, without those taken */
    enum strobe_resp_fault fault;
    bool is_taking; /* the word under way */
    char got;       /* the byte that was no '$' */
};

/* Starts PARSER, allocating nothing. Borrows OPTIONS until fini or set_options. */
void strobe_resp_parser_init(struct strobe_resp_parser *parser, const struct strobe_resp_options *options);
void strobe_resp_parser_fini(struct strobe_resp_parser *parser);

/* Other limits from the next call on, e.g. after AUTH. Borrows OPTIONS until fini or set_options. */
void strobe_resp_parser_set_options(struct strobe_resp_parser *parser, const struct strobe_resp_options *options);

/* Who takes large words, from the next request on. Borrows TAKER and CONTEXT until fini, which may still drop. */
void strobe_resp_parser_set_taker(struct strobe_resp_parser *parser, const struct strobe_resp_taker *taker,
                                  void *context);

/* Forgets the unfinished request (and a fault): the next input begins with a request's first byte. For
 * a caller that parsed ahead and gives requests it did not execute back to the unparsed bytes. */
void strobe_resp_parser_reset(struct strobe_resp_parser *parser);

/* Reads one request from INPUT into REQUEST, which is reset first; any request will do, also another
 * one than in the call before. *USED is how many bytes may be dropped:
 *   DONE  a request with at least one word; its words borrow from INPUT (and from REQUEST, and what the taker gave),
 *         so drop the bytes after executing it.
 *   MORE  REQUEST is empty; *USED bytes held nothing (blank lines, `*0`), or were taken. Come again with the rest and
 *         more; or reset, and come again with these too, if none of them was seen by an earlier call.
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
    return parser->at == 0 && parser->scanned == 0 && parser->gone == 0;
}

/* Is a request under way of which words were taken? Its first word, or an empty one when that was taken itself. */
static inline bool strobe_resp_parser_is_taking(const struct strobe_resp_parser *parser) {
    return parser->gone > 0;
}
struct strobe_slice strobe_resp_parser_name(const struct strobe_resp_parser *parser);

/* Bytes of memory held for an unfinished request, without what was taken. */
static inline size_t strobe_resp_parser_memory(const struct strobe_resp_parser *parser) {
    return parser->words.capacity * sizeof *parser->words.args + parser->kept.capacity;
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

/* http_guard.h - the check that a request passes before http-parser may see it.
 *
 * Two machines without memory of their own: one for a head (request line, fields, blank line), one for a
 * chunked body. Both are told the bytes once, in any cuts, and answer the same for every cut.
 * Thread: each object is used by one thread at a time. */
#ifndef STROBE_PROTOCOL_HTTP_GUARD_H
#define STROBE_PROTOCOL_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/limits.h"
#include "protocol/slice.h"

/* Why something was refused: an HTTP status and a sentence that says what to do (static text, no full stop
 * needed after it). status 0 means not refused. */
struct strobe_http_refusal {
    int status;
    const char *detail;
};

/* The methods that are told apart; every other token is refused with 501. */
#define STROBE_HTTP_METHODS(X) \
    X(GET, "GET")              \
    X(HEAD, "HEAD")            \
    X(PUT, "PUT")              \
    X(POST, "POST")            \
    X(PATCH, "PATCH")          \
    X(DELETE, "DELETE")        \
    X(OPTIONS, "OPTIONS")      \
    X(CONNECT, "CONNECT")      \
    X(TRACE, "TRACE")

/* STROBE_METHOD_GET, ... */
enum strobe_http_method {
#define STROBE_METHOD_ENUM(name, text) STROBE_METHOD_##name,
    STROBE_HTTP_METHODS(STROBE_METHOD_ENUM)
#undef STROBE_METHOD_ENUM
        STROBE_METHOD_COUNT
};

/* "GET". */
const char *strobe_http_method_name(enum strobe_http_method method);

/* RFC 9112 section 3.2. AUTHORITY only with CONNECT, ASTERISK only with OPTIONS, ABSOLUTE only http and https. */
enum strobe_http_form {
    STROBE_HTTP_FORM_ORIGIN,
    STROBE_HTTP_FORM_ABSOLUTE,
    STROBE_HTTP_FORM_AUTHORITY,
    STROBE_HTTP_FORM_ASTERISK
};

/* A place in the head: LEN bytes at HEAD + AT. */
struct strobe_http_span {
    uint32_t at;
    uint32_t len;
};

/* Zero means the default of protocol/limits.h. */
struct strobe_http_limits {
    uint32_t max_target; /* bytes of the request target, else 414 */
    uint32_t max_fields; /* bytes of all header fields with their line ends and the blank line, else 431 */
    uint32_t max_count;  /* header fields, else 431 */
    bool parse_all;      /* for tests: http-parser reads every head, also where it is not asked otherwise */
};

/* Header fields that have passed, word for word, and what they came to: who keeps a connection sends the same ones with
 * every request. Those of a chunked body are none of these. */
struct strobe_http_memo {
    uint16_t len;  /* bytes, with the blank line; 0: nothing is remembered */
    uint8_t minor; /* under this version */
    bool has_length;
    uint32_t content_length;      /* a longer body is not remembered */
    struct strobe_http_span host; /* value of Host; AT counts from the first byte of the fields */
    char bytes[STROBE_HTTP_MEMO_MAX];
};

struct strobe_http_guard {
    struct strobe_http_limits limits;
    const struct strobe_http_memo *memo; /* borrowed, or NULL: passed under the same limits */

    /* Where it stands. */
    uint32_t line;        /* start of the unfinished line */
    uint32_t scanned;     /* no line end lies between line and here */
    uint32_t fields_from; /* start of the first field; 0 while the request line is unfinished */
    uint32_t count;       /* fields so far */
    uint32_t empty_lines; /* before the request line */
    bool has_length;
    bool has_coding;
    bool repeats; /* the fields are those of the memo */

    /* What it found; complete after DONE. */
    struct strobe_http_refusal refusal; /* after BAD */
    enum strobe_http_method method;
    enum strobe_http_form form;
    uint32_t start;                    /* of the request line: empty lines before it are skipped */
    struct strobe_http_span target;    /* as sent */
    struct strobe_http_span authority; /* of an ABSOLUTE or AUTHORITY target, else empty */
    struct strobe_http_span path;  /* begins with '/', or is empty (ABSOLUTE without a path, AUTHORITY), or is '*' */
    struct strobe_http_span query; /* after the '?', without it */
    struct strobe_http_span host;  /* value of Host; len 0 when there is none (only on 1.0) */
    uint64_t content_length;       /* 0 when there is none */
    uint8_t minor;                 /* HTTP/1.minor: 0 or 1 */
    bool has_query;                /* there was a '?' */
    bool chunked;
};

/* Makes GUARD ready for a head. LIMITS may be NULL: all defaults. MEMO, borrowed until the head is done, may be NULL
 * too: fields equal to those in it are not looked at one by one, with the same result. */
void strobe_http_guard_init(struct strobe_http_guard *guard, const struct strobe_http_limits *limits,
                            const struct strobe_http_memo *memo);

/* After DONE: notes in MEMO the fields of this head, or nothing if they are long or of a chunked body. */
void strobe_http_guard_remember(const struct strobe_http_guard *guard, const char *head, struct strobe_http_memo *memo);

/* Checks the head that begins at HEAD. LEN counts all bytes that have arrived since init, in one piece: HEAD may
 * move between calls, the bytes seen before must stay the same. Bytes seen before are not read again.
 * On DONE *HEAD_LEN says how long the head is with its blank line and the empty lines before it; a body may follow.
 * Results: MORE, DONE, BAD (guard->refusal). HEAD is borrowed until return. */
enum strobe_parse strobe_http_guard_check(struct strobe_http_guard *guard, const char *head, size_t len,
                                          size_t *head_len);

/* The next header field of a head that the guard has passed, complete, without white space around its value.
 * *AT is a place in the head: begin with guard->fields_from, it is moved on. Results: no when there is no more. */
bool strobe_http_guard_next_field(const char *head, size_t head_len, size_t *at, struct strobe_http_span *name,
                                  struct strobe_http_span *value);

/* The strict check of a chunked body's framing. */
struct strobe_http_chunks {
    uint64_t max_body; /* bytes of content, else 413 */
    uint64_t total;    /* bytes of content announced by the chunks so far */
    uint64_t left;     /* of the chunk under way, or the size that is being read */
    uint32_t extent;   /* bytes of extension, or of trailers, or digits of the size, so far */
    uint8_t state;
    bool in_trailers;                   /* the last chunk's line is behind us */
    struct strobe_http_refusal refusal; /* after BAD */
};

/* Makes CHUNKS ready for a body of at most MAX_BODY bytes of content. */
void strobe_http_chunks_init(struct strobe_http_chunks *chunks, uint64_t max_body);

/* Checks LEN bytes at DATA (borrowed until return). *USED says how many belong to this body; on MORE that is LEN.
 * *FRAMED says how many of those come before the trailer section: what http-parser may be given.
 * Results: MORE, DONE (the blank line after the trailers was seen), BAD (chunks->refusal). */
enum strobe_parse strobe_http_chunks_check(struct strobe_http_chunks *chunks, const char *data, size_t len,
                                           size_t *used, size_t *framed);

#endif

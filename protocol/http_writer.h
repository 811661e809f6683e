/* http_writer.h - heads, bodies and chunks of HTTP/1.1 replies, appended to a connection's output.
 *
 *      begin(status) field* length(n) body          a body whose size is known
 *      begin(status) field* chunked() chunk* last() a stream
 *      begin(status) field* empty()                 204, 304, or nothing to say
 *
 * Nothing here fails by itself: a lack of memory sticks to the output chain, which the connection asks.
 * Thread: that of the output. */
#ifndef STROBE_PROTOCOL_HTTP_WRITER_H
#define STROBE_PROTOCOL_HTTP_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/buf.h"
#include "protocol/slice.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT": RFC 9110 section 5.6.7, always this long, no NUL needed. */
#define STROBE_HTTP_DATE_LEN 29

/* Writes UNIX_SECONDS (years 1970 to 9999) as an IMF-fixdate into TEXT. Callers do it once a second. */
void strobe_http_date(int64_t unix_seconds, char text[STROBE_HTTP_DATE_LEN]);

/* A reply under way. The caller fills the first part. */
struct strobe_http_reply {
    struct strobe_out *out;           /* borrowed */
    const char *date;                 /* STROBE_HTTP_DATE_LEN bytes, borrowed */
    bool keep_alive;                  /* no: the reply says Connection: close, and the caller closes after it */
    bool is_head;                     /* answers HEAD: the head of GET's reply, no body */
    bool is_http10;                   /* answers HTTP/1.0: keep-alive is said aloud, chunks are not used */
    bool varies;                      /* another Origin would have another answer: Vary says so */
    struct strobe_slice allow_origin; /* whose pages may read it, "*" or an origin (CORS); empty: nothing is said */

    /* inside */
    int status;
    bool chunked;
};

/* Writes status line, Date and, where needed, Connection. STATUS: one of the list in http_writer.c. */
void strobe_http_reply_begin(struct strobe_http_reply *reply, int status);

/* One header field. NAME is ours; in VALUE each byte that is not allowed in a field becomes a space. */
void strobe_http_reply_field(struct strobe_http_reply *reply, const char *name, struct strobe_slice value);
void strobe_http_reply_field_u64(struct strobe_http_reply *reply, const char *name, uint64_t value);

/* ETag: "version". */
void strobe_http_reply_etag(struct strobe_http_reply *reply, uint64_t version);

/* Whole header lines of our own, each with its CRLF: fixed texts that are cheap to send. */
void strobe_http_reply_lines(struct strobe_http_reply *reply, struct strobe_slice lines);

/* Ends the head with Content-Length: LENGTH. The caller then appends the body, itself or with body(), unless
 * wants_body() says no. */
void strobe_http_reply_length(struct strobe_http_reply *reply, uint64_t length);

/* Ends the head of a reply without a body: nothing more for 1xx, 204 and 304, else Content-Length: 0. */
void strobe_http_reply_empty(struct strobe_http_reply *reply);

/* Ends the head of a stream. On HTTP/1.0 the end of the stream is the end of the connection: the caller must have set
 * keep_alive to no before begin() (asserted). */
void strobe_http_reply_chunked(struct strobe_http_reply *reply);

/* Does a body follow the head? Not after HEAD, 1xx, 204, 304. */
bool strobe_http_reply_wants_body(const struct strobe_http_reply *reply);

/* Appends a copy of BODY if a body is wanted. Large values are appended by the caller with strobe_out_borrow(), after
 * asking wants_body(). */
void strobe_http_reply_body(struct strobe_http_reply *reply, struct strobe_slice body);

/* A whole end of a reply whose body was written into a chain of its own (same pool; it ends empty): Content-Length,
 * blank line, and the body if one is wanted. A FROM that has failed fails the output. */
void strobe_http_reply_body_from(struct strobe_http_reply *reply, struct strobe_out *from);

/* One piece of a stream: all that waits in a chain of its own (same pool; it ends empty). An empty piece is skipped,
 * because it would end the stream. Nothing is written when no body is wanted. */
void strobe_http_reply_chunk_from(struct strobe_http_reply *reply, struct strobe_out *from);

/* The end of a stream. One that fails is not ended: the connection is closed instead, so that the client can tell. */
void strobe_http_reply_last_chunk(struct strobe_http_reply *reply);

/* A whole error reply: application/problem+json (RFC 9457) with type, title, status and DETAIL, a sentence that says
 * what to do (any bytes: escaped). LINES are whole header lines besides (Allow: ...CRLF) or empty. */
void strobe_http_reply_problem(struct strobe_http_reply *reply, int status, struct strobe_slice detail,
                               struct strobe_slice lines);

/* A whole small reply with a body of CONTENT_TYPE. */
void strobe_http_reply_text(struct strobe_http_reply *reply, int status, const char *content_type,
                            struct strobe_slice body);

/* "HTTP/1.1 100 Continue" and its blank line. */
void strobe_http_write_continue(struct strobe_out *out);

#endif

/* http_request.h - bytes of a connection in, one whole HTTP request after the other out.
 *
 *      feed -> MORE ...        feed the next bytes that arrive
 *           -> HEAD            look at the head; then accept() it, and feed on with what is left of the bytes
 *           -> DONE            the body is whole too: answer, then next(), and feed on with what is left
 *           -> BAD             answer request->refusal with Connection: close, and read no more
 *
 * HEAD always comes, once, before DONE, also for a request without a body, so that Host, Origin, method and route
 * can be judged before a body arrives. A server that has answered at HEAD (with an error, before the body is
 * whole) does not accept(): it closes as SPEC 6 says, and feeds no more. It may also accept with DISCARD and
 * answer after DONE, which keeps the connection.
 *
 * After DONE of a request whose keep_alive is no, what follows must not be fed (and is refused with BAD if it is).
 * Thread: one at a time. No sockets, no clock. */
#ifndef STROBE_PROTOCOL_HTTP_REQUEST_H
#define STROBE_PROTOCOL_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/buf.h"
#include "protocol/http_guard.h"
#include "protocol/http_target.h"
#include "protocol/slice.h"

/* The header fields that have a place of their own: X(enum name, field name, singleton). A singleton that comes
 * twice is refused with 400; of the others the first is kept here, and next_value() gives all. In order of length. */
#define STROBE_HTTP_FIELDS(X)                                            \
    X(TTL, "ttl", 1)                                                     \
    X(HOST, "host", 1)                                                   \
    X(RANGE, "range", 1)                                                 \
    X(ACCEPT, "accept", 0)                                               \
    X(EXPECT, "expect", 0)                                               \
    X(ORIGIN, "origin", 1)                                               \
    X(IF_MATCH, "if-match", 0)                                           \
    X(IF_RANGE, "if-range", 1)                                           \
    X(CONNECTION, "connection", 0)                                       \
    X(USER_AGENT, "user-agent", 0)                                       \
    X(CONTENT_TYPE, "content-type", 1)                                   \
    X(AUTHORIZATION, "authorization", 1)                                 \
    X(IF_NONE_MATCH, "if-none-match", 0)                                 \
    X(LAST_EVENT_ID, "last-event-id", 1)                                 \
    X(SEC_FETCH_MODE, "sec-fetch-mode", 1)                               \
    X(SEC_FETCH_SITE, "sec-fetch-site", 1)                               \
    X(ACCEPT_ENCODING, "accept-encoding", 0)                             \
    X(CONTENT_ENCODING, "content-encoding", 0)                           \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method", 0) \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers", 0)

enum strobe_http_field {
#define STROBE_HTTP_FIELD_ENUM(name, text, singleton) STROBE_HTTP_FIELD_##name,
    STROBE_HTTP_FIELDS(STROBE_HTTP_FIELD_ENUM)
#undef STROBE_HTTP_FIELD_ENUM
        STROBE_HTTP_FIELD_COUNT,
    STROBE_HTTP_FIELD_OTHER = STROBE_HTTP_FIELD_COUNT
};

/* What feed() came to. MORE: all bytes were taken, send the next. BAD: refused for good, nothing that follows on
 * this connection can be trusted. */
enum strobe_http_step { STROBE_HTTP_MORE, STROBE_HTTP_HEAD, STROBE_HTTP_DONE, STROBE_HTTP_BAD };

struct strobe_http_parts; /* the machinery inside, in http_request.c */

/* What a refusal says when the guard and http-parser disagree. Nothing is known that makes them; the fuzzer looks. */
extern const char strobe_http_disagreement[];

/* A request, being read or complete. All slices borrow until the next feed(), next() or fini(): take them anew after a
 * feed(). */
struct strobe_http_request {
    /* After HEAD. After BAD method and minor are what was read of them, else GET and 1. */
    enum strobe_http_method method;
    enum strobe_http_form form;
    int minor;                     /* HTTP/1.0 or HTTP/1.1 */
    struct strobe_slice target;    /* as sent */
    struct strobe_slice path;      /* "/kv/a%20b"; "/" for an absolute target without a path; "*"; empty for CONNECT */
    struct strobe_slice query;     /* what follows the '?', undecoded; empty when there is none */
    struct strobe_slice authority; /* that of an absolute target, else Host's value; empty only on 1.0 */
    uint64_t content_length;       /* as announced; 0 when chunked or none */
    bool has_query;                /* there was a '?' */
    bool chunked;
    bool has_length; /* Content-Length was there, or it is chunked */
    bool has_body;   /* chunked, or content_length > 0 */
    bool keep_alive; /* the connection may serve another request after this one */

    /* After accept(). The caller writes "HTTP/1.1 100 Continue" at once, and clears it. */
    bool send_continue;

    /* After DONE. */
    struct strobe_slice body; /* whole; empty when discarded, or taken piece by piece */

    /* After BAD. */
    struct strobe_http_refusal refusal;

    struct strobe_http_parts *inside; /* owned */
};

/* Called once at start, before the first request and before threads: tells http-parser (whose limit is one
 * global variable of the library) the longest head that the guard will ever pass for MAX_TARGET bytes of target
 * (0: the default of limits.h). */
void strobe_http_request_setup(uint32_t max_target);

/* Makes REQUEST empty and ready. LIMITS may be NULL: all defaults. Owns memory after OK, given back with fini().
 * Results: yes, or no when there is no memory (then REQUEST needs no fini). */
bool strobe_http_request_init(struct strobe_http_request *request, const struct strobe_http_limits *limits);
void strobe_http_request_fini(struct strobe_http_request *request);

/* Takes LEN bytes (0 is allowed) of the connection. *USED says how many belong to this request: all on MORE,
 * when the rest that is not whole yet has been copied. On HEAD and DONE the slices borrow from DATA where they
 * can: DATA must stay until next() (or until the feed() after HEAD has returned).
 * After HEAD feed on in the same breath with what is left of DATA, also when that is nothing: only the feed that says
 * MORE makes the request independent of DATA. DONE means feed no more before next().
 * Results: MORE, HEAD, DONE, BAD. Out of memory is BAD with 503. */
enum strobe_http_step strobe_http_request_feed(struct strobe_http_request *request, const char *data, size_t len,
                                               size_t *used);

/* Takes a PIECE of a body (borrowed until return), as it comes. Results: no when there is no memory for it. */
typedef bool strobe_http_take(void *context, struct strobe_slice piece);

/* What the caller wants of the body of a request whose HEAD it has seen. */
struct strobe_http_accept {
    uint64_t max_body;      /* bytes, else 413: at once if announced, or as soon as the chunks pass it */
    bool discard;           /* count the body, do not keep it */
    strobe_http_take *take; /* if there is one, it gets the body, which is not gathered here then */
    size_t take_from;       /* but only once so many bytes have come; a shorter one is gathered as without TAKE */
    void *context;          /* what TAKE gets; borrowed until DONE, BAD or fini() */
};

/* Goes on after HEAD. Sets send_continue if the client waits for it (Expect: 100-continue on 1.1 and a body;
 * the caller need not send it when bytes of the body are already there, but may).
 * Results: yes, or no with request->refusal: 413, or 417 for an unknown expectation. Then it is as after BAD. */
bool strobe_http_request_accept(struct strobe_http_request *request, const struct strobe_http_accept *accept);

/* After DONE: makes the body the caller's in *BODY (to be ended by the caller), also if it lies in DATA; then
 * request->body is empty. Results: no without memory; BODY needs no end then. */
bool strobe_http_request_take_body(struct strobe_http_request *request, struct strobe_buf *body);

/* Makes the request that is DONE independent of DATA, for an answer that has to wait: take its slices anew. Results: no
 * without memory; nothing has changed then that matters. */
bool strobe_http_request_keep(struct strobe_http_request *request);

/* Forgets the request that is DONE, and its memory, and makes ready for the one behind it. */
void strobe_http_request_next(struct strobe_http_request *request);

/* Has nothing of a request arrived yet (empty lines do not count)? Tells an idle connection from a slow one. */
bool strobe_http_request_is_idle(const struct strobe_http_request *request);

/* Is the head still unfinished? Tells the timeout of the head from that of the body. */
bool strobe_http_request_in_head(const struct strobe_http_request *request);

/* Bytes of memory held for a request that is not whole yet; 0 when idle. */
size_t strobe_http_request_memory(const struct strobe_http_request *request);

/* Value of FIELD, its first if there are several, without white space around it. NULL data when there is none,
 * also before HEAD. Borrows as above. */
struct strobe_slice strobe_http_request_field(const struct strobe_http_request *request, enum strobe_http_field field);

/* All fields of one name, for lists and for names without an enum: NAME in lower case. *AT starts at 0.
 * Results: yes with the next value, or no. Borrows as above. */
bool strobe_http_request_next_value(const struct strobe_http_request *request, struct strobe_slice name, size_t *at,
                                    struct strobe_slice *value);

/* The same over all values of a FIELD that may be sent in several: does its list have TOKEN (lower case), does it
 * accept TYPE, does an ETag in it match (as strobe_http_match_etag(); NO_MATCH when there is no such field)? */
bool strobe_http_request_has(const struct strobe_http_request *request, enum strobe_http_field field,
                             const char *token);
bool strobe_http_request_accepts(const struct strobe_http_request *request, enum strobe_http_field field,
                                 const char *type);
enum strobe_http_etag_match strobe_http_request_match_etag(const struct strobe_http_request *request,
                                                           enum strobe_http_field field, uint64_t version, bool exists,
                                                           bool strong);

#endif

/* http_routes.h - from a request's method and path to the function that answers it.
 *
 * One table has a row for each resource and a function for each method it has. The door finds the route when the head
 * is complete, may have it judged before the body has come, and has it answered when the request is whole.
 */
#ifndef STROBE_SERVER_HTTP_ROUTES_H
#define STROBE_SERVER_HTTP_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/http_request.h"
#include "protocol/http_writer.h"
#include "protocol/slice.h"

struct conn;
struct metrics_slot;
struct draft;
struct services;
struct worker;

/* One request that is being answered. On the door's stack; all is borrowed until the answer is written. */
struct http_call {
    struct conn *conn;
    struct worker *worker;
    struct strobe_http_request *request;
    struct strobe_map *map;
    struct metrics_slot *metrics;
    const struct http_route *route;
    struct strobe_slice rest;       /* the path behind the route's own, undecoded: the key */
    struct strobe_blob *value;      /* the body, if it was filled in as a value already, else NULL: request->body */
    struct strobe_http_reply reply; /* ready for begin() */
    bool has_job;                   /* the answer goes on in a job that was given to the connection */
    struct draft *draft;            /* for a large change, made in slices: when it is not whole yet, see is_later */
    bool is_later;                  /* nothing was written: the handler shall be called again when DRAFT is whole */
    bool was_long;                  /* others shall have their turn before this connection's next request */
};

/* Says what is wrong with a request whose head has come, before its body: status 0 is nothing. */
typedef struct strobe_http_refusal http_judge(const struct http_call *call);

/* Writes the whole answer, or begins it and leaves the rest to a job. */
typedef void http_handler(struct http_call *call);

/* What becomes of a body. */
enum http_body {
    HTTP_BODY_NONE,  /* it is read over */
    HTTP_BODY_VALUE, /* a value: at most max-value, and a large one is filled into its blob as it comes */
    HTTP_BODY_TEXT   /* gathered: at most max-request */
};

struct http_route {
    struct strobe_slice path; /* "/kv/" */
    enum http_body body;
    http_judge *judge;                           /* or NULL */
    http_handler *handlers[STROBE_METHOD_COUNT]; /* NULL: 405; HEAD and OPTIONS follow from the others */
};

/* The routes by number, for the test of /openapi.json: that of the keys is 0; NULL behind the last. */
const struct http_route *http_routes_at(size_t i);

/* Finds call->route and call->rest for the request's target. NULL when there is no such resource: 404. */
const struct http_route *http_routes_find(const struct strobe_http_request *request, struct strobe_slice *rest);

/* What the request's head alone says against it: no such resource, no such method, or what the route's judge says. */
struct strobe_http_refusal http_routes_judge(const struct http_call *call);

/* Answers a whole request. */
void http_routes_answer(struct http_call *call);

/* Answers 200 with header LINES and PAGE as the body, and ends PAGE. */
void http_routes_send(struct http_call *call, struct strobe_slice lines, struct strobe_out *page);

/* Answers with an error instead: problem+json, with Allow for 405. */
void http_routes_refuse(struct http_call *call, struct strobe_http_refusal refusal);

/* The same with header LINES besides, each with its CRLF. */
void http_routes_refuse_with(struct http_call *call, struct strobe_http_refusal refusal, struct strobe_slice lines);

/* A refusal, for those who return one. */
static inline struct strobe_http_refusal http_refusal(int status, const char *detail) {
    return (struct strobe_http_refusal){status, detail};
}

/* Nothing is wrong; and the refusals that more than one resource has. */
extern const struct strobe_http_refusal http_fine;
extern const struct strobe_http_refusal http_no_memory;      /* nothing was done: 503 */
extern const struct strobe_http_refusal http_bad_escape;     /* a '%' without its two digits: 400 */
extern const struct strobe_http_refusal http_too_many_scans; /* 503 */

/* What a snapshot that could not be opened answers. STATUS: any but OK. */
static inline struct strobe_http_refusal http_no_snapshot(enum strobe_status status) {
    return status == STROBE_TOO_MANY ? http_too_many_scans : http_no_memory;
}

#endif

/* http_routes.c - the table of resources, and the answers that belong to no single one: 404, 405 and OPTIONS.
 *
 *      /kv/KEY   GET HEAD PUT POST DELETE PATCH   http_kv.c, http_patch.c
 *      /kv/      GET HEAD DELETE                  http_list.c, http_delete.c
 *      /batch    POST                             http_batch.c
 *      others    GET HEAD                         http_pages.c, http_openapi.c, http_stats.c
 *
 * HEAD is wherever GET is (the same handler; the writer leaves the body out), OPTIONS everywhere. "*" is no resource,
 * but OPTIONS * asks what the server as a whole can do.
 * A reading resource reads over parameters that it does not know, because browsers and caches add their own; where a
 * misspelt one would change what happens (writes, listings), the handler refuses it.
 */
#include "server/http_routes.h"

#include <string.h>

#include "server/http_batch.h"
#include "server/http_delete.h"
#include "server/http_kv.h"
#include "server/http_list.h"
#include "server/http_openapi.h"
#include "server/http_pages.h"
#include "server/http_patch.h"
#include "server/http_stats.h"

static const struct http_route key_route = {
    .path = {"/kv/", 4},
    .body = HTTP_BODY_VALUE,
    .judge = http_kv_judge,
    .handlers = {[STROBE_METHOD_GET] = http_kv_get,
                 [STROBE_METHOD_PUT] = http_kv_put,
                 [STROBE_METHOD_POST] = http_kv_put,
                 [STROBE_METHOD_DELETE] = http_kv_delete,
                 [STROBE_METHOD_PATCH] = http_patch},
};

/* Its handlers are never run: it is found for OPTIONS * and CONNECT alone. */
static const struct http_route server_route = {
    .path = {"*", 1},
    .handlers = {[STROBE_METHOD_GET] = http_kv_get,
                 [STROBE_METHOD_PUT] = http_kv_put,
                 [STROBE_METHOD_POST] = http_kv_put,
                 [STROBE_METHOD_DELETE] = http_kv_delete,
                 [STROBE_METHOD_PATCH] = http_patch},
};

static const struct http_route other_routes[] = {
    {.path = {"/kv/", 4},
     .handlers = {[STROBE_METHOD_GET] = http_list_get, [STROBE_METHOD_DELETE] = http_delete_prefix}},
    {.path = {"/batch", 6},
     .body = HTTP_BODY_TEXT,
     .judge = http_batch_judge,
     .handlers = {[STROBE_METHOD_POST] = http_batch_post}},
    {.path = {"/", 1}, .handlers = {[STROBE_METHOD_GET] = http_pages_root}},
    {.path = {"/openapi.json", 13}, .handlers = {[STROBE_METHOD_GET] = http_openapi_get}},
    {.path = {"/healthz", 8}, .handlers = {[STROBE_METHOD_GET] = http_pages_health}},
    {.path = {"/readyz", 7}, .handlers = {[STROBE_METHOD_GET] = http_pages_ready}},
    {.path = {"/metrics", 8}, .handlers = {[STROBE_METHOD_GET] = http_pages_metrics}},
    {.path = {"/stats", 6}, .handlers = {[STROBE_METHOD_GET] = http_stats_get}},
};

const struct strobe_http_refusal http_fine = {0, NULL};
const struct strobe_http_refusal http_no_memory = {503, "Out of memory; try again."};
const struct strobe_http_refusal http_bad_escape = {
    400, "There is a '%' that no two hex digits follow; a '%' itself is written %25."};
const struct strobe_http_refusal http_too_many_scans = {
    503, "Too many scans are open; finish some, or try again in some seconds."};

const struct http_route *http_routes_at(size_t i) {
    if (i == 0) return &key_route;
    return i <= sizeof other_routes / sizeof *other_routes ? &other_routes[i - 1] : NULL;
}

const struct http_route *http_routes_find(const struct strobe_http_request *request, struct strobe_slice *rest) {
    struct strobe_slice path = request->path;
    size_t prefix = key_route.path.len;

    *rest = strobe_slice_make(NULL, 0);
    if (request->form == STROBE_HTTP_FORM_ASTERISK || request->form == STROBE_HTTP_FORM_AUTHORITY) {
        return &server_route;
    }
    if (path.len > prefix && memcmp(path.data, key_route.path.data, prefix) == 0) {
        *rest = strobe_slice_make(path.data + prefix, path.len - prefix);
        return &key_route;
    }
    for (size_t i = 0; i < sizeof other_routes / sizeof *other_routes; i++) {
        if (strobe_slice_equal(path, other_routes[i].path)) {
            return &other_routes[i];
        }
    }
    return NULL;
}

static http_handler *handler_of(const struct http_route *route, enum strobe_http_method method) {
    return route->handlers[method == STROBE_METHOD_HEAD ? STROBE_METHOD_GET : method];
}

/* "Allow: GET, HEAD, OPTIONS" and its line end. */
enum { ALLOW_LINE_MAX = 96 };

static struct strobe_slice allow_line(const struct http_route *route, char text[ALLOW_LINE_MAX]) {
    char *at = stpcpy(text, "Allow: ");

    for (int method = 0; method < STROBE_METHOD_COUNT; method++) {
        if (handler_of(route, (enum strobe_http_method)method) != NULL) {
            at = stpcpy(stpcpy(at, strobe_http_method_name((enum strobe_http_method)method)), ", ");
        }
    }
    at = stpcpy(at, "OPTIONS\r\n");
    return strobe_slice_make(text, (size_t)(at - text));
}

/* What a page may send that asks first (a preflight, WHATWG Fetch). LIST: "GET, PUT" as Allow has it. */
static void write_preflight(struct http_call *call, struct strobe_slice list) {
    strobe_http_reply_field(&call->reply, "Access-Control-Allow-Methods", list);
    strobe_http_reply_lines(
        &call->reply, STROBE_SLICE("Access-Control-Allow-Headers: Accept, Authorization, Cache-Control, "
                                   "Content-Type, If-Match, If-None-Match, If-Range, Last-Event-ID, Range, TTL\r\n"
                                   "Access-Control-Max-Age: 600\r\n"));
}

static void answer_options(struct http_call *call) {
    struct strobe_slice wanted =
        strobe_http_request_field(call->request, STROBE_HTTP_FIELD_ACCESS_CONTROL_REQUEST_METHOD);
    char text[ALLOW_LINE_MAX];
    struct strobe_slice line = allow_line(call->route, text);
    size_t name = sizeof "Allow: " - 1;

    strobe_http_reply_begin(&call->reply, 204);
    strobe_http_reply_lines(&call->reply, line);
    if (wanted.data != NULL && call->reply.allow_origin.len > 0) {
        write_preflight(call, strobe_slice_make(line.data + name, line.len - name - 2));
    }
    strobe_http_reply_empty(&call->reply);
}

struct strobe_http_refusal http_routes_judge(const struct http_call *call) {
    enum strobe_http_method method = call->request->method;

    if (call->route == NULL) {
        return http_refusal(404, "There is nothing at this path; keys are at /kv/KEY, the list of them at /kv/.");
    }
    if (method == STROBE_METHOD_OPTIONS) {
        return http_fine;
    }
    if (call->route == &server_route || handler_of(call->route, method) == NULL) {
        return http_refusal(405, "This resource does not have that method; Allow lists those that it has.");
    }
    return call->route->judge != NULL ? call->route->judge(call) : http_fine;
}

void http_routes_answer(struct http_call *call) {
    http_handler *handler =
        call->route != NULL && call->route != &server_route ? handler_of(call->route, call->request->method) : NULL;

    if (handler != NULL) {
        handler(call);
    } else if (call->route != NULL && call->request->method == STROBE_METHOD_OPTIONS) {
        answer_options(call);
    } else {
        http_routes_refuse(call, http_routes_judge(call));
    }
}

void http_routes_send(struct http_call *call, struct strobe_slice lines, struct strobe_out *page) {
    strobe_http_reply_begin(&call->reply, 200);
    strobe_http_reply_lines(&call->reply, lines);
    strobe_http_reply_body_from(&call->reply, page);
    strobe_out_fini(page);
}

void http_routes_refuse(struct http_call *call, struct strobe_http_refusal refusal) {
    char text[ALLOW_LINE_MAX];
    struct strobe_slice lines = STROBE_SLICE("");

    if (refusal.status == 405 && call->route != NULL) {
        lines = allow_line(call->route, text);
    } else if (refusal.status == 503) {
        lines = STROBE_SLICE("Retry-After: 1\r\n");
    }
    http_routes_refuse_with(call, refusal, lines);
}

void http_routes_refuse_with(struct http_call *call, struct strobe_http_refusal refusal, struct strobe_slice lines) {
    strobe_http_reply_problem(&call->reply, refusal.status,
                              strobe_slice_make(refusal.detail, refusal.detail != NULL ? strlen(refusal.detail) : 0),
                              lines);
}

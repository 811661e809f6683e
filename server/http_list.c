/* http_list.c - /kv/: which keys there are, or were at one instant.
 *
 *      ?prefix=P&match=G&limit=N[&values]   {"keys":[...],"cursor":"C"}    Link: <...&cursor=C>; rel="next"
 *      ...&cursor=C                         the next page of the same instant; no cursor on the last
 *      ?stream, Accept: application/x-ndjson   all of it, http_stream.c
 *
 * A page is made in a chain of its own first, so that a page that fails becomes an error and not half a reply.
 * Always: a page and its cursor are those of the registry that SCAN uses too, so each entry comes once, and the same
 * page can be asked for again. prefix, match and values are applied anew to each page: the link repeats them.
 * An unknown parameter is refused, because a misspelt prefix would list everything. limit is cut to 10,000.
 * HEAD opens no scan: it answers without a length.
 * Not here: cursors (scans.c), JSON (protocol/json.c).
 */
#include "server/http_list.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/glob.h"
#include "protocol/http_target.h"
#include "protocol/json.h"
#include "protocol/limits.h"
#include "protocol/number.h"
#include "server/config.h"
#include "server/http_stream.h"
#include "server/scans.h"
#include "server/services.h"
#include "server/worker.h"

enum { LINK_MAX = 8192 }; /* a longer Link is left out, clients would refuse it; the cursor is in the body too */

/* ---- the query -------------------------------------------------------------------------------------------- */

/* Decodes VALUE behind what query->memory holds already (*USED bytes). */
static struct strobe_http_refusal read_text(struct http_list_query *query, size_t *used, struct strobe_slice value,
                                            struct strobe_slice *text) {
    char *at = query->memory + *used;
    size_t len = 0;

    if (strobe_http_decode(value, STROBE_HTTP_PLUS_IS_SPACE, at, value.len, &len) != STROBE_HTTP_DECODED) {
        return http_bad_escape;
    }
    *used += len;
    *text = strobe_slice_make(at, len);
    return http_fine;
}

static struct strobe_http_refusal read_match(struct http_list_query *query, size_t *used, struct strobe_slice value) {
    struct strobe_http_refusal refused = read_text(query, used, value, &query->match);
    if (refused.status != 0 || strobe_glob_is_bounded(query->match)) return refused;
    return http_refusal(400,
                        "The match is too long: 131072 bytes at most, and 128 between two stars if there is a ?, [ "
                        "or \\ in them.");
}

static struct strobe_http_refusal read_cursor(struct http_list_query *query, struct strobe_slice value) {
    query->has_cursor = true;
    if (value.len != 0 && !strobe_number_parse_uint64(value, &query->cursor)) {
        return http_refusal(400, "A cursor is the number that the last page gave; leave it out to begin.");
    }
    return http_fine;
}

static struct strobe_http_refusal read_limit(struct http_list_query *query, struct strobe_slice value) {
    query->has_limit = true;
    if (!strobe_number_parse_uint64(value, &query->limit) || query->limit == 0) {
        return http_refusal(400, "limit is a number from 1 on; 10000 is the most a page has.");
    }
    if (query->limit > STROBE_HTTP_LIST_MAX) query->limit = STROBE_HTTP_LIST_MAX;
    return http_fine;
}

static struct strobe_http_refusal read_parameter(struct http_list_query *query, size_t *used, struct strobe_slice name,
                                                 struct strobe_slice value) {
    if (strobe_slice_equal(name, STROBE_SLICE("prefix"))) return read_text(query, used, value, &query->prefix);
    if (strobe_slice_equal(name, STROBE_SLICE("match"))) {
        query->has_match = true;
        return read_match(query, used, value);
    }
    if (strobe_slice_equal(name, STROBE_SLICE("limit"))) return read_limit(query, value);
    if (strobe_slice_equal(name, STROBE_SLICE("cursor"))) return read_cursor(query, value);
    if (strobe_slice_equal(name, STROBE_SLICE("values"))) {
        query->values = strobe_http_is_yes(value);
        return http_fine;
    }
    if (strobe_slice_equal(name, STROBE_SLICE("stream"))) {
        query->is_stream = strobe_http_is_yes(value);
        return http_fine;
    }
    return http_refusal(400, "The query has a parameter that is not known here: a listing takes prefix, match, limit, "
                             "cursor, values and stream.");
}

/* Reads the query into *QUERY, whose memory is the caller's to free whatever the result. */
static struct strobe_http_refusal read_query(const struct strobe_http_request *request, struct http_list_query *query) {
    struct strobe_slice rest = request->query;
    struct strobe_slice name, value;
    struct strobe_http_refusal refused = http_fine;
    size_t used = 0;

    *query = (struct http_list_query){
        .limit = STROBE_HTTP_LIST_DEFAULT,
        .is_stream = strobe_http_request_accepts(request, STROBE_HTTP_FIELD_ACCEPT, "application/x-ndjson"),
    };
    if (rest.len == 0) return http_fine;
    query->memory = malloc(rest.len);
    if (query->memory == NULL) return http_no_memory;
    while (refused.status == 0 && strobe_http_next_parameter(&rest, &name, &value)) {
        refused = read_parameter(query, &used, name, value);
    }
    if (refused.status == 0 && query->is_stream && (query->has_cursor || query->has_limit)) {
        return http_refusal(400, "A stream is the whole of a snapshot; leave cursor and limit out, or the stream.");
    }
    return refused;
}

/* ---- a page ----------------------------------------------------------------------------------------------- */

struct list_page {
    struct strobe_out out; /* the text so far */
    struct strobe_json json;
    bool values;
    uint64_t now;
};

/* Adds an entry to the page: a scans_query's TAKE. */
static enum strobe_status take(void *context, const struct strobe_entry *entry) {
    struct list_page *page = context;
    struct strobe_json *json = &page->json;
    size_t len;
    const char *bytes = strobe_entry_key(entry, &len);

    if (!page->values) {
        strobe_json_string(json, strobe_slice_make(bytes, len));
    } else {
        strobe_json_object_begin(json);
        strobe_json_name(json, "key");
        strobe_json_string(json, strobe_slice_make(bytes, len));
        bytes = strobe_entry_value(entry, &len);
        strobe_json_name(json, "value");
        strobe_json_string(json, strobe_slice_make(bytes, len));
        http_stream_facts(json, strobe_entry_version(entry), strobe_entry_expiry(entry), page->now);
        strobe_json_object_end(json);
    }
    return strobe_out_status(&page->out) == STROBE_BUF_OK ? STROBE_OK : STROBE_NO_MEMORY;
}

/* Makes the page; *NEXT is the cursor behind it, 0 for none. */
static enum strobe_status make_page(struct http_call *call, const struct http_list_query *query, struct list_page *page,
                                    uint64_t *next) {
    struct scans_query wanted = {
        .prefix = query->prefix,
        .match = query->match,
        .has_match = query->has_match,
        .values = query->values,
        .count = query->limit,
        .take = take,
        .context = page,
    };
    enum strobe_status status;
    char cursor[STROBE_NUMBER_INT64_TEXT];

    strobe_json_init(&page->json, &page->out);
    strobe_json_object_begin(&page->json);
    strobe_json_name(&page->json, query->values ? "entries" : "keys");
    strobe_json_array_begin(&page->json);
    status = scans_page(services_scans(worker_services(call->worker)), query->cursor, &wanted, next);
    if (status != STROBE_OK) return status;
    strobe_json_array_end(&page->json);
    if (*next != 0) {
        strobe_json_name(&page->json, "cursor");
        strobe_json_string(&page->json, strobe_slice_make(cursor, strobe_number_format_uint64(cursor, *next)));
    }
    strobe_json_object_end(&page->json);
    strobe_json_newline(&page->json);
    return strobe_out_status(&page->out) == STROBE_BUF_OK ? STROBE_OK : STROBE_NO_MEMORY;
}

static char *put(char *at, struct strobe_slice text) {
    memcpy(at, text.data, text.len);
    return at + text.len;
}

/* Link: the URL of the page behind this one. */
static void write_link(struct strobe_http_reply *reply, const struct http_list_query *query, uint64_t next) {
    char line[LINK_MAX];
    char *at = put(line, STROBE_SLICE("Link: </kv/?"));

    if (3 * (query->prefix.len + query->match.len) > sizeof line - 256) return;
    if (query->prefix.len != 0) {
        at = put(at, STROBE_SLICE("prefix="));
        at += strobe_http_encode(query->prefix, at);
        *at++ = '&';
    }
    if (query->has_match) {
        at = put(at, STROBE_SLICE("match="));
        at += strobe_http_encode(query->match, at);
        *at++ = '&';
    }
    if (query->has_limit) {
        at = put(at, STROBE_SLICE("limit="));
        at += strobe_number_format_uint64(at, query->limit);
        *at++ = '&';
    }
    at = put(at, query->values ? STROBE_SLICE("values&cursor=") : STROBE_SLICE("cursor="));
    at += strobe_number_format_uint64(at, next);
    at = put(at, STROBE_SLICE(">; rel=\"next\"\r\n"));
    strobe_http_reply_lines(reply, strobe_slice_make(line, (size_t)(at - line)));
}

#define PAGE_LINES                        \
    "Content-Type: application/json\r\n"  \
    "X-Content-Type-Options: nosniff\r\n" \
    "Cache-Control: no-cache\r\n"         \
    "Vary: Accept\r\n"

static void answer_page(struct http_call *call, const struct http_list_query *query) {
    size_t max = call->reply.out->max;
    struct list_page page = {.values = query->values, .now = strobe_map_tick(call->map)};
    enum strobe_status status;
    uint64_t next = 0;

    /* Leaves room for the replies that wait before it, and for its head. */
    strobe_out_init(&page.out, call->reply.out->pool,
                    max > 4 * STROBE_REPLY_HIGH_WATER ? max - 2 * STROBE_REPLY_HIGH_WATER : max / 2);
    status = make_page(call, query, &page, &next);
    call->was_long = true;
    if (status == STROBE_OK) {
        strobe_http_reply_begin(&call->reply, 200);
        strobe_http_reply_lines(&call->reply, STROBE_SLICE(PAGE_LINES));
        if (next != 0) write_link(&call->reply, query, next);
        strobe_http_reply_body_from(&call->reply, &page.out);
    } else if (status == STROBE_CLOSED) {
        http_routes_refuse(call,
                           http_refusal(410, "The scan of that cursor has expired; begin again without a cursor."));
    } else if (status == STROBE_TOO_BIG) {
        http_routes_refuse(call,
                           http_refusal(400, "That match costs too much for a page that was given before; ask for "
                                             "it with the match that it was given with."));
    } else if (status == STROBE_TOO_MANY) {
        http_routes_refuse(call, http_too_many_scans);
    } else {
        http_routes_refuse(call, http_refusal(507, "The page does not fit into memory or max-reply-buffer; ask again "
                                                   "with a smaller limit or without values, or stream it."));
    }
    strobe_out_fini(&page.out);
}

/* What GET would begin with, but no snapshot is opened for it. */
static void answer_head(struct http_call *call) {
    if (call->reply.is_http10) call->reply.keep_alive = false;
    strobe_http_reply_begin(&call->reply, 200);
    strobe_http_reply_lines(&call->reply, STROBE_SLICE(PAGE_LINES));
    strobe_http_reply_chunked(&call->reply);
}

void http_list_get(struct http_call *call) {
    struct http_list_query query;
    struct strobe_http_refusal refused = read_query(call->request, &query);

    if (refused.status != 0) {
        http_routes_refuse(call, refused);
    } else if (query.is_stream) {
        http_stream_start(call, &query);
    } else if (call->reply.is_head) {
        answer_head(call);
    } else {
        answer_page(call, &query);
    }
    free(query.memory);
}

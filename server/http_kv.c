/* http_kv.c - /kv/KEY: an entry of the map behind a URL.
 *
 *      GET     look -> If-Match, If-None-Match -> If-Range, Range -> 200 with the bytes as they were stored, 206 with
 *              some of them, 304, 404, 412, 416
 *      PUT     plan (ttl, type) -> build the entry -> [look -> conditions -> compare] -> put -> 201, 204, 412
 *      DELETE  [look -> conditions -> compare] -> erase -> 204, 404, 412
 *
 * Always: nothing is parsed, built, freed or copied at length while a lock is held. Small values are copied out under
 * it, large ones are shared and sent from where they lie. Conditions and ?keepttl are judged between two accesses: the
 * second acts only if the entry still is what the first one saw (its version says so), else both are done again; so
 * each request takes effect at one instant, and whoever lost the race is one whose rival made progress.
 * A write refuses a parameter that it does not know, since a misspelt ttl must not store for ever; a read ignores it.
 * The query's ttl counts before the header's. On failure the map is as it was.
 * Not here: PATCH (http_patch.c), Host and Origin (http_policy.c), bodies too large (refused before they are read,
 * http_door.c).
 */
#include "server/http_kv.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/http_target.h"
#include "protocol/limits.h"
#include "protocol/number.h"
#include "server/change.h"
#include "server/http_entry.h"
#include "server/http_patch.h"
#include "server/metrics.h"

#define NO_TYPE     "Content-Type: application/octet-stream\r\n"
#define VALUE_LINES HTTP_ENTRY_GUARDS "Accept-Ranges: bytes\r\n"

/* ---- GET and HEAD -------------------------------------------------------------------------------------- */

static void release_blob(void *owner) {
    strobe_blob_release(owner);
}

/* The part of SEEN's value that the answer has: all of it, or what Range asks for. */
struct kv_part {
    bool is_whole;
    uint64_t first, length;
};

/* Does If-Range, if there is one, name the version that was seen? A date names none, since no entry has one, and a weak
 * tag does not count (RFC 9110 section 13.1.5). */
static bool may_be_part(const struct strobe_http_request *request, const struct seen *seen) {
    struct strobe_slice tag = strobe_http_request_field(request, STROBE_HTTP_FIELD_IF_RANGE);
    uint64_t version;

    if (tag.data == NULL) return true;
    return tag.len > 2 && tag.data[0] == '"' && tag.data[tag.len - 1] == '"' &&
           strobe_number_parse_uint64(strobe_slice_make(tag.data + 1, tag.len - 2), &version) &&
           version == seen->version;
}

/* Fills in *PART. HEAD tells of the whole: Range is defined for GET alone (RFC 9110 section 14.2). Results: false when
 * the range begins behind the end. */
static bool choose_part(const struct strobe_http_request *request, const struct seen *seen, struct kv_part *part) {
    struct strobe_slice range = strobe_http_request_field(request, STROBE_HTTP_FIELD_RANGE);
    enum strobe_http_range result = STROBE_HTTP_RANGE_WHOLE;

    if (range.data != NULL && request->method == STROBE_METHOD_GET && may_be_part(request, seen)) {
        result = strobe_http_parse_range(range, seen->len, &part->first, &part->length);
    }
    part->is_whole = result == STROBE_HTTP_RANGE_WHOLE;
    if (part->is_whole) {
        part->first = 0;
        part->length = seen->len;
    }
    return result != STROBE_HTTP_RANGE_UNSATISFIABLE;
}

/* "Content-Range: bytes 1-2/3" and its line end; with PART NULL "bytes *" and the length. */
enum { RANGE_LINE_MAX = 96 };

static struct strobe_slice range_line(char text[RANGE_LINE_MAX], const struct kv_part *part, uint64_t size) {
    char *at = stpcpy(text, "Content-Range: bytes ");

    if (part == NULL) {
        *at++ = '*';
    } else {
        at += strobe_number_format_uint64(at, part->first);
        *at++ = '-';
        at += strobe_number_format_uint64(at, part->first + part->length - 1);
    }
    *at++ = '/';
    at += strobe_number_format_uint64(at, size);
    at = stpcpy(at, "\r\n");
    return strobe_slice_make(text, (size_t)(at - text));
}

static void answer_value(struct http_call *call, struct seen *seen, const struct kv_part *part) {
    struct strobe_http_reply *reply = &call->reply;
    struct strobe_slice bytes;
    char text[RANGE_LINE_MAX];

    strobe_http_reply_begin(reply, part->is_whole ? 200 : 206);
    if (seen->type_len == 0) {
        strobe_http_reply_lines(reply, STROBE_SLICE(NO_TYPE VALUE_LINES));
    } else {
        strobe_http_reply_field(reply, "Content-Type", strobe_slice_make(seen->type, seen->type_len));
        strobe_http_reply_lines(reply, STROBE_SLICE(VALUE_LINES));
    }
    strobe_http_reply_etag(reply, seen->version);
    if (seen->expiry != 0) {
        strobe_http_reply_field_u64(reply, "TTL", http_kv_ttl(seen->expiry, seen->now));
    }
    if (!part->is_whole) strobe_http_reply_lines(reply, range_line(text, part, seen->len));
    strobe_http_reply_length(reply, part->length);
    if (!strobe_http_reply_wants_body(reply)) {
        return;
    }
    bytes = strobe_slice_make(seen->value + part->first, (size_t)part->length);
    if (seen->blob != NULL && bytes.len >= STROBE_COPY_MAX) {
        strobe_out_borrow(reply->out, bytes, release_blob, seen->blob);
        seen->blob = NULL;
    } else {
        strobe_http_reply_body(reply, bytes);
    }
}

/* The answer when the conditions hold. */
static void answer_seen(struct http_call *call, struct seen *seen) {
    struct kv_part part;
    char text[RANGE_LINE_MAX];

    if (choose_part(call->request, seen, &part)) {
        answer_value(call, seen, &part);
    } else {
        http_routes_refuse_with(call,
                                http_refusal(416, "The value ends before that range; its length is behind the / "
                                                  "of Content-Range."),
                                range_line(text, NULL, seen->len));
    }
}

void http_kv_get(struct http_call *call) {
    struct seen seen;
    struct http_key key;
    enum http_condition condition = HTTP_CONDITION_HOLDS;
    struct strobe_http_refusal refused = http_key_open(&key, call);

    if (refused.status != 0) {
        http_routes_refuse(call, refused);
        http_key_close(&key);
        return;
    }
    if (call->request->method == STROBE_METHOD_HEAD) {
        seen_glance(call->map, &key.key, &seen);
    } else {
        seen_look(call->map, &key.key, &seen);
    }
    http_key_close(&key);
    metrics_count(call->metrics, seen_exists(&seen) ? METRICS_HITS : METRICS_MISSES, 1);
    if (!seen_exists(&seen)) {
        http_answer_missing(call);
        return;
    }
    if (http_has_conditions(call->request)) {
        condition = http_check_conditions(call->request, &seen);
    }
    if (condition == HTTP_CONDITION_HOLDS) {
        answer_seen(call, &seen);
    } else {
        http_answer_condition(call, condition, seen.version);
    }
    seen_fini(&seen);
}

/* ---- PUT and POST -------------------------------------------------------------------------------------- */

/* What the head of a PUT asks for. */
struct kv_plan {
    uint64_t ttl; /* ms; 0: none */
    bool keep_ttl;
    struct strobe_slice type; /* borrowed from the request; empty: none */
};

static struct strobe_http_refusal plan_ttl(struct kv_plan *plan, const struct http_call *call,
                                           struct strobe_slice text) {
    int64_t ttl;

    if (!strobe_http_parse_ttl(text, &ttl) || ttl == 0) {
        return http_refusal(400, "A ttl is a whole number of seconds above 0, or has its unit behind it: ?ttl=30, 30s, "
                                 "500ms, 5m, 2h, 1d.");
    }
    if ((uint64_t)ttl > (uint64_t)INT64_MAX - strobe_map_tick(call->map)) {
        return http_refusal(400, "The ttl is too long.");
    }
    plan->ttl = (uint64_t)ttl;
    return http_fine;
}

static struct strobe_http_refusal plan_query(struct kv_plan *plan, const struct http_call *call) {
    struct strobe_slice rest = call->request->query;
    struct strobe_slice name, value;
    struct strobe_http_refusal refused;

    while (strobe_http_next_parameter(&rest, &name, &value)) {
        if (strobe_slice_equal(name, STROBE_SLICE("ttl")) && plan->ttl == 0) {
            refused = plan_ttl(plan, call, value);
            if (refused.status != 0) {
                return refused;
            }
        } else if (strobe_slice_equal(name, STROBE_SLICE("keepttl"))) {
            plan->keep_ttl = strobe_http_is_yes(value);
        } else {
            return http_refusal(400,
                                "The query has a parameter that is not known here, or twice: a write takes ttl and "
                                "keepttl; a '?' that belongs to the key is written %3F.");
        }
    }
    return http_fine;
}

/* A form's type is what curl -d says of anything, so it says nothing. */
static struct strobe_http_refusal plan_type(struct kv_plan *plan, const struct strobe_http_request *request) {
    struct strobe_slice type = strobe_http_request_field(request, STROBE_HTTP_FIELD_CONTENT_TYPE);
    struct strobe_http_refusal refused = http_entry_body(request);

    if (refused.status != 0) return refused;
    if (type.len == 0 || strobe_http_media_type_is(type, "application/x-www-form-urlencoded")) {
        return http_fine;
    }
    if (type.len > STROBE_TYPE_MAX) {
        return http_refusal(400, "A Content-Type has at most 255 bytes.");
    }
    plan->type = type;
    return http_fine;
}

static struct strobe_http_refusal plan_put(struct kv_plan *plan, const struct http_call *call) {
    struct strobe_slice ttl = strobe_http_request_field(call->request, STROBE_HTTP_FIELD_TTL);
    struct strobe_http_refusal refused = http_fine;

    *plan = (struct kv_plan){.ttl = 0};
    if (!call->request->has_length) {
        return http_refusal(411, "Say how long the value is: Content-Length (0 for an empty one), or send it chunked.");
    }
    if (call->request->has_query) {
        refused = plan_query(plan, call);
    }
    if (refused.status == 0 && plan->ttl == 0 && ttl.data != NULL) {
        refused = plan_ttl(plan, call, ttl);
    }
    if (refused.status == 0 && plan->keep_ttl && plan->ttl != 0) {
        refused = http_refusal(400, "keepttl keeps the time that the entry has; leave it or the ttl out.");
    }
    return refused.status != 0 ? refused : plan_type(plan, call->request);
}

/* What a write came to. */
struct kv_outcome {
    enum strobe_status status;
    enum http_condition condition;
    bool existed;     /* before the write */
    uint64_t version; /* of the new entry */
};

/* Makes the entry, whose expiry is known. */
static enum strobe_status build(struct http_call *call, const struct strobe_key *key, const struct kv_plan *plan,
                                struct strobe_blob *blob, uint64_t expiry, struct strobe_entry **entry) {
    struct strobe_entry_spec spec = {
        .key = key,
        .value = call->request->body.data,
        .len = blob != NULL ? 0 : call->request->body.len, /* 0: all of the blob */
        .blob = blob,
        .expiry = expiry,
        .type = plan->type.len != 0 ? plan->type.data : NULL,
        .type_len = plan->type.len,
    };

    if (spec.value == NULL) {
        spec.value = "";
    }
    return strobe_entry_new(call->map, &spec, entry);
}

/* One attempt. SEEN is what a look found; with IS_BOUND nothing is put unless that is still so: then answers false. */
static bool try_put(struct strobe_map *map, const struct strobe_key *key, const struct seen *seen, bool is_bound,
                    struct strobe_entry **entry, struct kv_outcome *outcome) {
    const struct strobe_entry *made = *entry;
    const struct strobe_entry *old;
    struct strobe_access access;
    bool is_done = true;

    strobe_enter(map, key, &access);
    old = strobe_find(&access, key);
    if (is_bound && (old != NULL ? strobe_entry_version(old) : 0) != seen->version) {
        is_done = false;
    } else {
        outcome->existed = old != NULL;
        outcome->status = strobe_put(&access, key, entry);
        if (outcome->status == STROBE_OK) {
            outcome->version = strobe_entry_version(made);
        }
    }
    strobe_leave(&access);
    return is_done;
}

/* Puts the request's body under KEY as PLAN has it. BLOB: the body, if it is large, so that a second attempt need not
 * copy it again. SEEN is left as the last look found it. */
static void put(struct http_call *call, const struct strobe_key *key, const struct kv_plan *plan,
                struct strobe_blob *blob, struct seen *seen, struct kv_outcome *outcome) {
    bool is_conditional = http_has_conditions(call->request);
    bool is_bound = is_conditional || plan->keep_ttl;
    bool is_done;

    do {
        uint64_t expiry = plan->ttl != 0 ? strobe_map_tick(call->map) + plan->ttl : 0;
        struct strobe_entry *entry = NULL;

        if (is_bound) {
            seen_glance(call->map, key, seen);
            outcome->condition = is_conditional ? http_check_conditions(call->request, seen) : HTTP_CONDITION_HOLDS;
            if (outcome->condition != HTTP_CONDITION_HOLDS) {
                return;
            }
            expiry = plan->keep_ttl ? seen->expiry : expiry;
        }
        outcome->status = build(call, key, plan, blob, expiry, &entry);
        if (outcome->status != STROBE_OK) {
            return;
        }
        is_done = try_put(call->map, key, seen, is_bound, &entry, outcome);
        strobe_entry_free(call->map, entry);
    } while (!is_done);
}

/* A large body as a blob, filled once: a share of the one that it came in, or a copy. Results: false without memory;
 * *BLOB is NULL for a small one. */
static bool blob_of_body(struct http_call *call, struct strobe_blob **blob) {
    struct strobe_slice body = call->request->body;
    size_t len;

    *blob = call->value != NULL ? strobe_blob_share(call->value) : NULL;
    if (*blob != NULL || body.len < STROBE_BLOB_MIN) {
        return true;
    }
    *blob = strobe_blob_new(call->map, body.len);
    if (*blob == NULL) {
        return false;
    }
    memcpy(strobe_blob_bytes(*blob, &len), body.data, body.len);
    return true;
}

static void answer_put(struct http_call *call, const struct seen *seen, const struct kv_outcome *outcome) {
    if (outcome->condition != HTTP_CONDITION_HOLDS) {
        http_answer_condition(call, outcome->condition, seen->version);
    } else if (outcome->status != STROBE_OK) {
        http_answer_status(call, outcome->status);
    } else {
        strobe_http_reply_begin(&call->reply, outcome->existed ? 204 : 201);
        strobe_http_reply_etag(&call->reply, outcome->version);
        strobe_http_reply_empty(&call->reply);
    }
}

void http_kv_put(struct http_call *call) {
    struct kv_outcome outcome = {STROBE_NO_MEMORY, HTTP_CONDITION_HOLDS, false, 0};
    struct strobe_blob *blob;
    struct kv_plan plan;
    struct seen seen;
    struct http_key key;
    struct strobe_http_refusal refused = http_key_open(&key, call);

    if (refused.status == 0) {
        refused = plan_put(&plan, call);
    }
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
        http_key_close(&key);
        return;
    }
    if (blob_of_body(call, &blob)) {
        put(call, &key.key, &plan, blob, &seen, &outcome);
    }
    if (blob != NULL) {
        strobe_blob_release(blob);
    }
    http_key_close(&key);
    answer_put(call, &seen, &outcome);
}

struct strobe_http_refusal http_kv_judge(const struct http_call *call) {
    struct strobe_http_refusal refused;
    struct kv_plan plan;
    struct http_key key;

    if (call->request->method == STROBE_METHOD_PATCH) return http_patch_judge(call);
    if (call->request->method != STROBE_METHOD_PUT && call->request->method != STROBE_METHOD_POST) {
        return http_fine;
    }
    refused = http_key_open(&key, call);
    http_key_close(&key);
    return refused.status != 0 ? refused : plan_put(&plan, call);
}

/* ---- DELETE -------------------------------------------------------------------------------------------- */

/* One attempt, as try_put. */
static bool try_erase(struct strobe_map *map, const struct strobe_key *key, const struct seen *seen, bool is_bound,
                      struct kv_outcome *outcome) {
    const struct strobe_entry *entry;
    struct strobe_entry *old = NULL;
    struct strobe_access access;
    bool is_done = true;

    strobe_enter(map, key, &access);
    entry = strobe_find(&access, key);
    if (is_bound && (entry != NULL ? strobe_entry_version(entry) : 0) != seen->version) {
        is_done = false;
    } else {
        outcome->status = strobe_erase(&access, key, &old);
    }
    strobe_leave(&access);
    strobe_entry_free(map, old);
    return is_done;
}

static void erase(struct http_call *call, const struct strobe_key *key, struct seen *seen, struct kv_outcome *outcome) {
    bool is_bound = http_has_conditions(call->request);

    do {
        if (is_bound) {
            seen_glance(call->map, key, seen);
            outcome->condition = seen_exists(seen) ? http_check_conditions(call->request, seen) : HTTP_CONDITION_HOLDS;
            if (outcome->condition != HTTP_CONDITION_HOLDS) {
                return;
            }
        }
    } while (!try_erase(call->map, key, seen, is_bound, outcome));
}

void http_kv_delete(struct http_call *call) {
    struct kv_outcome outcome = {STROBE_OK, HTTP_CONDITION_HOLDS, false, 0};
    struct seen seen;
    struct http_key key;
    struct strobe_http_refusal refused = http_key_open(&key, call);

    if (refused.status == 0 && call->request->query.len != 0) {
        refused =
            http_refusal(400, "Removing a key takes no parameters; a '?' that belongs to the key is written %3F.");
    }
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
        http_key_close(&key);
        return;
    }
    erase(call, &key.key, &seen, &outcome);
    http_key_close(&key);
    if (outcome.condition != HTTP_CONDITION_HOLDS) {
        http_answer_condition(call, outcome.condition, seen.version);
    } else if (outcome.status == STROBE_MISSING) {
        http_answer_missing(call);
    } else if (outcome.status != STROBE_OK) {
        http_answer_status(call, outcome.status);
    } else {
        strobe_http_reply_begin(&call->reply, 204);
        strobe_http_reply_empty(&call->reply);
    }
}

/* http_kv.c - /kv/KEY: an entry of the map behind a URL.
 *
 *      GET     look -> If-Match, If-None-Match -> 200 with the bytes as they were stored, 304, 404, 412
 *      PUT     plan (ttl, type) -> build the entry -> [look -> conditions -> compare] -> put -> 201, 204, 412
 *      DELETE  [look -> conditions -> compare] -> erase -> 204, 404, 412
 *
 * Always: nothing is parsed, built, freed or copied at length while a lock is held. Small values are copied out under
 * it, large ones are shared and sent from where they lie. Conditions and ?keepttl are judged between two accesses: the
 * second acts only if the entry still is what the first one saw (its version says so), else both are done again; so
 * each request takes effect at one instant, and whoever lost the race is one whose rival made progress.
 * A write refuses a parameter that it does not know, since a misspelt ttl must not store for ever; a read ignores it.
 * The query's ttl counts before the header's. On failure the map is as it was.
 * Not here: Host and Origin (http_policy.c), bodies too large (refused before they are read, http_door.c).
 */
#include "server/http_kv.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/http_target.h"
#include "protocol/number.h"
#include "server/change.h"
#include "server/metrics.h"

/* What keeps a stored page from acting as one of ours: no guessing of its type, no script, no stale copy. */
#define GUARDS                             \
    "X-Content-Type-Options: nosniff\r\n"  \
    "Content-Security-Policy: sandbox\r\n" \
    "Cache-Control: no-cache\r\n"
#define NO_TYPE "Content-Type: application/octet-stream\r\n"

enum { KEY_ROOM = 256 };

/* A key taken out of a path. */
struct kv_key {
    struct strobe_key key;
    char *owned; /* a long key's decoded bytes, or NULL */
    char room[KEY_ROOM];
};

/* Makes *KEY of the request's path; ended with key_close whatever the result. */
static struct strobe_http_refusal key_open(struct kv_key *key, const struct http_call *call) {
    struct strobe_slice text = call->rest;
    char *bytes = key->room;
    size_t len = 0;

    key->owned = NULL;
    if (strobe_http_is_plain(text, STROBE_HTTP_PLUS_IS_PLUS)) {
        if (text.len > STROBE_KEY_MAX) {
            return http_refusal(414, "A key has at most 65535 bytes.");
        }
        key->key = strobe_key(call->map, text.data, text.len);
        return http_fine;
    }
    if (text.len > sizeof key->room) {
        bytes = key->owned = malloc(text.len);
        if (bytes == NULL) {
            return http_no_memory;
        }
    }
    if (strobe_http_decode(text, STROBE_HTTP_PLUS_IS_PLUS, bytes, text.len, &len) != STROBE_HTTP_DECODED) {
        return http_bad_escape;
    }
    if (len > STROBE_KEY_MAX) {
        return http_refusal(414, "A key has at most 65535 bytes.");
    }
    key->key = strobe_key(call->map, bytes, len);
    return http_fine;
}

static void key_close(struct kv_key *key) {
    free(key->owned);
}

/* ---- conditions --------------------------------------------------------------------------------------- */

enum condition { CONDITION_HOLDS, CONDITION_NOT_MODIFIED, CONDITION_FAILED, CONDITION_BAD };

static bool has_conditions(const struct strobe_http_request *request) {
    return strobe_http_request_field(request, STROBE_HTTP_FIELD_IF_MATCH).data != NULL ||
           strobe_http_request_field(request, STROBE_HTTP_FIELD_IF_NONE_MATCH).data != NULL;
}

/* RFC 9110 section 13.2.2: If-Match first, then If-None-Match. */
static enum condition check_conditions(const struct strobe_http_request *request, const struct seen *seen) {
    bool is_read = request->method == STROBE_METHOD_GET || request->method == STROBE_METHOD_HEAD;
    bool exists = seen_exists(seen);
    enum strobe_http_etag_match match;

    if (strobe_http_request_field(request, STROBE_HTTP_FIELD_IF_MATCH).data != NULL) {
        match = strobe_http_request_match_etag(request, STROBE_HTTP_FIELD_IF_MATCH, seen->version, exists, true);
        if (match != STROBE_HTTP_ETAG_MATCH) {
            return match == STROBE_HTTP_ETAG_INVALID ? CONDITION_BAD : CONDITION_FAILED;
        }
    }
    match = strobe_http_request_match_etag(request, STROBE_HTTP_FIELD_IF_NONE_MATCH, seen->version, exists, false);
    if (match == STROBE_HTTP_ETAG_NO_MATCH) {
        return CONDITION_HOLDS;
    }
    if (match == STROBE_HTTP_ETAG_INVALID) {
        return CONDITION_BAD;
    }
    return is_read ? CONDITION_NOT_MODIFIED : CONDITION_FAILED;
}

/* ETag: "18446744073709551615" and its line end. */
#define ETAG_LINE_MAX 32

static struct strobe_slice etag_line(char text[ETAG_LINE_MAX], uint64_t version) {
    size_t len = sizeof "ETag: \"" - 1;

    memcpy(text, "ETag: \"", len);
    len += strobe_number_format_uint64(text + len, version);
    memcpy(text + len, "\"\r\n", 3);
    return strobe_slice_make(text, len + 3);
}

/* The answer to a condition that does not hold. */
static void answer_condition(struct http_call *call, enum condition condition, const struct seen *seen) {
    char text[ETAG_LINE_MAX];
    struct strobe_slice etag = seen_exists(seen) ? etag_line(text, seen->version) : STROBE_SLICE("");

    if (condition == CONDITION_BAD) {
        http_routes_refuse(
            call,
            http_refusal(400, "If-Match and If-None-Match hold * or ETags in double quotes, with commas between."));
    } else if (condition == CONDITION_FAILED) {
        http_routes_refuse_with(
            call,
            http_refusal(412,
                         "The entry is not in the state that was asked for; its ETag, if it exists, is the one above."),
            etag);
    } else {
        strobe_http_reply_begin(&call->reply, 304);
        strobe_http_reply_lines(&call->reply, etag);
        strobe_http_reply_lines(&call->reply, STROBE_SLICE(GUARDS));
        strobe_http_reply_empty(&call->reply);
    }
}

static void answer_missing(struct http_call *call) {
    http_routes_refuse(call, http_refusal(404, "There is no such key."));
}

static void answer_status(struct http_call *call, enum strobe_status status) {
    http_routes_refuse(call, status == STROBE_TOO_BIG ? http_refusal(413, "The value is larger than a value may be.")
                                                      : http_refusal(507, "Out of memory; nothing was changed."));
}

/* ---- GET and HEAD -------------------------------------------------------------------------------------- */

static void release_blob(void *owner) {
    strobe_blob_release(owner);
}

static void answer_value(struct http_call *call, struct seen *seen) {
    struct strobe_http_reply *reply = &call->reply;

    strobe_http_reply_begin(reply, 200);
    if (seen->type_len == 0) {
        strobe_http_reply_lines(reply, STROBE_SLICE(NO_TYPE GUARDS));
    } else {
        strobe_http_reply_field(reply, "Content-Type", strobe_slice_make(seen->type, seen->type_len));
        strobe_http_reply_lines(reply, STROBE_SLICE(GUARDS));
    }
    strobe_http_reply_etag(reply, seen->version);
    if (seen->expiry != 0) {
        strobe_http_reply_field_u64(reply, "TTL", http_kv_ttl(seen->expiry, seen->now));
    }
    strobe_http_reply_length(reply, seen->len);
    if (!strobe_http_reply_wants_body(reply)) {
        return;
    }
    if (seen->blob != NULL) {
        strobe_out_borrow(reply->out, strobe_slice_make(seen->value, seen->len), release_blob, seen->blob);
        seen->blob = NULL;
    } else {
        strobe_http_reply_body(reply, strobe_slice_make(seen->value, seen->len));
    }
}

void http_kv_get(struct http_call *call) {
    struct seen seen;
    struct kv_key key;
    enum condition condition = CONDITION_HOLDS;
    struct strobe_http_refusal refused = key_open(&key, call);

    if (refused.status != 0) {
        http_routes_refuse(call, refused);
        key_close(&key);
        return;
    }
    if (call->request->method == STROBE_METHOD_HEAD) {
        seen_glance(call->map, &key.key, &seen);
    } else {
        seen_look(call->map, &key.key, &seen);
    }
    key_close(&key);
    metrics_count(call->metrics, seen_exists(&seen) ? METRICS_HITS : METRICS_MISSES, 1);
    if (!seen_exists(&seen)) {
        answer_missing(call);
        return;
    }
    if (has_conditions(call->request)) {
        condition = check_conditions(call->request, &seen);
    }
    if (condition == CONDITION_HOLDS) {
        answer_value(call, &seen);
    } else {
        answer_condition(call, condition, &seen);
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

/* A form's type is what curl -d says of anything, so it says nothing; what would be stored otherwise than it was meant
 * is refused. */
static struct strobe_http_refusal plan_type(struct kv_plan *plan, const struct strobe_http_request *request) {
    struct strobe_slice type = strobe_http_request_field(request, STROBE_HTTP_FIELD_CONTENT_TYPE);
    struct strobe_slice coding = strobe_http_request_field(request, STROBE_HTTP_FIELD_CONTENT_ENCODING);
    struct strobe_slice part;
    size_t at = 0;

    if (coding.len != 0 && !strobe_http_text_is(coding, "identity")) {
        return http_refusal(415,
                            "Values are stored without a Content-Encoding; send the bytes as they shall be read, and "
                            "leave that header out.");
    }
    if (strobe_http_request_next_value(request, STROBE_SLICE("content-range"), &at, &part)) {
        return http_refusal(400, "A value is written whole; leave Content-Range out.");
    }
    if (type.len == 0 || strobe_http_media_type_is(type, "application/x-www-form-urlencoded")) {
        return http_fine;
    }
    if (strobe_http_media_type_is(type, "multipart/form-data")) {
        return http_refusal(415, "A form with files is not unpacked here; send the bytes themselves as the body: "
                                 "curl -T FILE, or curl --data-binary @FILE, in place of curl -F.");
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
    enum condition condition;
    bool existed;     /* before the write */
    uint64_t version; /* of the new entry */
};

/* Makes the entry, whose expiry is known. */
static enum strobe_status build(struct http_call *call, const struct strobe_key *key, const struct kv_plan *plan,
                                struct strobe_blob *blob, uint64_t expiry, struct strobe_entry **entry) {
    struct strobe_entry_spec spec = {
        .key = key,
        .value = call->request->body.data,
        .len = call->request->body.len,
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
    bool is_conditional = has_conditions(call->request);
    bool is_bound = is_conditional || plan->keep_ttl;
    bool is_done;

    do {
        uint64_t expiry = plan->ttl != 0 ? strobe_map_tick(call->map) + plan->ttl : 0;
        struct strobe_entry *entry = NULL;

        if (is_bound) {
            seen_glance(call->map, key, seen);
            outcome->condition = is_conditional ? check_conditions(call->request, seen) : CONDITION_HOLDS;
            if (outcome->condition != CONDITION_HOLDS) {
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
    if (outcome->condition != CONDITION_HOLDS) {
        answer_condition(call, outcome->condition, seen);
    } else if (outcome->status != STROBE_OK) {
        answer_status(call, outcome->status);
    } else {
        strobe_http_reply_begin(&call->reply, outcome->existed ? 204 : 201);
        strobe_http_reply_etag(&call->reply, outcome->version);
        strobe_http_reply_empty(&call->reply);
    }
}

void http_kv_put(struct http_call *call) {
    struct kv_outcome outcome = {STROBE_NO_MEMORY, CONDITION_HOLDS, false, 0};
    struct strobe_blob *blob;
    struct kv_plan plan;
    struct seen seen;
    struct kv_key key;
    struct strobe_http_refusal refused = key_open(&key, call);

    if (refused.status == 0) {
        refused = plan_put(&plan, call);
    }
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
        key_close(&key);
        return;
    }
    if (blob_of_body(call, &blob)) {
        put(call, &key.key, &plan, blob, &seen, &outcome);
    }
    if (blob != NULL) {
        strobe_blob_release(blob);
    }
    key_close(&key);
    answer_put(call, &seen, &outcome);
}

struct strobe_http_refusal http_kv_judge(const struct http_call *call) {
    struct strobe_http_refusal refused;
    struct kv_plan plan;
    struct kv_key key;

    if (call->request->method != STROBE_METHOD_PUT && call->request->method != STROBE_METHOD_POST) {
        return http_fine;
    }
    refused = key_open(&key, call);
    key_close(&key);
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
    bool is_bound = has_conditions(call->request);

    do {
        if (is_bound) {
            seen_glance(call->map, key, seen);
            outcome->condition = seen_exists(seen) ? check_conditions(call->request, seen) : CONDITION_HOLDS;
            if (outcome->condition != CONDITION_HOLDS) {
                return;
            }
        }
    } while (!try_erase(call->map, key, seen, is_bound, outcome));
}

void http_kv_delete(struct http_call *call) {
    struct kv_outcome outcome = {STROBE_OK, CONDITION_HOLDS, false, 0};
    struct seen seen;
    struct kv_key key;
    struct strobe_http_refusal refused = key_open(&key, call);

    if (refused.status == 0 && call->request->query.len != 0) {
        refused =
            http_refusal(400, "Removing a key takes no parameters; a '?' that belongs to the key is written %3F.");
    }
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
        key_close(&key);
        return;
    }
    erase(call, &key.key, &seen, &outcome);
    key_close(&key);
    if (outcome.condition != CONDITION_HOLDS) {
        answer_condition(call, outcome.condition, &seen);
    } else if (outcome.status == STROBE_MISSING) {
        answer_missing(call);
    } else if (outcome.status != STROBE_OK) {
        answer_status(call, outcome.status);
    } else {
        strobe_http_reply_begin(&call->reply, 204);
        strobe_http_reply_empty(&call->reply);
    }
}

/* http_patch.c - PATCH /kv/KEY: a part of a value changes, atomically; the rest of the entry stays.
 *
 *      ?incr=N    the number that the value is grows by N (?incr alone: by 1); missing counts as 0
 *      ?append    the body goes behind the value; missing counts as empty
 *
 *      judge -> change_entry( look -> conditions -> amend.c ) -> 200 with the new number or length
 *
 * Always: conditions are judged by the very state that the change is made from, so there is no gap between them. The
 * body of a large append is in a blob by then, and a large value is copied in slices, between which the door serves
 * others and then calls again. Expiry and content type are kept.
 * On failure the entry is as it was. Not here: how a change is made at one instant (change.c).
 */
#include "server/http_patch.h"

#include "protocol/http_target.h"
#include "protocol/number.h"
#include "server/amend.h"
#include "server/command.h"
#include "server/config.h"
#include "server/http_entry.h"
#include "server/worker.h"

/* What the query asks for. */
struct patch_plan {
    bool appends, adds;
    int64_t amount;
};

/* A change under way: the context of make(). */
struct patch {
    struct amendment amendment;
    const struct strobe_http_request *request;
    bool appends;
    enum http_condition condition;
    uint64_t seen; /* version that the condition was judged by */
};

static struct strobe_http_refusal plan_amount(struct patch_plan *plan, struct strobe_slice text) {
    char number[STROBE_NUMBER_INT64_TEXT];
    size_t len;

    plan->adds = true;
    plan->amount = 1;
    if (text.data == NULL) return http_fine;
    if (strobe_http_decode(text, STROBE_HTTP_PLUS_IS_PLUS, number, sizeof number, &len) == STROBE_HTTP_DECODED &&
        strobe_number_parse_int64(strobe_slice_make(number, len), &plan->amount)) {
        return http_fine;
    }
    return http_refusal(400, "incr is a whole number that fits 64 bits: ?incr=5, ?incr=-1.");
}

static struct strobe_http_refusal plan_patch(struct patch_plan *plan, const struct http_call *call) {
    struct strobe_slice rest = call->request->query;
    struct strobe_slice name, value;
    struct strobe_http_refusal refused = http_fine;

    *plan = (struct patch_plan){.amount = 0};
    while (refused.status == 0 && strobe_http_next_parameter(&rest, &name, &value)) {
        if (strobe_slice_equal(name, STROBE_SLICE("append"))) {
            plan->appends = strobe_http_is_yes(value);
        } else if (strobe_slice_equal(name, STROBE_SLICE("incr")) && !plan->adds) {
            refused = plan_amount(plan, value);
        } else {
            refused = http_refusal(400, "The query has a parameter that is not known here, or twice: a change takes "
                                        "incr or append; a '?' that belongs to the key is written %3F.");
        }
    }
    if (refused.status != 0) return refused;
    if (strobe_http_request_field(call->request, STROBE_HTTP_FIELD_TTL).data != NULL) {
        return http_refusal(400,
                            "A change keeps the time to live that the entry has; leave TTL out, or PUT the value.");
    }
    if (plan->appends == plan->adds) {
        return http_refusal(400, "Say what to change: ?incr=N adds to a number, ?append puts the body behind the "
                                 "value; PUT writes a whole one.");
    }
    if (plan->adds && call->request->has_body) {
        return http_refusal(400, "incr has its number in the query and takes no body; send none.");
    }
    return http_entry_body(call->request);
}

struct strobe_http_refusal http_patch_judge(const struct http_call *call) {
    struct patch_plan plan;
    struct http_key key;
    struct strobe_http_refusal refused = http_key_open(&key, call);

    http_key_close(&key);
    return refused.status != 0 ? refused : plan_patch(&plan, call);
}

/* For change_entry. */
static enum strobe_status make(void *context, const struct seen *seen, struct strobe_entry **entry) {
    struct patch *patch = context;

    patch->seen = seen->version;
    patch->condition = http_check_conditions(patch->request, seen);
    patch->amendment.is_later = false;
    if (patch->condition != HTTP_CONDITION_HOLDS) return STROBE_OK;
    return patch->appends ? amend_append(&patch->amendment, seen, entry) : amend_add(&patch->amendment, seen, entry);
}

static void answer_number(struct http_call *call, int64_t number, uint64_t version) {
    char text[STROBE_NUMBER_INT64_TEXT];
    size_t len = strobe_number_format_int64(text, number);

    strobe_http_reply_begin(&call->reply, 200);
    strobe_http_reply_lines(&call->reply, STROBE_SLICE("Content-Type: text/plain; charset=utf-8\r\n"
                                                       "X-Content-Type-Options: nosniff\r\n"
                                                       "Cache-Control: no-cache\r\n"));
    strobe_http_reply_etag(&call->reply, version);
    strobe_http_reply_length(&call->reply, len);
    strobe_http_reply_body(&call->reply, strobe_slice_make(text, len));
}

static void answer_fault(struct http_call *call, enum amend_fault fault) {
    static const struct strobe_http_refusal refusals[] = {
        [AMEND_NOT_INTEGER] = {400, "The value is not a whole number that fits 64 bits; nothing was changed."},
        [AMEND_OVERFLOW] = {400, "The sum does not fit 64 bits; nothing was changed."},
        [AMEND_TOO_LONG] = {413, "The value would be larger than max-value allows; nothing was changed."},
    };

    http_routes_refuse(call, refusals[fault]);
}

/* Changes the entry of KEY as PLAN has it, and answers. */
static void change(struct http_call *call, const struct strobe_key *key, const struct patch_plan *plan) {
    const struct command_call caller = {
        .map = call->map, .services = worker_services(call->worker), .metrics = call->metrics};
    struct strobe_slice body = call->request->body;
    enum strobe_status status;
    uint64_t version = 0;

    if (call->value != NULL) body.data = strobe_blob_bytes(call->value, &body.len);
    struct patch patch = {.request = call->request, .appends = plan->appends};
    patch.amendment = (struct amendment){.map = call->map,
                                         .key = key,
                                         .bytes = body,
                                         .blob = call->value,
                                         .draft = call->draft,
                                         .may_wait = true,
                                         .amount = plan->amount,
                                         .max = (size_t)worker_config(call->worker)->max_value};
    strobe_map_tick(call->map);
    status = change_entry_to(&caller, key, make, &patch, &version);
    call->is_later = status == STROBE_OK && patch.amendment.is_later;
    if (call->is_later) return;
    draft_end(call->draft, version != 0);
    if (status != STROBE_OK) {
        http_answer_status(call, status);
    } else if (patch.condition != HTTP_CONDITION_HOLDS) {
        http_answer_condition(call, patch.condition, patch.seen);
    } else if (patch.amendment.fault != AMEND_NONE) {
        answer_fault(call, patch.amendment.fault);
    } else {
        answer_number(call, patch.amendment.number, version);
    }
}

void http_patch(struct http_call *call) {
    struct patch_plan plan;
    struct http_key key;
    struct strobe_http_refusal refused = http_key_open(&key, call);

    if (refused.status == 0) refused = plan_patch(&plan, call);
    if (refused.status != 0) {
        http_routes_refuse(call, refused);
    } else {
        change(call, &key.key, &plan);
    }
    http_key_close(&key);
}

/* http_entry.c - /kv/KEY before it is known what happens to it: which key, under which conditions.
 *
 * Always: a key is the bytes that its path stands for, and is copied only if it has escapes; conditions are judged by
 * what the caller has seen, and it is the caller who sees to it that this is still so when it acts.
 * Not here: acting (http_kv.c, http_patch.c). */
#include "server/http_entry.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/http_target.h"
#include "protocol/number.h"

struct strobe_http_refusal http_key_open(struct http_key *key, const struct http_call *call) {
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

void http_key_close(struct http_key *key) {
    if (key->owned != NULL) free(key->owned);
}

/* ---- conditions --------------------------------------------------------------------------------------- */

bool http_has_conditions(const struct strobe_http_request *request) {
    return strobe_http_request_field(request, STROBE_HTTP_FIELD_IF_MATCH).data != NULL ||
           strobe_http_request_field(request, STROBE_HTTP_FIELD_IF_NONE_MATCH).data != NULL;
}

enum http_condition http_check_conditions(const struct strobe_http_request *request, const struct seen *seen) {
    bool is_read = request->method == STROBE_METHOD_GET || request->method == STROBE_METHOD_HEAD;
    bool exists = seen_exists(seen);
    enum strobe_http_etag_match match;

    if (strobe_http_request_field(request, STROBE_HTTP_FIELD_IF_MATCH).data != NULL) {
        match = strobe_http_request_match_etag(request, STROBE_HTTP_FIELD_IF_MATCH, seen->version, exists, true);
        if (match != STROBE_HTTP_ETAG_MATCH) {
            return match == STROBE_HTTP_ETAG_INVALID ? HTTP_CONDITION_BAD : HTTP_CONDITION_FAILED;
        }
    }
    match = strobe_http_request_match_etag(request, STROBE_HTTP_FIELD_IF_NONE_MATCH, seen->version, exists, false);
    if (match == STROBE_HTTP_ETAG_NO_MATCH) {
        return HTTP_CONDITION_HOLDS;
    }
    if (match == STROBE_HTTP_ETAG_INVALID) {
        return HTTP_CONDITION_BAD;
    }
    return is_read ? HTTP_CONDITION_NOT_MODIFIED : HTTP_CONDITION_FAILED;
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

void http_answer_condition(struct http_call *call, enum http_condition condition, uint64_t version) {
    char text[ETAG_LINE_MAX];
    struct strobe_slice etag = version != 0 ? etag_line(text, version) : STROBE_SLICE("");

    if (condition == HTTP_CONDITION_BAD) {
        http_routes_refuse(
            call,
            http_refusal(400, "If-Match and If-None-Match hold * or ETags in double quotes, with commas between."));
    } else if (condition == HTTP_CONDITION_FAILED) {
        http_routes_refuse_with(
            call,
            http_refusal(412,
                         "The entry is not in the state that was asked for; its ETag, if it exists, is the one above."),
            etag);
    } else {
        strobe_http_reply_begin(&call->reply, 304);
        strobe_http_reply_lines(&call->reply, etag);
        strobe_http_reply_lines(&call->reply, STROBE_SLICE(HTTP_ENTRY_GUARDS));
        strobe_http_reply_empty(&call->reply);
    }
}

void http_answer_missing(struct http_call *call) {
    http_routes_refuse(call, http_refusal(404, "There is no such key."));
}

void http_answer_status(struct http_call *call, enum strobe_status status) {
    http_routes_refuse(call, status == STROBE_TOO_BIG ? http_refusal(413, "The value is larger than a value may be.")
                                                      : http_refusal(507, "Out of memory; nothing was changed."));
}

/* ---- the body of a write -------------------------------------------------------------------------------- */

struct strobe_http_refusal http_entry_body(const struct strobe_http_request *request) {
    struct strobe_slice type = strobe_http_request_field(request, STROBE_HTTP_FIELD_CONTENT_TYPE);
    struct strobe_slice coding = strobe_http_request_field(request, STROBE_HTTP_FIELD_CONTENT_ENCODING);
    struct strobe_slice part;
    size_t at = 0;

    if (coding.len != 0 && !strobe_http_text_is(coding, "identity")) {
        return http_refusal(415,
                            "A body is taken without a Content-Encoding; send the bytes as they shall be read, and "
                            "leave that header out.");
    }
    if (strobe_http_request_next_value(request, STROBE_SLICE("content-range"), &at, &part)) {
        return http_refusal(400, "A value is written whole; leave Content-Range out.");
    }
    if (strobe_http_media_type_is(type, "multipart/form-data")) {
        return http_refusal(415, "A form with files is not unpacked here; send the bytes themselves as the body: "
                                 "curl -T FILE, or curl --data-binary @FILE, in place of curl -F.");
    }
    return http_fine;
}

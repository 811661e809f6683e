/* http_writer.c - HTTP/1.1 replies, from pieces that are ready made.
 *
 * Always: the status line says HTTP/1.1, also to a 1.0 client (RFC 9110 section 2.5); every final reply has a Date; no
 * byte of a value can end a header line; what follows the blank line is exactly what the head announced.
 * On failure: the output chain remembers it, and the connection closes; nothing is checked here.
 * Not here: which headers a route sends, and closing (server/). */
#include "protocol/http_writer.h"

#include <assert.h>
#include <string.h>

#include "protocol/json.h"
#include "protocol/limits.h"
#include "protocol/number.h"

#define STATUSES(X)                           \
    X(200, "OK")                              \
    X(201, "Created")                         \
    X(204, "No Content")                      \
    X(206, "Partial Content")                 \
    X(304, "Not Modified")                    \
    X(400, "Bad Request")                     \
    X(401, "Unauthorized")                    \
    X(403, "Forbidden")                       \
    X(404, "Not Found")                       \
    X(405, "Method Not Allowed")              \
    X(408, "Request Timeout")                 \
    X(409, "Conflict")                        \
    X(410, "Gone")                            \
    X(411, "Length Required")                 \
    X(412, "Precondition Failed")             \
    X(413, "Content Too Large")               \
    X(414, "URI Too Long")                    \
    X(415, "Unsupported Media Type")          \
    X(416, "Range Not Satisfiable")           \
    X(417, "Expectation Failed")              \
    X(422, "Unprocessable Content")           \
    X(429, "Too Many Requests")               \
    X(431, "Request Header Fields Too Large") \
    X(500, "Internal Server Error")           \
    X(501, "Not Implemented")                 \
    X(503, "Service Unavailable")             \
    X(505, "HTTP Version Not Supported")      \
    X(507, "Insufficient Storage")

/* ---- text --------------------------------------------------------------------------------------- */

static const char *status_text(int status) {
    switch (status) {
#define CASE(number, text) \
    case number: return text;
        STATUSES(CASE)
#undef CASE
    default: return "Unknown";
    }
}

static struct strobe_slice status_line(int status) {
    switch (status) {
#define CASE(number, text) \
    case number: return STROBE_SLICE("HTTP/1.1 " #number " " text "\r\nDate: ");
        STATUSES(CASE)
#undef CASE
    default: break;
    }
    assert(status == 500);
    return STROBE_SLICE("HTTP/1.1 500 Internal Server Error\r\nDate: ");
}

static void two_digits(char *at, unsigned value) {
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
}

/* Days since 1970-01-01 to year, month (0 to 11) and day (1 to 31) of the Gregorian calendar. */
static void split_days(unsigned days, unsigned *year, unsigned *month, unsigned *day) {
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned y = 1970 + days / 366, m = 0, length;
    unsigned passed = (y - 1970) * 365 + (y - 1969) / 4 - (y - 1901) / 100 + (y - 1601) / 400;

    days -= passed;
    for (;; y++) {
        bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

        length = leap ? 366 : 365;
        if (days < length) {
            for (; days >= (length = lengths[m] + (unsigned)(m == 1 && leap)); m++) days -= length;
            break;
        }
        days -= length;
    }
    *year = y;
    *month = m;
    *day = days + 1;
}

void strobe_http_date(int64_t unix_seconds, char text[STROBE_HTTP_DATE_LEN]) {
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* day 0 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned days = (unsigned)(unix_seconds / 86400), second = (unsigned)(unix_seconds % 86400);
    unsigned year, month, day;

    assert(unix_seconds >= 0 && unix_seconds < 253402300800); /* the year 10000: date -ud 9999-12-31T23:59:60 +%s */
    split_days(days, &year, &month, &day);
    memcpy(text, "Day, 00 Mon 0000 00:00:00 GMT", STROBE_HTTP_DATE_LEN);
    memcpy(text, weekdays + (size_t)(days % 7) * 3, 3);
    two_digits(text + 5, day);
    memcpy(text + 8, months + (size_t)month * 3, 3);
    two_digits(text + 12, year / 100);
    two_digits(text + 14, year % 100);
    two_digits(text + 17, second / 3600);
    two_digits(text + 20, second / 60 % 60);
    two_digits(text + 23, second % 60);
}

/* ---- heads -------------------------------------------------------------------------------------- */

static inline char *put(char *at, struct strobe_slice piece) {
    memcpy(at, piece.data, piece.len);
    return at + piece.len;
}

void strobe_http_reply_begin(struct strobe_http_reply *reply, int status) {
    struct strobe_slice line = status_line(status);
    struct strobe_slice connection = STROBE_SLICE("\r\n");
    char *room = strobe_out_reserve(reply->out, 160);
    char *at = room;

    reply->status = status;
    reply->chunked = false;
    if (room == NULL) return;
    if (!reply->keep_alive) {
        connection = STROBE_SLICE("\r\nConnection: close\r\n");
    } else if (reply->is_http10) {
        connection = STROBE_SLICE("\r\nConnection: keep-alive\r\n");
    }
    at = put(at, line);
    at = put(at, strobe_slice_make(reply->date, STROBE_HTTP_DATE_LEN));
    at = put(at, connection);
    strobe_out_commit(reply->out, (size_t)(at - room));
    if (reply->varies) strobe_out_append(reply->out, STROBE_SLICE("Vary: Origin\r\n"));
    if (reply->allow_origin.len > 0) {
        strobe_http_reply_field(reply, "Access-Control-Allow-Origin", reply->allow_origin);
        strobe_out_append(reply->out,
                          STROBE_SLICE("Access-Control-Expose-Headers: ETag, TTL, Link, Content-Range, Accept-Ranges, "
                                       "Retry-After\r\n"));
    }
}

/* May C stand in a field's value? */
static bool is_field_byte(char c) {
    unsigned char u = (unsigned char)c;

    return (u >= 0x20 && u != 0x7f) || u == '\t';
}

void strobe_http_reply_field(struct strobe_http_reply *reply, const char *name, struct strobe_slice value) {
    strobe_out_append(reply->out, strobe_slice_make(name, strlen(name)));
    strobe_out_append(reply->out, STROBE_SLICE(": "));
    for (size_t from = 0, to = 0; from < value.len; from = ++to) {
        while (to < value.len && is_field_byte(value.data[to])) to++;
        strobe_out_append(reply->out, strobe_slice_make(value.data + from, to - from));
        if (to < value.len) strobe_out_append(reply->out, STROBE_SLICE(" "));
    }
    strobe_out_append(reply->out, STROBE_SLICE("\r\n"));
}

/* NUMBER between two texts of ours; inline, so that their lengths are known and no call copies them. */
static inline void put_number(struct strobe_out *out, struct strobe_slice before, uint64_t number,
                              struct strobe_slice after) {
    char *room = strobe_out_reserve(out, before.len + STROBE_NUMBER_INT64_TEXT + after.len);
    char *at;

    if (room == NULL) return;
    at = put(room, before);
    at += strobe_number_format_uint64(at, number);
    at = put(at, after);
    strobe_out_commit(out, (size_t)(at - room));
}

void strobe_http_reply_field_u64(struct strobe_http_reply *reply, const char *name, uint64_t value) {
    strobe_out_append(reply->out, strobe_slice_make(name, strlen(name)));
    put_number(reply->out, STROBE_SLICE(": "), value, STROBE_SLICE("\r\n"));
}

void strobe_http_reply_etag(struct strobe_http_reply *reply, uint64_t version) {
    put_number(reply->out, STROBE_SLICE("ETag: \""), version, STROBE_SLICE("\"\r\n"));
}

void strobe_http_reply_lines(struct strobe_http_reply *reply, struct strobe_slice lines) {
    assert(lines.len == 0 || (lines.len > 2 && memcmp(lines.data + lines.len - 2, "\r\n", 2) == 0));
    strobe_out_append(reply->out, lines);
}

/* Does this status say that there is no body, so that a length must not be said? */
static bool is_bodiless(int status) {
    return status < 200 || status == 204 || status == 304;
}

bool strobe_http_reply_wants_body(const struct strobe_http_reply *reply) {
    return !reply->is_head && !is_bodiless(reply->status);
}

void strobe_http_reply_length(struct strobe_http_reply *reply, uint64_t length) {
    assert(!is_bodiless(reply->status));
    put_number(reply->out, STROBE_SLICE("Content-Length: "), length, STROBE_SLICE("\r\n\r\n"));
}

void strobe_http_reply_empty(struct strobe_http_reply *reply) {
    if (is_bodiless(reply->status)) {
        strobe_out_append(reply->out, STROBE_SLICE("\r\n"));
    } else {
        strobe_http_reply_length(reply, 0);
    }
}

void strobe_http_reply_chunked(struct strobe_http_reply *reply) {
    assert(!is_bodiless(reply->status) && !(reply->is_http10 && reply->keep_alive));
    reply->chunked = !reply->is_http10;
    strobe_out_append(reply->out,
                      reply->chunked ? STROBE_SLICE("Transfer-Encoding: chunked\r\n\r\n") : STROBE_SLICE("\r\n"));
}

/* ---- bodies ------------------------------------------------------------------------------------- */

void strobe_http_reply_body(struct strobe_http_reply *reply, struct strobe_slice body) {
    if (strobe_http_reply_wants_body(reply)) strobe_out_append(reply->out, body);
}

/* Empties FROM without using what is in it, but passes its failure on. */
static void drop(struct strobe_http_reply *reply, struct strobe_out *from) {
    strobe_out_consume(from, strobe_out_pending(from));
    strobe_out_splice(reply->out, from);
}

void strobe_http_reply_body_from(struct strobe_http_reply *reply, struct strobe_out *from) {
    strobe_http_reply_length(reply, strobe_out_pending(from));
    if (strobe_http_reply_wants_body(reply)) {
        strobe_out_splice(reply->out, from);
    } else {
        drop(reply, from);
    }
}

static void put_chunk_size(struct strobe_http_reply *reply, size_t size) {
    static const char digits[] = "0123456789abcdef";
    char *room = strobe_out_reserve(reply->out, 18);
    char *at = room;
    int shift = 60;

    if (room == NULL) return;
    while (shift > 0 && size >> shift == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) *at++ = digits[size >> shift & 15];
    at = put(at, STROBE_SLICE("\r\n"));
    strobe_out_commit(reply->out, (size_t)(at - room));
}

void strobe_http_reply_chunk_from(struct strobe_http_reply *reply, struct strobe_out *from) {
    size_t size = strobe_out_pending(from);

    if (size == 0 || !strobe_http_reply_wants_body(reply)) {
        drop(reply, from);
        return;
    }
    if (reply->chunked) put_chunk_size(reply, size);
    strobe_out_splice(reply->out, from);
    if (reply->chunked) strobe_out_append(reply->out, STROBE_SLICE("\r\n"));
}

void strobe_http_reply_last_chunk(struct strobe_http_reply *reply) {
    if (reply->chunked && strobe_http_reply_wants_body(reply)) {
        strobe_out_append(reply->out, STROBE_SLICE("0\r\n\r\n"));
    }
}

void strobe_http_reply_problem(struct strobe_http_reply *reply, int status, struct strobe_slice detail,
                               struct strobe_slice lines) {
    struct strobe_out body;
    struct strobe_json json;

    strobe_out_init(&body, reply->out->pool, STROBE_OUT_CHUNK);
    strobe_json_init(&json, &body);
    strobe_json_object_begin(&json);
    strobe_json_name(&json, "type");
    strobe_json_text(&json, "about:blank");
    strobe_json_name(&json, "title");
    strobe_json_text(&json, status_text(status));
    strobe_json_name(&json, "status");
    strobe_json_i64(&json, status);
    strobe_json_name(&json, "detail");
    strobe_json_string(
        &json, strobe_slice_make(detail.data, detail.len < STROBE_ERROR_TEXT_MAX ? detail.len : STROBE_ERROR_TEXT_MAX));
    strobe_json_object_end(&json);
    strobe_json_newline(&json);
    strobe_http_reply_begin(reply, status);
    strobe_http_reply_lines(reply, lines);
    strobe_http_reply_lines(reply, STROBE_SLICE("Content-Type: application/problem+json\r\n"
                                                "X-Content-Type-Options: nosniff\r\n"));
    strobe_http_reply_body_from(reply, &body);
    strobe_out_fini(&body);
}

void strobe_http_reply_text(struct strobe_http_reply *reply, int status, const char *content_type,
                            struct strobe_slice body) {
    strobe_http_reply_begin(reply, status);
    strobe_http_reply_field(reply, "Content-Type", strobe_slice_make(content_type, strlen(content_type)));
    strobe_http_reply_length(reply, body.len);
    strobe_http_reply_body(reply, body);
}

void strobe_http_write_continue(struct strobe_out *out) {
    strobe_out_append(out, STROBE_SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* http_load.c - requests and replies of HTTP/1.1, as far as a load needs them: lengths, chunks, and the connection's
 * end. A reply is 200 (with the value), 404 (the key is not there), to PUT 200, 201 or 204, or an error.
 * Format: RFC 9112. */
#include "clients/bench/http_load.h"

#include <stdio.h>

#include "protocol/number.h"

/* Where in a reply the next byte is. */
enum step { STEP_HEAD, STEP_BODY, STEP_CHUNK, STEP_CHUNK_BODY, STEP_CHUNK_END, STEP_TRAILER };

/* ---- requests ------------------------------------------------------------------------------------ */

void http_add_path(struct recipe *recipe, struct strobe_slice text) {
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool plain = c > ' ' && c < 0x7f && strchr("%?#\"<>\\^`{|}", c) == NULL;
        char coded[] = {'%', digits[c >> 4], digits[c & 15]};
        recipe_text(recipe, plain ? strobe_slice_make(text.data + i, 1) : strobe_slice_make(coded, sizeof coded));
    }
}

static struct strobe_slice text_of(const char *text) {
    return strobe_slice_make(text, strlen(text));
}

void http_add_host(struct recipe *recipe, const struct bench_options *options) {
    bool is_ipv6 = options->unix_socket == NULL && strchr(options->host, ':') != NULL;

    recipe_text(recipe, is_ipv6 ? STROBE_SLICE("Host: [") : STROBE_SLICE("Host: "));
    recipe_text(recipe, options->unix_socket != NULL ? STROBE_SLICE("localhost") : text_of(options->host));
    if (is_ipv6) recipe_text(recipe, STROBE_SLICE("]"));
    if (options->unix_socket != NULL) return;
    recipe_text(recipe, STROBE_SLICE(":"));
    recipe_number(recipe, options->port);
}

/* METHOD to the end of the Host field; the prefix is within the path, so that it is coded once. */
static void add_line(struct recipe *recipe, const char *method, const struct bench_options *options) {
    recipe_text(recipe, text_of(method));
    recipe_text(recipe, STROBE_SLICE(" "));
    http_add_path(recipe, text_of(options->http_path));
    recipe_part(recipe, PART_KEY);
    if (*method == 'P' && options->ttl != 0) {
        recipe_text(recipe, STROBE_SLICE("?ttl="));
        recipe_number(recipe, options->ttl);
        recipe_text(recipe, STROBE_SLICE("ms"));
    }
    recipe_text(recipe, STROBE_SLICE(" HTTP/1.1\r\n"));
    http_add_host(recipe, options);
    recipe_text(recipe, STROBE_SLICE("\r\n"));
}

static bool http_recipes(const struct bench_options *options, struct recipe *recipes, char *error) {
    for (const char *c = options->key_prefix; *c != '\0'; c++) {
        if (*c > ' ' && *c < 0x7f && strchr("%?#\"<>\\^`{|}", *c) == NULL) continue;
        snprintf(error, OPTIONS_ERROR_TEXT, "--key-prefix: expected characters that stand for themselves in a path");
        return false;
    }
    add_line(&recipes[LOAD_GET], "GET", options);
    recipe_text(&recipes[LOAD_GET], STROBE_SLICE("\r\n"));
    add_line(&recipes[LOAD_SET], "PUT", options);
    recipe_text(&recipes[LOAD_SET], STROBE_SLICE("Content-Length: "));
    recipe_length(&recipes[LOAD_SET], options);
    recipe_text(&recipes[LOAD_SET], STROBE_SLICE("\r\n\r\n"));
    recipe_part(&recipes[LOAD_SET], PART_VALUE);
    return true;
}

/* ---- heads ------------------------------------------------------------------------------------------- */

size_t http_head_len(const char *data, size_t len) {
    for (size_t at = 0; at < len;) {
        const char *end = memchr(data + at, '\n', len - at);
        if (end == NULL) return 0;
        size_t next = (size_t)(end - data) + 1;
        if (next - at == 2 && data[at] == '\r') return next;
        at = next;
    }
    return 0;
}

/* "HTTP/1.1 200 OK" */
static bool read_status(struct strobe_slice line, struct http_head *out) {
    const char *at = line.data;

    if (line.len < 12 || memcmp(at, "HTTP/1.", 7) != 0 || at[8] != ' ') return false;
    for (int i = 9; i < 12; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        out->status = out->status * 10 + (unsigned)(at[i] - '0');
    }
    out->last = at[7] == '0';
    return true;
}

static bool read_field(struct strobe_slice line, struct http_head *out) {
    const char *colon = memchr(line.data, ':', line.len);

    if (colon == NULL) return false;
    struct strobe_slice name = strobe_slice_make(line.data, (size_t)(colon - line.data));
    struct strobe_slice value = strobe_slice_make(colon + 1, line.len - name.len - 1);
    while (value.len > 0 && (*value.data == ' ' || *value.data == '\t')) {
        value.data++;
        value.len--;
    }
    switch (name.len) {
    case 14:
        if (!strobe_slice_equal_nocase(name, STROBE_SLICE("Content-Length"))) break;
        out->has_length = true;
        return strobe_number_parse_uint64(value, &out->length) && out->length < UINT64_C(1) << 40;
    case 17:
        if (!strobe_slice_equal_nocase(name, STROBE_SLICE("Transfer-Encoding"))) break;
        out->chunked = true;
        return strobe_slice_equal_nocase(value, STROBE_SLICE("chunked"));
    case 10:
        if (!strobe_slice_equal_nocase(name, STROBE_SLICE("Connection"))) break;
        out->last = strobe_slice_equal_nocase(value, STROBE_SLICE("close"));
        break;
    default: break;
    }
    return true;
}

bool http_read_head(struct strobe_slice head, struct http_head *out) {
    *out = (struct http_head){0};
    for (size_t at = 0, next; at < head.len; at = next) {
        const char *end = memchr(head.data + at, '\n', head.len - at);
        if (end == NULL) return false;
        next = (size_t)(end - head.data) + 1;
        if (next - at < 2 || end[-1] != '\r') return false;
        struct strobe_slice line = strobe_slice_make(head.data + at, next - at - 2);
        if (at == 0 ? !read_status(line, out) : line.len > 0 && !read_field(line, out)) return false;
    }
    return true;
}

bool http_read_chunk(struct strobe_slice line, uint64_t *size) {
    uint64_t value = 0;
    size_t digits = 0;

    for (; digits < line.len && digits < 10; digits++) {
        char c = (char)strobe_ascii_lower(line.data[digits]);
        unsigned digit = c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : (unsigned)(c - '0');
        if (digit > 15 || (c > '9' && c < 'a')) break;
        value = value * 16 + digit;
    }
    *size = value;
    return digits > 0 && (digits == line.len || line.data[digits] == ';');
}

/* ---- replies ----------------------------------------------------------------------------------------- */

static void reply_done(struct conn *conn) {
    bool last = conn->reply.last;

    conn_value_end(conn);
    conn_replied(conn);
    conn->reply.last = false;
    conn->reply.closes = last;
}

static bool is_value(const struct conn *conn, const struct http_head *head) {
    return conn_kind(conn) == LOAD_GET && head->status == 200;
}

/* Counts what the status says. */
static void judge(struct conn *conn, struct strobe_slice head, const struct http_head *read) {
    const char *end = memchr(head.data, '\r', head.len);
    unsigned status = read->status;

    if (is_value(conn, read)) return;
    if (conn_kind(conn) == LOAD_GET && status == 404)
        conn_missed(conn);
    else if (conn_kind(conn) == LOAD_GET || (status != 200 && status != 201 && status != 204))
        conn_fault(conn, TALLY_ERROR, strobe_slice_make(head.data, (size_t)(end - head.data)));
}

/* A whole head. False: it is none. */
static bool begin_reply(struct conn *conn, struct strobe_slice bytes) {
    struct reply *reply = &conn->reply;
    struct http_head head;
    bool bodiless;

    if (!http_read_head(bytes, &head)) {
        conn_fault(conn, TALLY_MALFORMED, bytes);
        return false;
    }
    if (head.status >= 100 && head.status < 200) return true;
    bodiless = head.status == 204 || head.status == 304;
    if (!bodiless && !head.chunked && !head.has_length) {
        conn_fault(conn, TALLY_MALFORMED, STROBE_SLICE("a reply without its length"));
        return false;
    }
    judge(conn, bytes, &head);
    reply->last = head.last;
    if (head.chunked && !bodiless) {
        if (is_value(conn, &head) && conn->worker->plan->options->check)
            conn_fault(conn, TALLY_WRONG, STROBE_SLICE("a value in chunks cannot be verified"));
        reply->step = STEP_CHUNK;
        return true;
    }
    if (is_value(conn, &head))
        conn_value_begin(conn, head.length);
    else
        reply->body = bodiless ? 0 : head.length;
    if (reply->body == 0)
        reply_done(conn);
    else
        reply->step = STEP_BODY;
    return true;
}

/* A line of a chunked body, without its end. False: it is none. */
static bool read_line(struct conn *conn, struct strobe_slice line) {
    struct reply *reply = &conn->reply;

    switch ((enum step)reply->step) {
    case STEP_CHUNK:
        if (!http_read_chunk(line, &reply->body)) break;
        reply->step = reply->body == 0 ? STEP_TRAILER : STEP_CHUNK_BODY;
        return true;
    case STEP_CHUNK_END:
        if (line.len != 0) break;
        reply->step = STEP_CHUNK;
        return true;
    case STEP_TRAILER:
        if (line.len == 0) reply_done(conn);
        return true;
    case STEP_HEAD:
    case STEP_BODY:
    case STEP_CHUNK_BODY: break;
    }
    conn_fault(conn, TALLY_MALFORMED, STROBE_SLICE("a chunk that is none"));
    return false;
}

/* Bytes of a body; gives how many. */
static size_t read_body(struct conn *conn, const char *data, size_t len) {
    struct reply *reply = &conn->reply;
    size_t used = reply->body < len ? (size_t)reply->body : len;

    conn_value_feed(conn, data, used);
    if (reply->body > 0) return used;
    if (reply->step == STEP_CHUNK_BODY)
        reply->step = STEP_CHUNK_END;
    else
        reply_done(conn);
    return used;
}

/* A head, or a line of a chunked body; gives how many bytes, 0: it is not whole, CONN_BROKEN: it is none. */
static size_t read_text(struct conn *conn, const char *data, size_t len) {
    if (conn->waiting == 0) {
        conn_fault(conn, TALLY_MALFORMED, STROBE_SLICE("a reply that nobody asked for"));
        return CONN_BROKEN;
    }
    size_t used;
    bool good;
    if (conn->reply.step == STEP_HEAD) {
        used = http_head_len(data, len);
        good = used == 0 || begin_reply(conn, strobe_slice_make(data, used));
    } else {
        const char *end = memchr(data, '\n', len);
        used = end == NULL ? 0 : (size_t)(end - data) + 1;
        good = used == 0 || (used >= 2 && read_line(conn, strobe_slice_make(data, used - 2)));
    }
    if (!good) return CONN_BROKEN;
    if (used > 0 || len <= CONN_CARRY_MAX) return used;
    conn_fault(conn, TALLY_MALFORMED, STROBE_SLICE("a head that is too long"));
    return CONN_BROKEN;
}

static size_t http_replies(struct conn *conn, const char *data, size_t len) {
    for (size_t at = 0;;) {
        if (at == len || conn->reply.closes) return at;
        bool in_body = conn->reply.step == STEP_BODY || conn->reply.step == STEP_CHUNK_BODY;
        size_t used = in_body ? read_body(conn, data + at, len - at) : read_text(conn, data + at, len - at);
        if (used == CONN_BROKEN) return CONN_BROKEN;
        if (used == 0) return at;
        at += used;
    }
}

const struct door http_door = {http_recipes, http_replies};

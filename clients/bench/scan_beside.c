/* scan_beside.c - scans without end over a socket that blocks: SCAN, or over HTTP the NDJSON stream.
 *
 * A bit for each of the load's keys tells whether a scan brought it, so that one that is missing or comes twice is
 * seen.
 * When every key was set before and none goes away (--prefill without --ttl or --command), a scan that lacks one is
 * a fault; with --check also one that brings a key twice, and every value is verified.
 * Ends at the first bytes that are no reply: there is no telling where the next one begins. */
#include "clients/bench/scan_beside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "clients/bench/http_load.h"
#include "protocol/buf.h"
#include "protocol/limits.h"
#include "protocol/number.h"

enum { CURSOR_MAX = 24, LINE_MAX_BYTES = 1 << 30 /* of a stream; grows only with what came */ };

/* ---- life ------------------------------------------------------------------------------------------ */

static size_t seen_words(const struct scan *scan) {
    return (size_t)(scan->plan->keys.count + 63) / 64;
}

bool scan_init(struct scan *scan, struct plan *plan, const atomic_uint *at_work, char *error) {
    const struct bench_options *options = plan->options;
    const struct timeval tick = {.tv_usec = 100000}; /* how often a silent socket looks whether the load is over */

    scan->plan = plan;
    scan->at_work = at_work;
    scan->time = options->clients == 0 ? options->time * 1000000 : 0;
    histogram_init(&scan->page);
    tally_init(&scan->tally);
    scan->in = malloc(CONN_IN);
    scan->seen = malloc(seen_words(scan) * sizeof *scan->seen);
    scan->fd = dial(&plan->address, options->timeout);
    if (scan->in == NULL || scan->seen == NULL || scan->fd < 0) {
        snprintf(error, OPTIONS_ERROR_TEXT, "cannot begin the scan beside the load: %s", strerror(errno));
        return false;
    }
    (void)setsockopt(scan->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
    return true;
}

void scan_fini(struct scan *scan) {
    if (scan->fd > 0) close(scan->fd);
    free(scan->in);
    free(scan->seen);
}

/* ---- bytes ------------------------------------------------------------------------------------------- */

static bool is_over(const struct scan *scan) {
    if (atomic_load_explicit(&scan->plan->stop, memory_order_relaxed)) return true;
    if (scan->time != 0) return load_now() - scan->tally.started >= scan->time;
    return atomic_load_explicit(scan->at_work, memory_order_acquire) == 0;
}

/* Counts what ends the scan; false. */
static bool fail(struct scan *scan, struct strobe_slice words) {
    if (!scan->told) tally_fault(&scan->tally, TALLY_SCAN, 1, words);
    scan->told = true;
    return false;
}

static bool say(struct scan *scan, const char *text, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t sent = send(scan->fd, text + at, len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return fail(scan, STROBE_SLICE("the scan's connection takes no more requests"));
        at += (size_t)sent;
    }
    scan->tally.sent += len;
    return true;
}

/* Reads once more behind the unread bytes. False: the load is over, or the connection (which is counted). */
static bool more(struct scan *scan) {
    uint64_t since = load_now(), limit = scan->plan->options->timeout * 1000000;

    memmove(scan->in, scan->in + scan->from, scan->to - scan->from);
    scan->to -= scan->from;
    scan->from = 0;
    if (scan->to == CONN_IN) return fail(scan, STROBE_SLICE("a line without an end in a scan"));
    for (;;) {
        ssize_t got = recv(scan->fd, scan->in + scan->to, CONN_IN - scan->to, 0);
        if (got > 0) {
            scan->to += (size_t)got;
            scan->tally.received += (uint64_t)got;
            return true;
        }
        if (got == 0) return fail(scan, STROBE_SLICE("the server closed the scan's connection"));
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return fail(scan, STROBE_SLICE("the scan's connection broke"));
        if (is_over(scan)) return false;
        if (load_now() - since > limit) return fail(scan, STROBE_SLICE("no page of the scan came within --timeout"));
    }
}

/* The next line without its CR LF, borrowed until the next read. */
static bool line(struct scan *scan, struct strobe_slice *out) {
    *out = strobe_slice_make(NULL, 0);
    for (size_t looked = 0;;) {
        size_t held = scan->to - scan->from;
        char *from = scan->in + scan->from, *end = memchr(from + looked, '\n', held - looked);
        if (end != NULL) {
            size_t len = (size_t)(end - from);
            scan->from += len + 1;
            if (len == 0 || end[-1] != '\r') return fail(scan, STROBE_SLICE("a line that ends without CR in a scan"));
            *out = strobe_slice_make(from, len - 1);
            return true;
        }
        looked = held;
        if (!more(scan)) return false;
    }
}

/* ---- is it whole? -------------------------------------------------------------------------------------- */

static void begin_scan(struct scan *scan) {
    memset(scan->seen, 0, seen_words(scan) * sizeof *scan->seen);
    scan->distinct = scan->repeated_now = 0;
}

/* A key that the scan brought. Is it one of ours? Then *NUMBER is which. */
static bool key_came(struct scan *scan, struct strobe_slice key, uint64_t *number) {
    scan->keys++;
    if (!keys_read(&scan->plan->keys, key, number)) return false;
    uint64_t place = *number - scan->plan->keys.first, bit = UINT64_C(1) << (place % 64);
    uint64_t *word = &scan->seen[place / 64];
    if ((*word & bit) != 0)
        scan->repeated_now++;
    else
        scan->distinct++;
    *word |= bit;
    return true;
}

static void end_scan(struct scan *scan) {
    const struct plan *plan = scan->plan;
    uint64_t missing = plan->keys.count - scan->distinct;
    char text[TALLY_TEXT];

    scan->scans++;
    scan->repeated += scan->repeated_now;
    if (plan->all_set) scan->missing += missing;
    bool whole = plan->all_set ? missing == 0 && scan->repeated_now == 0 : scan->repeated_now == 0;
    scan->whole += whole;
    if (whole || (missing == 0 && !plan->options->check)) return;
    int len = snprintf(text, sizeof text, "scan %" PRIu64 " lacks %" PRIu64 " keys and has %" PRIu64 " twice",
                       scan->scans, plan->all_set ? missing : 0, scan->repeated_now);
    tally_fault(&scan->tally, TALLY_SCAN, 1, strobe_slice_make(text, (size_t)len));
}

static void judge_value(struct scan *scan, const struct value_check *check) {
    char text[TALLY_TEXT];

    if (!check->wrong) return;
    int len = snprintf(text, sizeof text, "key number %" PRIu64 " has a wrong value in a scan", check->number);
    tally_fault(&scan->tally, TALLY_WRONG, 1, strobe_slice_make(text, (size_t)len));
}

/* ---- the text protocol ----------------------------------------------------------------------------------- */

/* A line of TYPE and a number. */
static bool number_line(struct scan *scan, char type, uint64_t *number) {
    struct strobe_slice text;

    *number = 0;
    if (!line(scan, &text)) return false;
    if (text.len > 1 && text.data[0] == type &&
        strobe_number_parse_uint64(strobe_slice_make(text.data + 1, text.len - 1), number))
        return true;
    return fail(scan, text.len > 0 ? text : STROBE_SLICE("an empty line in a scan"));
}

/* A short bulk string, borrowed until the next read. */
static bool bulk(struct scan *scan, size_t most, struct strobe_slice *out) {
    uint64_t len;

    if (!number_line(scan, '$', &len)) return false;
    if (len > most) return fail(scan, STROBE_SLICE("a key that is too long in a scan"));
    while (scan->to - scan->from < len + 2)
        if (!more(scan)) return false;
    *out = strobe_slice_make(scan->in + scan->from, (size_t)len);
    scan->from += len + 2;
    return true;
}

/* A value for key NUMBER, of any length; of a key that is not ours when IS_OURS is false. */
static bool value_bulk(struct scan *scan, uint64_t number, bool is_ours) {
    struct value_check check;
    uint64_t left;

    if (!number_line(scan, '$', &left)) return false;
    value_check_begin(&check, &scan->plan->values, number, left);
    while (left > 0) {
        if (scan->from == scan->to && !more(scan)) return false;
        size_t part = scan->to - scan->from < left ? scan->to - scan->from : (size_t)left;
        if (is_ours && scan->plan->options->check) value_check_feed(&check, scan->in + scan->from, part);
        scan->from += part;
        left -= part;
    }
    judge_value(scan, &check);
    while (scan->to - scan->from < 2)
        if (!more(scan)) return false;
    scan->from += 2;
    return true;
}

static bool ask_page(struct scan *scan, const char *cursor) {
    const struct bench_options *options = scan->plan->options;
    char count[STROBE_NUMBER_INT64_TEXT + 1], text[160];

    count[strobe_number_format_uint64(count, options->scan_count)] = '\0';
    int len = snprintf(text, sizeof text, "*%d\r\n$4\r\nSCAN\r\n$%zu\r\n%s\r\n$5\r\nCOUNT\r\n$%zu\r\n%s\r\n%s",
                       options->scan_values ? 5 : 4, strlen(cursor), cursor, strlen(count), count,
                       options->scan_values ? "$10\r\nWITHVALUES\r\n" : "");
    return say(scan, text, (size_t)len);
}

/* One page, from CURSOR, which becomes the next one. */
static bool page(struct scan *scan, char cursor[CURSOR_MAX + 1]) {
    struct strobe_slice text;
    uint64_t items, number, since = load_now();
    bool values = scan->plan->options->scan_values;

    if (!ask_page(scan, cursor) || !number_line(scan, '*', &items) || !bulk(scan, CURSOR_MAX, &text)) return false;
    memcpy(cursor, text.data, text.len);
    cursor[text.len] = '\0';
    if (!number_line(scan, '*', &items)) return false;
    for (uint64_t i = 0; i < items; i += values ? 2 : 1) {
        if (!bulk(scan, STROBE_KEY_MAX, &text)) return false;
        bool is_ours = key_came(scan, text, &number);
        if (values && !value_bulk(scan, is_ours ? number : 0, is_ours)) return false;
    }
    scan->pages++;
    histogram_add(&scan->page, load_now() - since);
    return true;
}

static bool scan_resp(struct scan *scan) {
    char cursor[CURSOR_MAX + 1] = "0";

    do {
        if (is_over(scan) || !page(scan, cursor)) return false;
    } while (strcmp(cursor, "0") != 0);
    return true;
}

/* ---- HTTP -------------------------------------------------------------------------------------------------- */

/* The text behind NAME in LINE, up to the next quote; false: there is none. */
static bool member(struct strobe_slice text, struct strobe_slice name, struct strobe_slice *out) {
    const char *at = memmem(text.data, text.len, name.data, name.len);

    if (at == NULL) return false;
    at += name.len;
    const char *end = memchr(at, '"', text.len - (size_t)(at - text.data));
    if (end == NULL) return false;
    *out = strobe_slice_make(at, (size_t)(end - at));
    return true;
}

/* One line of the stream; *DONE: it is the closing one. Our keys and values need no escapes. */
static bool stream_line(struct scan *scan, struct strobe_slice text, bool *done) {
    struct strobe_slice key, value;
    struct value_check check;
    uint64_t number;

    if (text.len > 13 && memcmp(text.data, "{\"done\":true,", 13) == 0) {
        *done = true;
        return true;
    }
    if (*done || !member(text, STROBE_SLICE("{\"key\":\""), &key)) {
        if (*done || text.len < 8 || memcmp(text.data, "{\"key\":{", 8) != 0) return fail(scan, text);
        scan->keys++; /* in base64: none of ours */
        return true;
    }
    if (!key_came(scan, key, &number) || !scan->plan->options->scan_values || !scan->plan->options->check) return true;
    if (!member(text, STROBE_SLICE(",\"value\":\""), &value)) return fail(scan, text);
    value_check_begin(&check, &scan->plan->values, number, value.len);
    value_check_feed(&check, value.data, value.len);
    judge_value(scan, &check);
    return true;
}

/* LEN bytes of the stream at DATA: the lines that end in them; the start of one that does not is kept in REST. */
static bool stream_bytes(struct scan *scan, struct strobe_buf *rest, const char *data, size_t len, bool *done) {
    for (size_t at = 0; at < len;) {
        const char *end = memchr(data + at, '\n', len - at);
        size_t part = end == NULL ? len - at : (size_t)(end - data) - at;
        struct strobe_slice text = strobe_slice_make(data + at, part);
        if (end == NULL || strobe_buf_len(rest) > 0) {
            if (strobe_buf_append(rest, text) != STROBE_BUF_OK)
                return fail(scan, STROBE_SLICE("a line of the stream is too long"));
            text = strobe_buf_bytes(rest);
        }
        if (end == NULL) return true;
        if (!stream_line(scan, text, done)) return false;
        strobe_buf_consume(rest, strobe_buf_len(rest));
        at += part + 1;
    }
    return true;
}

/* The body of the stream: chunks to the last one. */
static bool stream_chunks(struct scan *scan, struct strobe_buf *rest, bool *done) {
    struct strobe_slice text;
    uint64_t left;

    for (;;) {
        if (!line(scan, &text)) return false;
        if (!http_read_chunk(text, &left)) return fail(scan, STROBE_SLICE("a chunk that is none in a stream"));
        bool last = left == 0;
        while (left > 0) {
            if (scan->from == scan->to && (is_over(scan) || !more(scan))) return false;
            size_t part = scan->to - scan->from < left ? scan->to - scan->from : (size_t)left;
            if (!stream_bytes(scan, rest, scan->in + scan->from, part, done)) return false;
            scan->from += part;
            left -= part;
        }
        if (!line(scan, &text)) return false;
        if (text.len != 0) return fail(scan, STROBE_SLICE("a chunk without its end in a stream"));
        if (last) return true;
    }
}

static bool ask_stream(struct scan *scan) {
    const struct bench_options *options = scan->plan->options;
    struct recipe recipe;
    bool good;

    recipe_init(&recipe);
    recipe_text(&recipe, STROBE_SLICE("GET "));
    http_add_path(&recipe, strobe_slice_make(options->http_path, strlen(options->http_path)));
    recipe_text(&recipe, options->scan_values ? STROBE_SLICE("?stream&values HTTP/1.1\r\n")
                                              : STROBE_SLICE("?stream HTTP/1.1\r\n"));
    http_add_host(&recipe, options);
    recipe_text(&recipe, STROBE_SLICE("\r\n\r\n"));
    good = !recipe.no_memory && say(scan, recipe.bytes, recipe.len);
    recipe_fini(&recipe);
    return good;
}

static bool scan_http(struct scan *scan) {
    struct strobe_buf rest;
    struct http_head head;
    size_t len;
    bool done = false;

    if (is_over(scan) || !ask_stream(scan)) return false;
    while ((len = http_head_len(scan->in + scan->from, scan->to - scan->from)) == 0)
        if (!more(scan)) return false;
    struct strobe_slice bytes = strobe_slice_make(scan->in + scan->from, len);
    scan->from += len;
    if (!http_read_head(bytes, &head) || head.status != 200 || !head.chunked) return fail(scan, bytes);
    strobe_buf_init(&rest, LINE_MAX_BYTES);
    bool good = stream_chunks(scan, &rest, &done);
    strobe_buf_fini(&rest);
    if (good && !done) return fail(scan, STROBE_SLICE("a stream ended without its closing line"));
    return good;
}

/* ---- one after the other --------------------------------------------------------------------------------- */

void scan_run(struct scan *scan) {
    bool (*one)(struct scan *) = scan->plan->options->door == BENCH_HTTP ? scan_http : scan_resp;

    scan->tally.cpu = load_cpu();
    scan->tally.started = load_now();
    for (;;) {
        begin_scan(scan);
        if (!one(scan)) break;
        end_scan(scan);
    }
    scan->tally.ended = load_now();
    scan->tally.cpu = load_cpu() - scan->tally.cpu;
}

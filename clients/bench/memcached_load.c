/* memcached_load.c - requests and replies of memcached's text protocol.
 *
 *     get KEY        -> VALUE KEY FLAGS BYTES, the value, END; or END alone
 *     set KEY 0 ...  -> STORED
 * Format: https://github.com/memcached/memcached/blob/master/doc/protocol.txt */
#include "clients/bench/memcached_load.h"

#include <stdio.h>

#include "protocol/number.h"

enum { KEY_MAX = 250, TTL_MAX_DAYS = 30 /* a longer time would be a date */ };

static bool memcached_recipes(const struct bench_options *options, struct recipe *recipes, char *error) {
    struct recipe *get = &recipes[LOAD_GET], *set = &recipes[LOAD_SET];

    if (options->key_size > KEY_MAX || strpbrk(options->key_prefix, " \t\r\n") != NULL) {
        snprintf(error, OPTIONS_ERROR_TEXT, "memcached: expected keys of at most %d bytes without spaces", KEY_MAX);
        return false;
    }
    if (options->ttl > UINT64_C(86400000) * TTL_MAX_DAYS) {
        snprintf(error, OPTIONS_ERROR_TEXT, "memcached: expected a --ttl of at most %d days", TTL_MAX_DAYS);
        return false;
    }
    recipe_text(get, STROBE_SLICE("get "));
    recipe_part(get, PART_KEY);
    recipe_text(get, STROBE_SLICE("\r\n"));
    recipe_text(set, STROBE_SLICE("set "));
    recipe_part(set, PART_KEY);
    recipe_text(set, STROBE_SLICE(" 0 "));
    recipe_number(set, (options->ttl + 999) / 1000);
    recipe_text(set, STROBE_SLICE(" "));
    recipe_length(set, options);
    recipe_text(set, STROBE_SLICE("\r\n"));
    recipe_part(set, PART_VALUE);
    recipe_text(set, STROBE_SLICE("\r\n"));
    return true;
}

/* "VALUE key 0 32": a value begins. False: it does not. */
static bool read_value_line(struct conn *conn, struct strobe_slice line) {
    const char *last = memrchr(line.data, ' ', line.len);
    uint64_t size;

    if (last == NULL || conn_kind(conn) != LOAD_GET || conn->reply.key != 0) return false;
    if (!strobe_number_parse_uint64(strobe_slice_make(last + 1, (size_t)(line.data + line.len - last) - 1), &size))
        return false;
    conn_value_begin(conn, size);
    conn->reply.line_ends = 2;
    return true;
}

/* One line without its end. False: this is no reply. */
static bool read_line(struct conn *conn, struct strobe_slice line) {
    enum load_kind kind = conn_kind(conn);

    if (line.len > 6 && memcmp(line.data, "VALUE ", 6) == 0) {
        if (read_value_line(conn, line)) return true;
    } else if (kind == LOAD_GET && strobe_slice_equal(line, STROBE_SLICE("END"))) {
        if (conn->reply.key == 0) conn_missed(conn);
        conn_replied(conn);
        return true;
    } else if (kind == LOAD_SET && strobe_slice_equal(line, STROBE_SLICE("STORED"))) {
        conn_replied(conn);
        return true;
    } else if (memmem(line.data, line.len, "ERROR", 5) != NULL) {
        conn_fault(conn, TALLY_ERROR, line);
        conn_replied(conn);
        return true;
    }
    conn_fault(conn, TALLY_MALFORMED, line);
    return false;
}

static size_t memcached_replies(struct conn *conn, const char *data, size_t len) {
    return conn_read_lines(conn, data, len, read_line, NULL);
}

const struct door memcached_door = {memcached_recipes, memcached_replies};

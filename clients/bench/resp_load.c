/* resp_load.c - requests and replies of Redis's protocol, RESP2 and RESP3.
 *
 * A reply is read once, from front to back; of arrays only the number of items still to come is kept, so nesting costs
 * nothing. Each bulk string at any depth is the value of the request's next key (MGET), each null a key that is not
 * there.
 * Format: https://redis.io/docs/reference/protocol-spec/ */
#include "clients/bench/resp_load.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/number.h"
#include "protocol/resp_parser.h"

static const char key_mark[] = "__key__", value_mark[] = "__value__";

/* ---- requests ------------------------------------------------------------------------------------ */

static void add_word(struct recipe *recipe, struct strobe_slice word) {
    recipe_text(recipe, STROBE_SLICE("$"));
    recipe_number(recipe, word.len);
    recipe_text(recipe, STROBE_SLICE("\r\n"));
    recipe_text(recipe, word);
    recipe_text(recipe, STROBE_SLICE("\r\n"));
}

static void begin_command(struct recipe *recipe, size_t words) {
    recipe_text(recipe, STROBE_SLICE("*"));
    recipe_number(recipe, words);
    recipe_text(recipe, STROBE_SLICE("\r\n"));
}

static void add_value(struct recipe *recipe, const struct bench_options *options) {
    recipe_text(recipe, STROBE_SLICE("$"));
    recipe_length(recipe, options);
    recipe_text(recipe, STROBE_SLICE("\r\n"));
    recipe_part(recipe, PART_VALUE);
    recipe_text(recipe, STROBE_SLICE("\r\n"));
}

/* The next __key__ in WORD from AT on, or its end. */
static size_t find_key(struct strobe_slice word, size_t at) {
    const char *found = word.len > at ? memmem(word.data + at, word.len - at, key_mark, sizeof key_mark - 1) : NULL;

    return found == NULL ? word.len : (size_t)(found - word.data);
}

/* A word with any number of __key__ in it. */
static void add_key_word(struct recipe *recipe, struct strobe_slice word, const struct bench_options *options) {
    const size_t mark = sizeof key_mark - 1;
    size_t len = word.len;

    for (size_t at = find_key(word, 0); at < word.len; at = find_key(word, at + mark)) len += options->key_size - mark;
    recipe_text(recipe, STROBE_SLICE("$"));
    recipe_number(recipe, len);
    recipe_text(recipe, STROBE_SLICE("\r\n"));
    for (size_t from = 0;;) {
        size_t at = find_key(word, from);
        recipe_text(recipe, strobe_slice_make(word.data + from, at - from));
        if (at == word.len) break;
        recipe_part(recipe, PART_KEY);
        from = at + mark;
    }
    recipe_text(recipe, STROBE_SLICE("\r\n"));
}

static bool add_template_word(struct recipe *recipe, struct strobe_slice word, const struct bench_options *options) {
    const struct strobe_slice value = strobe_slice_make(value_mark, sizeof value_mark - 1);

    if (strobe_slice_equal(word, value))
        add_value(recipe, options);
    else if (memmem(word.data, word.len, value_mark, sizeof value_mark - 1) != NULL)
        return false;
    else
        add_key_word(recipe, word, options);
    return true;
}

/* The words of a template are those of an inline command: the text protocol's own parser takes them apart. */
static bool make_command(const struct bench_options *options, struct recipe *recipe, char *error) {
    const struct strobe_resp_options limits = {0};
    struct strobe_resp_parser parser;
    struct strobe_request request;
    char *line = NULL;
    size_t used;
    bool good = false;
    int len = asprintf(&line, "%s\n", options->command);

    if (len < 0) {
        recipe->no_memory = true;
        return true;
    }
    strobe_resp_parser_init(&parser, &limits);
    strobe_request_init(&request);
    enum strobe_parse answer = strobe_resp_parser_read(&parser, strobe_slice_make(line, (size_t)len), &request, &used);
    if (answer != STROBE_PARSE_DONE || !request.is_inline || used != (size_t)len) {
        snprintf(error, OPTIONS_ERROR_TEXT, "--command: expected a command as one types it, its quotes closed");
    } else {
        begin_command(recipe, request.argc);
        good = true;
        for (size_t i = 0; i < request.argc && good; i++) good = add_template_word(recipe, request.args[i], options);
        if (!good) snprintf(error, OPTIONS_ERROR_TEXT, "--command: expected __value__ as a word of its own");
    }
    strobe_request_fini(&request);
    strobe_resp_parser_fini(&parser);
    free(line);
    return good;
}

static void make_get(struct recipe *recipe, const struct bench_options *options) {
    begin_command(recipe, 2);
    add_word(recipe, STROBE_SLICE("GET"));
    add_key_word(recipe, strobe_slice_make(key_mark, sizeof key_mark - 1), options);
}

static void make_set(struct recipe *recipe, const struct bench_options *options) {
    begin_command(recipe, options->ttl != 0 ? 5 : 3);
    add_word(recipe, STROBE_SLICE("SET"));
    add_key_word(recipe, strobe_slice_make(key_mark, sizeof key_mark - 1), options);
    add_value(recipe, options);
    if (options->ttl == 0) return;
    char text[STROBE_NUMBER_INT64_TEXT];
    add_word(recipe, STROBE_SLICE("PX"));
    add_word(recipe, strobe_slice_make(text, strobe_number_format_uint64(text, options->ttl)));
}

static bool resp_recipes(const struct bench_options *options, struct recipe *recipes, char *error) {
    make_get(&recipes[LOAD_GET], options);
    make_set(&recipes[LOAD_SET], options);
    return options->command == NULL || make_command(options, &recipes[LOAD_COMMAND], error);
}

bool resp_command_reads(const char *command) {
    size_t len = strcspn(command, " ");
    struct strobe_slice name = strobe_slice_make(command, len);

    return strobe_slice_equal_nocase(name, STROBE_SLICE("GET")) ||
           strobe_slice_equal_nocase(name, STROBE_SLICE("MGET"));
}

/* ---- replies ----------------------------------------------------------------------------------------- */

static bool malformed(struct conn *conn, struct strobe_slice line) {
    conn_fault(conn, TALLY_MALFORMED, line);
    return false;
}

/* An item is whole, and AND_THEN more belong to it. */
static void item_done(struct conn *conn, uint64_t and_then) {
    struct reply *reply = &conn->reply;

    reply->items += and_then;
    if (reply->items == and_then) {
        if (and_then == 0) conn_replied(conn); /* it was the reply itself */
        return;
    }
    if (--reply->items == 0) conn_replied(conn);
}

/* Reads the length behind the first byte of LINE; "-1" is the null of RESP2. */
static bool read_length(struct strobe_slice line, uint64_t *length, bool *is_null) {
    const uint64_t most = UINT64_C(1) << 40;
    uint64_t value = 0;

    *length = 0;
    *is_null = line.len == 3 && line.data[1] == '-' && line.data[2] == '1';
    if (*is_null) return true;
    if (line.len < 2) return false;
    for (size_t i = 1; i < line.len; i++) {
        unsigned digit = (unsigned)(line.data[i] - '0');
        if (digit > 9 || value >= most) return false;
        value = value * 10 + digit;
    }
    *length = value;
    return true;
}

static bool read_bulk(struct conn *conn, struct strobe_slice line) {
    uint64_t length;
    bool is_null;

    if (!read_length(line, &length, &is_null)) return malformed(conn, line);
    if (is_null) {
        conn_missed(conn);
        item_done(conn, 0);
        return true;
    }
    conn_value_begin(conn, length);
    conn->reply.line_ends = 2;
    return true;
}

static bool read_aggregate(struct conn *conn, struct strobe_slice line) {
    uint64_t length;
    bool is_null;

    if (!read_length(line, &length, &is_null)) return malformed(conn, line);
    if (line.data[0] == '%') length *= 2;
    item_done(conn, length);
    return true;
}

/* Is LINE the beginning of an answer to what was asked? One that is none is counted; the stream goes on. */
static void check_kind(struct conn *conn, struct strobe_slice line) {
    enum load_kind kind = conn_kind(conn);
    char first = line.data[0];

    if (first == '-' || kind == LOAD_COMMAND) return;
    if (kind == LOAD_GET && (first == '$' || first == '_')) return;
    if (kind == LOAD_SET && strobe_slice_equal(line, STROBE_SLICE("+OK"))) return;
    conn_fault(conn, TALLY_MALFORMED, line);
}

/* One line without its end. False: these are no replies. */
static bool read_line(struct conn *conn, struct strobe_slice line) {
    if (line.len == 0) return malformed(conn, STROBE_SLICE("an empty line in place of a reply"));
    if (conn->reply.items == 0) check_kind(conn, line);
    switch (line.data[0]) {
    case '-': conn_fault(conn, TALLY_ERROR, line); break;
    case '+':
    case ':':
    case ',':
    case '#':
    case '(': break;
    case '_': conn_missed(conn); break;
    case '$':
    case '=': return read_bulk(conn, line);
    case '*':
    case '~':
    case '%': return read_aggregate(conn, line);
    default: return malformed(conn, line);
    }
    item_done(conn, 0);
    return true;
}

/* A bulk string is whole. */
static void bulk_done(struct conn *conn) {
    item_done(conn, 0);
}

static size_t resp_replies(struct conn *conn, const char *data, size_t len) {
    return conn_read_lines(conn, data, len, read_line, bulk_done);
}

const struct door resp_door = {resp_recipes, resp_replies};

/* player.c - see player.h.
 *
 * A batch of requests is written at once; each operation's BEGIN is drawn before, its END as soon as its reply was
 * read. A value is a number that no other write of the run has (INCR adds less than a thousand in a round), as decimal
 * digits, or, if HISTORY_BIG, those digits a thousand times over, so that a value put together from two is seen. */
#include "tests/linear/player.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BIG_DIGITS 20u
#define BIG_TIMES  1000u
#define DEPTH_MAX  8u
#define SCAN_COUNT 50u

enum form { FORM_SINGLE, FORM_EXEC, FORM_MGET, FORM_MSET, FORM_SCAN, FORM_FLUSH };

struct pending {
    enum form form;
    struct history_op *op;
};

static uint64_t below(struct player *p, uint64_t limit) {
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return p->random % limit;
}

static uint64_t ticket(struct player *p) {
    return atomic_fetch_add(&p->round->tickets, 1) + 1;
}

/* ---- keys and values as bytes --------------------------------------------------------------------------------- */

static int64_t new_value(struct player *p) {
    const uint64_t number = (p->round->number * HISTORY_CLIENTS_MAX + p->client) * 1000 + ++p->written;
    return (int64_t)(number * 1000) + (below(p, 8) == 0 ? HISTORY_BIG : 0);
}

static void add_value(struct wire *w, int64_t value) {
    if ((value & HISTORY_BIG) == 0) {
        wire_addf(w, "%" PRId64, value);
        return;
    }
    for (unsigned i = 0; i < BIG_TIMES; i++) wire_addf(w, "%020" PRId64, value & ~HISTORY_BIG);
}

static size_t value_len(int64_t value) {
    return (value & HISTORY_BIG) != 0 ? (size_t)BIG_DIGITS * BIG_TIMES : (size_t)snprintf(NULL, 0, "%" PRId64, value);
}

static int64_t parse_value(const char *bytes, size_t len) {
    char digits[BIG_DIGITS + 1] = {0};
    char *end;

    if (len != 0 && len != (size_t)BIG_DIGITS * BIG_TIMES && len >= BIG_DIGITS)
        wire_wrong("a value of %zu bytes, that nobody wrote", len);
    memcpy(digits, bytes, len < BIG_DIGITS ? len : BIG_DIGITS);
    int64_t value = strtoll(digits, &end, 10);
    if (len == 0 || *end != '\0') wire_wrong("a value that nobody wrote: \"%s\"", digits);
    if (len < BIG_DIGITS) return value;
    for (size_t i = BIG_DIGITS; i < len; i += BIG_DIGITS)
        if (memcmp(bytes, bytes + i, BIG_DIGITS) != 0)
            wire_wrong("a value of two writes: \"%s\" and \"%.20s\"", digits, bytes + i);
    return value | HISTORY_BIG;
}

/* ---- requests of the text door -------------------------------------------------------------------------------- */

static void add_word(struct wire *w, const char *word) {
    wire_addf(w, "$%zu\r\n%s\r\n", strlen(word), word);
}

static void add_count(struct wire *w, unsigned words) {
    wire_addf(w, "*%u\r\n", words);
}

static void add_key(struct player *p, uint32_t key) {
    char name[40];
    (void)snprintf(name, sizeof(name), "k%" PRIu64 ":%" PRIu32, p->round->number, key);
    add_word(&p->wire, name);
}

static void add_value_word(struct wire *w, int64_t value) {
    wire_addf(w, "$%zu\r\n", value_len(value));
    add_value(w, value);
    wire_addf(w, "\r\n");
}

static void add_version(struct wire *w, uint64_t version) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, version);
    add_word(w, text);
}

/* The command of a step: its name, whether a value follows the key, whether a version, and what else. */
struct command {
    const char *name;
    bool has_value;
    const char *option;
    bool has_version;
    const char *last;
};

static const struct command commands[HISTORY_VERBS] = {
    [HISTORY_GET] = {.name = "GET"},
    [HISTORY_GETVER] = {.name = "GETVER"},
    [HISTORY_SET] = {.name = "SET", .has_value = true},
    [HISTORY_SETVER] = {.name = "SET", .has_value = true, .last = "RETVER"},
    [HISTORY_CAS] = {.name = "SET", .has_value = true, .option = "IFVER", .has_version = true, .last = "RETVER"},
    [HISTORY_SETNX] = {.name = "SETNX", .has_value = true},
    [HISTORY_GETSET] = {.name = "GETSET", .has_value = true},
    [HISTORY_GETDEL] = {.name = "GETDEL"},
    [HISTORY_INCR] = {.name = "INCR"},
    [HISTORY_DEL] = {.name = "DEL"},
    [HISTORY_DELIFVER] = {.name = "DELIFVER", .has_version = true},
};

static void add_step(struct player *p, const struct history_step *step) {
    const struct command *command = &commands[step->verb];

    add_count(&p->wire,
              2u + command->has_value + (command->option != NULL) + command->has_version + (command->last != NULL));
    add_word(&p->wire, command->name);
    add_key(p, step->key);
    if (command->has_value) add_value_word(&p->wire, step->value);
    if (command->option != NULL) add_word(&p->wire, command->option);
    if (command->has_version) add_version(&p->wire, step->version);
    if (command->last != NULL) add_word(&p->wire, command->last);
}

static void add_exec(struct player *p, const struct history_op *op, unsigned first) {
    add_count(&p->wire, 1);
    add_word(&p->wire, "MULTI");
    for (unsigned i = first; i < op->count; i++) add_step(p, &op->steps[i]);
    add_count(&p->wire, 1);
    add_word(&p->wire, "EXEC");
}

static void add_scan(struct player *p, const char *cursor) {
    add_count(&p->wire, 7);
    add_word(&p->wire, "SCAN");
    add_word(&p->wire, cursor);
    add_word(&p->wire, "MATCH");
    add_word(&p->wire, "k*");
    add_word(&p->wire, "COUNT");
    wire_addf(&p->wire, "$2\r\n%u\r\n", SCAN_COUNT);
    add_word(&p->wire, "WITHVALUES");
}

static void add_many(struct player *p, const struct history_op *op, bool writes) {
    add_count(&p->wire, 1 + op->count * (writes ? 2u : 1u));
    add_word(&p->wire, writes ? "MSET" : "MGET");
    for (unsigned i = 0; i < op->count; i++) {
        add_key(p, op->steps[i].key);
        if (writes) add_value_word(&p->wire, op->steps[i].value);
    }
}

/* ---- replies of the text door --------------------------------------------------------------------------------- */

struct token {
    char kind; /* as on the wire; '_' for every kind of nil */
    int64_t number;
    const char *bytes; /* of '+', '-' and '$'; valid until the next token */
    size_t len;
};

static struct token read_token(struct player *p) {
    char *line = wire_line(&p->wire);
    struct token t = {.kind = line[0], .bytes = line + 1, .len = strlen(line) > 0 ? strlen(line) - 1 : 0};

    if (t.kind == ':' || t.kind == '$' || t.kind == '*' || t.kind == '%') t.number = strtoll(line + 1, NULL, 10);
    if (t.kind == '_' || ((t.kind == '$' || t.kind == '*') && t.number < 0)) return (struct token){.kind = '_'};
    if (t.kind == '$') {
        t.len = (size_t)t.number;
        t.bytes = wire_bytes(&p->wire, t.len + 2);
    }
    return t;
}

static struct token expect(struct player *p, char kind, const char *what) {
    struct token t = read_token(p);
    if (t.kind != kind)
        wire_wrong("%s was answered with '%c' %.*s", what, t.kind, (int)(t.len < 200 ? t.len : 200),
                   t.bytes != NULL ? t.bytes : "");
    return t;
}

static void expect_text(struct player *p, const char *text) {
    struct token t = expect(p, '+', text);
    if (t.len != strlen(text) || memcmp(t.bytes, text, t.len) != 0)
        wire_wrong("%.*s in place of %s", (int)t.len, t.bytes, text);
}

static void expect_array(struct player *p, int64_t count, const char *what) {
    struct token t = expect(p, '*', what);
    if (t.number != count) wire_wrong("%s was answered with %" PRId64 " elements, not %" PRId64, what, t.number, count);
}

static void saw_value(struct history_step *step, const char *bytes, size_t len) {
    step->result = HISTORY_VALUE;
    step->seen = parse_value(bytes, len);
}

static void saw_version(struct player *p, struct history_step *step, uint64_t version) {
    if (version == 0) wire_wrong("%s tells a version of 0", commands[step->verb].name);
    step->seen_version = p->versions[step->key] = version;
}

static void read_step(struct player *p, struct history_step *step) {
    struct token t = read_token(p);
    const bool tells_written = step->verb == HISTORY_SETVER || step->verb == HISTORY_CAS;

    if (t.kind == '_') {
        step->result = HISTORY_NIL;
    } else if (t.kind == '-' && step->verb == HISTORY_INCR) {
        step->result = HISTORY_REFUSED;
    } else if (t.kind == '+' && step->verb == HISTORY_SET) {
        step->result = HISTORY_OK;
    } else if (t.kind == ':' && tells_written) {
        step->result = HISTORY_OK;
        saw_version(p, step, (uint64_t)t.number);
    } else if (t.kind == ':') {
        step->result = HISTORY_NUMBER;
        step->seen = t.number;
    } else if (t.kind == '$') {
        saw_value(step, t.bytes, t.len);
    } else if (t.kind == '*' && step->verb == HISTORY_GETVER && t.number == 2) {
        t = expect(p, '$', "GETVER");
        saw_value(step, t.bytes, t.len);
        saw_version(p, step, (uint64_t)expect(p, ':', "GETVER").number);
    } else {
        wire_wrong("%s was answered with '%c' %.*s", commands[step->verb].name, t.kind, (int)t.len, t.bytes);
    }
}

/* False: EXEC answered nil. */
static bool read_exec(struct player *p, struct history_op *op, unsigned first) {
    expect_text(p, "OK");
    for (unsigned i = first; i < op->count; i++) expect_text(p, "QUEUED");
    struct token t = read_token(p);
    if (t.kind == '_') return false;
    if (t.kind != '*' || t.number != op->count - first)
        wire_wrong("EXEC of %u was answered with '%c' %" PRId64, op->count - first, t.kind, t.number);
    for (unsigned i = first; i < op->count; i++) read_step(p, &op->steps[i]);
    return true;
}

/* A key of a scan's page: it must be one of this round, and new to this scan. */
static struct history_step *scanned_step(struct player *p, struct history_op *op, struct token key) {
    char name[40] = {0};
    uint64_t round = 0;
    uint32_t number = 0;

    memcpy(name, key.bytes, key.len < sizeof(name) - 1 ? key.len : sizeof(name) - 1);
    if (sscanf(name, "k%" SCNu64 ":%" SCNu32, &round, &number) != 2 || round != p->round->number || number >= op->count)
        wire_wrong("a scan of round %" PRIu64 " shows the key %s", p->round->number, name);
    if (op->steps[number].result != HISTORY_NIL) wire_wrong("a scan shows the key %s twice", name);
    return &op->steps[number];
}

/* All pages. The operation ends with the first: what it shows is of an instant before that. */
static void read_scan(struct player *p, struct history_op *op) {
    for (unsigned page = 0;; page++) {
        char cursor[24] = {0};

        expect_array(p, 2, "SCAN");
        struct token t = expect(p, '$', "SCAN");
        memcpy(cursor, t.bytes, t.len < sizeof(cursor) - 1 ? t.len : sizeof(cursor) - 1);
        for (int64_t words = expect(p, '*', "SCAN").number; words > 0; words -= 2) {
            struct history_step *step = scanned_step(p, op, expect(p, '$', "SCAN"));
            t = expect(p, '$', "SCAN");
            saw_value(step, t.bytes, t.len);
        }
        if (page == 0) op->end = ticket(p);
        if (strcmp(cursor, "0") == 0) return;
        add_scan(p, cursor);
        wire_send(&p->wire);
    }
}

/* ---- the HTTP door: single steps that show or ask versions ---------------------------------------------------- */

static void add_http(struct player *p, const struct history_step *step) {
    static const char *const methods[HISTORY_VERBS] = {[HISTORY_GETVER] = "GET",
                                                       [HISTORY_SETVER] = "PUT",
                                                       [HISTORY_CAS] = "PUT",
                                                       [HISTORY_DEL] = "DELETE",
                                                       [HISTORY_DELIFVER] = "DELETE"};
    struct wire *w = &p->wire;

    wire_addf(w, "%s /kv/k%" PRIu64 ":%" PRIu32 " HTTP/1.1\r\nHost: localhost\r\n", methods[step->verb],
              p->round->number, step->key);
    if (commands[step->verb].has_version && step->version == 0)
        wire_addf(w, "If-None-Match: *\r\n");
    else if (commands[step->verb].has_version)
        wire_addf(w, "If-Match: \"%" PRIu64 "\"\r\n", step->version);
    if (!commands[step->verb].has_value) {
        wire_addf(w, "\r\n");
        return;
    }
    wire_addf(w, "Content-Length: %zu\r\n\r\n", value_len(step->value));
    add_value(w, step->value);
}

/* The number in a header line, behind NAME and a quote if there is one; or NUMBER if it is another line. */
static uint64_t header_number(const char *line, const char *name, uint64_t number) {
    size_t len = strlen(name);
    return strncasecmp(line, name, len) == 0 ? strtoull(line + len + (line[len] == '"'), NULL, 10) : number;
}

static void read_http(struct player *p, struct history_step *step) {
    unsigned status = 0;
    uint64_t version = 0, len = 0;
    const char *line = wire_line(&p->wire), *body;

    if (sscanf(line, "HTTP/1.1 %3u", &status) != 1) wire_wrong("HTTP was answered with %s", line);
    while (*(line = wire_line(&p->wire)) != '\0') {
        version = header_number(line, "ETag: ", version);
        len = header_number(line, "Content-Length: ", len);
    }
    body = status == 204 ? "" : wire_bytes(&p->wire, len);
    if (status == 200 && step->verb == HISTORY_GETVER) {
        saw_value(step, body, len);
        saw_version(p, step, version);
    } else if ((status == 201 || status == 204) && commands[step->verb].has_value) {
        step->result = HISTORY_OK;
        saw_version(p, step, version);
    } else if (step->verb == HISTORY_DEL || step->verb == HISTORY_DELIFVER) {
        if (status != 204 && status != 404 && (status != 412 || step->verb == HISTORY_DEL))
            wire_wrong("DELETE was answered with %u", status);
        step->result = HISTORY_NUMBER;
        step->seen = status == 204;
    } else if ((status == 404 && step->verb == HISTORY_GETVER) || (status == 412 && step->verb == HISTORY_CAS)) {
        step->result = HISTORY_NIL;
    } else {
        wire_wrong("%s over HTTP was answered with %u", commands[step->verb].name, status);
    }
}

/* ---- operations ----------------------------------------------------------------------------------------------- */

static void choose_step(struct player *p, struct history_op *op) {
    static const enum history_verb http[] = {HISTORY_GETVER, HISTORY_SETVER, HISTORY_CAS,
                                             HISTORY_CAS,    HISTORY_DEL,    HISTORY_DELIFVER};
    enum history_verb verb =
        p->is_http ? http[below(p, sizeof(http) / sizeof(http[0]))] : (enum history_verb)below(p, HISTORY_VERBS);
    uint32_t key = (uint32_t)below(p, p->round->plan->keys);

    if (verb == HISTORY_DELIFVER && p->versions[key] == 0) verb = HISTORY_GETVER;
    struct history_step *step = history_step(op, verb, key);
    if (commands[verb].has_value) step->value = new_value(p);
    if (commands[verb].has_version && (verb == HISTORY_DELIFVER || below(p, 3) != 0)) step->version = p->versions[key];
}

static void choose_all_keys(struct player *p, struct history_op *op, enum history_verb verb) {
    for (uint32_t key = 0; key < p->round->plan->keys; key++) {
        struct history_step *step = history_step(op, verb, key);
        step->value = verb == HISTORY_SET ? new_value(p) : 0;
    }
}

static enum form choose_form(struct player *p) {
    const struct player_plan *plan = p->round->plan;
    uint64_t dice = below(p, 100), left = dice;

    if (p->is_http) return FORM_SINGLE;
    if (left < plan->exec) return FORM_EXEC;
    left -= plan->exec;
    if (left < plan->many) return left % 2 == 0 ? FORM_MGET : FORM_MSET;
    left -= plan->many;
    return left < plan->flush ? FORM_FLUSH : FORM_SINGLE;
}

/* Chooses an operation and adds its request to what will be sent. */
static struct pending start_op(struct player *p, enum form form) {
    struct history_op *op = history_add(&p->round->history, p->client);

    op->begin = ticket(p);
    switch (form) {
    case FORM_SINGLE:
        choose_step(p, op);
        p->is_http ? add_http(p, &op->steps[0]) : add_step(p, &op->steps[0]);
        break;
    case FORM_EXEC:
        for (uint64_t steps = 2 + below(p, HISTORY_STEPS_MAX - 1); steps > 0; steps--) choose_step(p, op);
        add_exec(p, op, 0);
        break;
    case FORM_MGET:
    case FORM_MSET:
        choose_all_keys(p, op, form == FORM_MSET ? HISTORY_SET : HISTORY_GET);
        add_many(p, op, form == FORM_MSET);
        break;
    case FORM_SCAN:
        choose_all_keys(p, op, HISTORY_GET);
        add_scan(p, "0");
        break;
    case FORM_FLUSH:
        choose_all_keys(p, op, HISTORY_DEL);
        add_count(&p->wire, 1);
        add_word(&p->wire, "FLUSHALL");
        break;
    }
    return (struct pending){.form = form, .op = op};
}

static void finish_op(struct player *p, struct pending pending) {
    struct history_op *op = pending.op;

    switch (pending.form) {
    case FORM_SINGLE: p->is_http ? read_http(p, &op->steps[0]) : read_step(p, &op->steps[0]); break;
    case FORM_EXEC:
        if (!read_exec(p, op, 0)) wire_wrong("EXEC answered nil, and nothing was watched");
        break;
    case FORM_MGET:
        expect_array(p, op->count, "MGET");
        for (unsigned i = 0; i < op->count; i++) read_step(p, &op->steps[i]);
        break;
    case FORM_MSET:
        expect_text(p, "OK");
        for (unsigned i = 0; i < op->count; i++) op->steps[i].result = HISTORY_OK;
        break;
    case FORM_SCAN:
        for (unsigned i = 0; i < op->count; i++) op->steps[i].result = HISTORY_NIL;
        read_scan(p, op); /* draws the end itself */
        return;
    case FORM_FLUSH: expect_text(p, "OK"); break;
    }
    op->end = ticket(p);
}

static void play_alone(struct player *p, enum form form) {
    struct pending pending = start_op(p, form);
    wire_send(&p->wire);
    finish_op(p, pending);
}

static void play_batch(struct player *p) {
    struct pending pending[DEPTH_MAX];
    unsigned count = 1 + (unsigned)below(p, p->round->plan->depth);

    for (unsigned i = 0; i < count; i++) pending[i] = start_op(p, choose_form(p));
    wire_send(&p->wire);
    for (unsigned i = 0; i < count; i++) finish_op(p, pending[i]);
}

/* WATCH and GETVER; then an EXEC, which if it happened says that the key was still as GETVER showed it. */
static void play_watch(struct player *p) {
    struct history_op exec = {0};
    uint32_t key = (uint32_t)below(p, p->round->plan->keys);
    struct history_op *read = history_add(&p->round->history, p->client);

    read->begin = ticket(p);
    add_count(&p->wire, 2);
    add_word(&p->wire, "WATCH");
    add_key(p, key);
    add_step(p, history_step(read, HISTORY_GETVER, key));
    wire_send(&p->wire);
    expect_text(p, "OK");
    read_step(p, &read->steps[0]);
    read->end = ticket(p);

    *history_step(&exec, HISTORY_GETVER, key) = read->steps[0];
    history_step(&exec, HISTORY_SETVER, key)->value = new_value(p);
    exec.begin = ticket(p);
    add_exec(p, &exec, 1);
    wire_send(&p->wire);
    if (read_exec(p, &exec, 1)) {
        exec.end = ticket(p);
        *history_add(&p->round->history, p->client) = exec;
    }
}

void player_play(struct player *p) {
    const struct player_plan *plan = p->round->plan;

    p->written = 0;
    memset(p->versions, 0, sizeof(p->versions));
    for (unsigned i = 0; i < plan->batches; i++) {
        uint64_t dice = below(p, 100);

        if (!p->is_http && dice < plan->watch)
            play_watch(p);
        else if (!p->is_http && dice < plan->watch + plan->scan)
            play_alone(p, FORM_SCAN);
        else
            play_batch(p);
    }
}

void player_open(struct player *p, unsigned client, bool is_http, uint16_t port, uint64_t seed,
                 struct player_round *round) {
    *p = (struct player){.client = client, .is_http = is_http, .round = round};
    p->random = (seed + 1) * 0x9e3779b97f4a7c15u + client * 0xd1b54a32d192ed03u;
    if (p->random == 0) p->random = 1;
    wire_open(&p->wire, port);
    if (is_http || client % 2 == 0) return;
    wire_addf(&p->wire, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
    wire_send(&p->wire);
    for (int64_t left = 2 * expect(p, '%', "HELLO 3").number; left > 0; left--) {
        struct token t = read_token(p);
        if (t.kind == '*' && t.number != 0) wire_wrong("HELLO tells of modules");
    }
}

void player_close(struct player *p) {
    wire_close(&p->wire);
}

void player_clear(struct player *p) {
    add_count(&p->wire, 1 + HISTORY_KEYS_MAX);
    add_word(&p->wire, "DEL");
    for (uint32_t key = 0; key < HISTORY_KEYS_MAX; key++) add_key(p, key);
    wire_send(&p->wire);
    (void)expect(p, ':', "DEL");
}

void player_fill(struct player *p, unsigned filler) {
    add_count(&p->wire, 1);
    add_word(&p->wire, "FLUSHALL");
    wire_send(&p->wire);
    expect_text(p, "OK");
    for (unsigned i = 0; i < filler; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "filler:%u", i);
        add_count(&p->wire, 3);
        add_word(&p->wire, "SET");
        add_word(&p->wire, name);
        add_word(&p->wire, "x");
        wire_send(&p->wire);
        expect_text(p, "OK");
    }
}

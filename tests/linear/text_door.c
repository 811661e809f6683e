/* text_door.c - see text_door.h. */
#include "tests/linear/text_door.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/linear/step.h"

#define SCAN_COUNT 50u

/* ---- requests -------------------------------------------------------------------------------- */

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
    wire_addf(w, "$%zu\r\n", step_value_len(value));
    step_add_value(w, value);
    wire_addf(w, "\r\n");
}

void text_door_add_words(struct player *p, ...) {
    va_list words, again;
    unsigned count = 0;

    va_start(words, p);
    va_copy(again, words);
    while (va_arg(words, const char *) != NULL) count++;
    add_count(&p->wire, count);
    while (count-- > 0) add_word(&p->wire, va_arg(again, const char *));
    va_end(again);
    va_end(words);
}

void text_door_add_watch(struct player *p, uint32_t key) {
    add_count(&p->wire, 2);
    add_word(&p->wire, "WATCH");
    add_key(p, key);
}

static void add_version(struct wire *w, uint64_t version) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, version);
    add_word(w, text);
}

void text_door_add_step(struct player *p, const struct history_step *step) {
    const struct step_command *command = &step_commands[step->verb];

    add_count(&p->wire,
              2u + command->has_value + (command->option != NULL) + command->has_version + (command->last != NULL));
    add_word(&p->wire, command->name);
    add_key(p, step->key);
    if (command->has_value) add_value_word(&p->wire, step->value);
    if (command->option != NULL) add_word(&p->wire, command->option);
    if (command->has_version) add_version(&p->wire, step->version);
    if (command->last != NULL) add_word(&p->wire, command->last);
}

void text_door_add_exec(struct player *p, const struct history_op *op, unsigned first) {
    add_count(&p->wire, 1);
    add_word(&p->wire, "MULTI");
    for (unsigned i = first; i < op->count; i++) text_door_add_step(p, &op->steps[i]);
    add_count(&p->wire, 1);
    add_word(&p->wire, "EXEC");
}

void text_door_add_scan(struct player *p, const char *cursor) {
    add_count(&p->wire, 7);
    add_word(&p->wire, "SCAN");
    add_word(&p->wire, cursor);
    add_word(&p->wire, "MATCH");
    add_word(&p->wire, "k*");
    add_word(&p->wire, "COUNT");
    wire_addf(&p->wire, "$2\r\n%u\r\n", SCAN_COUNT);
    add_word(&p->wire, "WITHVALUES");
}

void text_door_add_many(struct player *p, const struct history_op *op, bool writes) {
    add_count(&p->wire, 1 + op->count * (writes ? 2u : 1u));
    add_word(&p->wire, writes ? "MSET" : "MGET");
    for (unsigned i = 0; i < op->count; i++) {
        add_key(p, op->steps[i].key);
        if (writes) add_value_word(&p->wire, op->steps[i].value);
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

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

void text_door_expect_text(struct player *p, const char *text) {
    struct token t = expect(p, '+', text);
    if (t.len != strlen(text) || memcmp(t.bytes, text, t.len) != 0)
        wire_wrong("%.*s in place of %s", (int)t.len, t.bytes, text);
}

void text_door_expect_array(struct player *p, int64_t count, const char *what) {
    struct token t = expect(p, '*', what);
    if (t.number != count) wire_wrong("%s was answered with %" PRId64 " elements, not %" PRId64, what, t.number, count);
}

void text_door_read_step(struct player *p, struct history_step *step) {
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
        step_saw_version(p, step, (uint64_t)t.number);
    } else if (t.kind == ':') {
        step->result = HISTORY_NUMBER;
        step->seen = t.number;
    } else if (t.kind == '$') {
        step_saw_value(step, t.bytes, t.len);
    } else if (t.kind == '*' && step->verb == HISTORY_GETVER && t.number == 2) {
        t = expect(p, '$', "GETVER");
        step_saw_value(step, t.bytes, t.len);
        step_saw_version(p, step, (uint64_t)expect(p, ':', "GETVER").number);
    } else {
        wire_wrong("%s was answered with '%c' %.*s", step_commands[step->verb].name, t.kind, (int)t.len, t.bytes);
    }
}

/* False: EXEC answered nil. */
bool text_door_read_exec(struct player *p, struct history_op *op, unsigned first) {
    text_door_expect_text(p, "OK");
    for (unsigned i = first; i < op->count; i++) text_door_expect_text(p, "QUEUED");
    struct token t = read_token(p);
    if (t.kind == '_') return false;
    if (t.kind != '*' || t.number != op->count - first)
        wire_wrong("EXEC of %u was answered with '%c' %" PRId64, op->count - first, t.kind, t.number);
    for (unsigned i = first; i < op->count; i++) text_door_read_step(p, &op->steps[i]);
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
void text_door_read_scan(struct player *p, struct history_op *op) {
    for (unsigned page = 0;; page++) {
        char cursor[24] = {0};

        text_door_expect_array(p, 2, "SCAN");
        struct token t = expect(p, '$', "SCAN");
        memcpy(cursor, t.bytes, t.len < sizeof(cursor) - 1 ? t.len : sizeof(cursor) - 1);
        for (int64_t words = expect(p, '*', "SCAN").number; words > 0; words -= 2) {
            struct history_step *step = scanned_step(p, op, expect(p, '$', "SCAN"));
            t = expect(p, '$', "SCAN");
            step_saw_value(step, t.bytes, t.len);
        }
        if (page == 0) op->end = player_ticket(p);
        if (strcmp(cursor, "0") == 0) return;
        text_door_add_scan(p, cursor);
        wire_send(&p->wire);
    }
}

void text_door_hello(struct player *p) {
    text_door_add_words(p, "HELLO", "3", NULL);
    wire_send(&p->wire);
    for (int64_t left = 2 * expect(p, '%', "HELLO 3").number; left > 0; left--) {
        struct token t = read_token(p);
        if (t.kind == '*' && t.number != 0) wire_wrong("HELLO tells of modules");
    }
}

/* player.c - see player.h.
 *
 * A batch of requests is written at once; each operation's BEGIN is drawn before, its END as soon as its reply was
 * read. A value is a number that no other write of the run has (INCR adds less than a thousand in a round). */
#include "tests/linear/player.h"

#include <string.h>

#include "tests/linear/http_door.h"
#include "tests/linear/step.h"
#include "tests/linear/text_door.h"

#define DEPTH_MAX 8u

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

uint64_t player_ticket(struct player *p) {
    return atomic_fetch_add(&p->round->tickets, 1) + 1;
}

static int64_t new_value(struct player *p) {
    const uint64_t number = (p->round->number * HISTORY_CLIENTS_MAX + p->client) * 1000 + ++p->written;
    return (int64_t)(number * 1000) + (below(p, 8) == 0 ? HISTORY_BIG : 0);
}

/* ---- operations ----------------------------------------------------------------------------------------------- */

static void choose_step(struct player *p, struct history_op *op, enum form form) {
    static const enum history_verb http[] = {HISTORY_GETVER, HISTORY_SETVER, HISTORY_CAS,     HISTORY_CAS,
                                             HISTORY_INCR,   HISTORY_DEL,    HISTORY_DELIFVER};
    enum history_verb verb = p->is_http && form == FORM_SINGLE ? http[below(p, sizeof(http) / sizeof(http[0]))]
                                                               : (enum history_verb)below(p, HISTORY_VERBS);
    uint32_t key = (uint32_t)below(p, p->round->plan->keys);

    if (verb == HISTORY_DELIFVER && p->versions[key] == 0) verb = HISTORY_GETVER;
    struct history_step *step = history_step(op, verb, key);
    if (step_commands[verb].has_value) step->value = new_value(p);
    if (step_commands[verb].has_version && (verb == HISTORY_DELIFVER || below(p, 3) != 0))
        step->version = p->versions[key];
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

    if (left < plan->exec) return FORM_EXEC;
    if (p->is_http) return FORM_SINGLE;
    left -= plan->exec;
    if (left < plan->many) return left % 2 == 0 ? FORM_MGET : FORM_MSET;
    left -= plan->many;
    return left < plan->flush ? FORM_FLUSH : FORM_SINGLE;
}

/* Chooses an operation and adds its request to what will be sent. */
static struct pending start_op(struct player *p, enum form form) {
    struct history_op *op = history_add(&p->round->history, p->client);

    op->begin = player_ticket(p);
    switch (form) {
    case FORM_SINGLE:
        choose_step(p, op, form);
        p->is_http ? http_door_add(p, &op->steps[0]) : text_door_add_step(p, &op->steps[0]);
        break;
    case FORM_EXEC:
        for (uint64_t steps = 2 + below(p, HISTORY_STEPS_MAX - 1); steps > 0; steps--) choose_step(p, op, form);
        p->is_http ? http_door_add_batch(p, op) : text_door_add_exec(p, op, 0);
        break;
    case FORM_MGET:
    case FORM_MSET:
        choose_all_keys(p, op, form == FORM_MSET ? HISTORY_SET : HISTORY_GET);
        text_door_add_many(p, op, form == FORM_MSET);
        break;
    case FORM_SCAN:
        choose_all_keys(p, op, HISTORY_GET);
        text_door_add_scan(p, "0");
        break;
    case FORM_FLUSH:
        choose_all_keys(p, op, HISTORY_DEL);
        text_door_add_words(p, "FLUSHALL", NULL);
        break;
    }
    return (struct pending){.form = form, .op = op};
}

static void finish_op(struct player *p, struct pending pending) {
    struct history_op *op = pending.op;

    switch (pending.form) {
    case FORM_SINGLE: p->is_http ? http_door_read(p, &op->steps[0]) : text_door_read_step(p, &op->steps[0]); break;
    case FORM_EXEC:
        if (p->is_http)
            http_door_read_batch(p, op);
        else if (!text_door_read_exec(p, op, 0))
            wire_wrong("EXEC answered nil, and nothing was watched");
        break;
    case FORM_MGET:
        text_door_expect_array(p, op->count, "MGET");
        for (unsigned i = 0; i < op->count; i++) text_door_read_step(p, &op->steps[i]);
        break;
    case FORM_MSET:
        text_door_expect_text(p, "OK");
        for (unsigned i = 0; i < op->count; i++) op->steps[i].result = HISTORY_OK;
        break;
    case FORM_SCAN:
        for (unsigned i = 0; i < op->count; i++) op->steps[i].result = HISTORY_NIL;
        text_door_read_scan(p, op); /* draws the end itself */
        return;
    case FORM_FLUSH: text_door_expect_text(p, "OK"); break;
    }
    op->end = player_ticket(p);
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

    read->begin = player_ticket(p);
    text_door_add_watch(p, key);
    text_door_add_step(p, history_step(read, HISTORY_GETVER, key));
    wire_send(&p->wire);
    text_door_expect_text(p, "OK");
    text_door_read_step(p, &read->steps[0]);
    read->end = player_ticket(p);

    *history_step(&exec, HISTORY_GETVER, key) = read->steps[0];
    history_step(&exec, HISTORY_SETVER, key)->value = new_value(p);
    exec.begin = player_ticket(p);
    text_door_add_exec(p, &exec, 1);
    wire_send(&p->wire);
    if (text_door_read_exec(p, &exec, 1)) {
        exec.end = player_ticket(p);
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
    if (!is_http && client % 2 != 0) text_door_hello(p);
}

void player_close(struct player *p) {
    wire_close(&p->wire);
}

void player_clear(struct player *p) {
    for (uint32_t key = 0; key < HISTORY_KEYS_MAX; key++) {
        struct history_step step = {.verb = HISTORY_DEL, .key = key};

        text_door_add_step(p, &step);
        wire_send(&p->wire);
        text_door_read_step(p, &step);
    }
}

void player_fill(struct player *p, unsigned filler) {
    text_door_add_words(p, "FLUSHALL", NULL);
    wire_send(&p->wire);
    text_door_expect_text(p, "OK");
    for (unsigned i = 0; i < filler; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "filler:%u", i);
        text_door_add_words(p, "SET", name, "x", NULL);
        wire_send(&p->wire);
        text_door_expect_text(p, "OK");
    }
}

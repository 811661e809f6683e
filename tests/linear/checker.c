/* checker.c - Wing and Gong's search ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of states
 * ("Testing for Linearizability", 2017).
 *
 * A state is how many operations of each client have been placed, and what the store holds then. From a state the next
 * operation of a client may follow if it began before the next one of every other client ended; then the ideal store
 * must give its reply. A state that was left once without success is not entered again. Since a client's operations
 * keep their order, a few counters name the set of those that were placed.
 *
 * By keys: where every client waits for each reply, a history is linearizable exactly if its part for each key is
 * (Herlihy and Wing), or for each set of keys that some operation joins; so those are judged one by one. Where a client
 * does not wait, its own order binds operations on several keys, and they stay together.
 *
 * Version numbers must be new: when a reply is the first to name the version of a state, no operation that was placed
 * before may have seen this number on this key. Which were placed is part of the state, so memory stays exact. */
#include "tests/linear/checker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/linear/ideal.h"

struct state {
    uint8_t placed[HISTORY_CLIENTS_MAX];
    struct ideal ideal;
};

struct slot {
    uint64_t judgement; /* in which this slot was filled: older ones count as empty */
    struct state state;
};

struct checker {
    struct slot *slots;
    uint64_t slots_count; /* a power of two */
    uint64_t states_max;
    uint64_t states;    /* of this judgement */
    uint64_t judgement; /* a number for each part that is judged */
    uint64_t states_before;
    bool overflow;

    /* The part of a history that is judged. */
    unsigned clients;
    unsigned counts[HISTORY_CLIENTS_MAX];
    const struct history_op *ops[HISTORY_CLIENTS_MAX][HISTORY_OPS_MAX];

    unsigned farthest; /* operations placed */
    uint8_t farthest_placed[HISTORY_CLIENTS_MAX];
};

static void *must(void *memory) {
    if (memory == NULL) {
        (void)fputs("checker: no memory\n", stderr);
        exit(2);
    }
    return memory;
}

struct checker *checker_new(uint64_t states) {
    struct checker *c = must(calloc(1, sizeof(*c)));
    c->states_max = states;
    c->slots_count = 1024;
    c->slots = must(calloc(c->slots_count, sizeof(*c->slots)));
    return c;
}

void checker_free(struct checker *c) {
    free(c->slots);
    free(c);
}

uint64_t checker_states(const struct checker *c) {
    return c->states_before + c->states;
}

/* ---- memory of states ----------------------------------------------------------------------------------------- */

static uint64_t hash(const struct state *state) {
    uint64_t words[sizeof(*state) / sizeof(uint64_t)], sum = 0x9e3779b97f4a7c15u;

    static_assert(sizeof(words) == sizeof(*state), "a state is whole words without padding");
    memcpy(words, state, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        sum = (sum ^ words[i]) * 0xff51afd7ed558ccdu;
        sum ^= sum >> 32;
    }
    return sum;
}

static struct slot *find_slot(struct slot *slots, uint64_t count, uint64_t judgement, const struct state *state) {
    uint64_t at = hash(state) & (count - 1);

    while (slots[at].judgement == judgement && memcmp(&slots[at].state, state, sizeof(*state)) != 0)
        at = (at + 1) & (count - 1);
    return &slots[at];
}

static void grow(struct checker *c) {
    uint64_t count = c->slots_count * 4;
    struct slot *slots = must(calloc(count, sizeof(*slots)));

    for (uint64_t i = 0; i < c->slots_count; i++)
        if (c->slots[i].judgement == c->judgement)
            *find_slot(slots, count, c->judgement, &c->slots[i].state) = c->slots[i];
    free(c->slots);
    c->slots = slots;
    c->slots_count = count;
}

/* Whether STATE was not entered before; then it is now. */
static bool enter(struct checker *c, const struct state *state) {
    struct slot *slot = find_slot(c->slots, c->slots_count, c->judgement, state);

    if (slot->judgement == c->judgement) return false;
    if (checker_states(c) >= c->states_max) {
        c->overflow = true;
        return false;
    }
    *slot = (struct slot){.judgement = c->judgement, .state = *state};
    if (++c->states * 2 > c->slots_count) grow(c);
    return true;
}

/* ---- the search ----------------------------------------------------------------------------------------------- */

static bool op_saw(const struct history_op *op, unsigned steps, uint32_t key, uint64_t version) {
    for (unsigned i = 0; i < steps; i++)
        if (op->steps[i].key == key && op->steps[i].seen_version == version) return true;
    return false;
}

static bool seen_before(const struct checker *c, const struct state *state, uint32_t key, uint64_t version) {
    for (unsigned client = 0; client < c->clients; client++)
        for (unsigned i = 0; i < state->placed[client]; i++)
            if (op_saw(c->ops[client][i], c->ops[client][i]->count, key, version)) return true;
    return false;
}

/* Places OP after STATE, if all its replies fit. */
static bool place(const struct checker *c, struct state *state, const struct history_op *op) {
    for (unsigned i = 0; i < op->count; i++) {
        const struct history_step *step = &op->steps[i];
        uint64_t named;

        if (!ideal_apply(&state->ideal, step, &named)) return false;
        if (named != 0 && (op_saw(op, i, step->key, named) || seen_before(c, state, step->key, named))) return false;
    }
    return true;
}

static const struct history_op *next_of(const struct checker *c, const struct state *state, unsigned client) {
    return state->placed[client] < c->counts[client] ? c->ops[client][state->placed[client]] : NULL;
}

/* The client whose next operation ends first, or `clients` when none is left. */
static unsigned first_to_end(const struct checker *c, const struct state *state) {
    unsigned first = c->clients;

    for (unsigned client = 0; client < c->clients; client++) {
        const struct history_op *op = next_of(c, state, client);

        if (op != NULL && (first == c->clients || op->end < next_of(c, state, first)->end)) first = client;
    }
    return first;
}

static void note_farthest(struct checker *c, const struct state *state) {
    unsigned placed = 0;

    for (unsigned client = 0; client < c->clients; client++) placed += state->placed[client];
    if (placed >= c->farthest) {
        c->farthest = placed;
        memcpy(c->farthest_placed, state->placed, sizeof(state->placed));
    }
}

/* Whether all that STATE leaves can be placed. As deep as there are operations. */
static bool search(struct checker *c, const struct state *state) {
    unsigned first = first_to_end(c, state);

    note_farthest(c, state);
    if (first == c->clients) return true;
    if (!enter(c, state)) return false;
    uint64_t limit = next_of(c, state, first)->end;
    for (unsigned i = 0; i < c->clients; i++) { /* the one that ends first is the likeliest to be first */
        unsigned client = (first + i) % c->clients;
        const struct history_op *op = next_of(c, state, client);
        struct state next = *state;

        if (op == NULL || op->begin > limit || !place(c, &next, op)) continue;
        next.placed[client]++;
        if (search(c, &next)) return true;
    }
    return false;
}

/* ---- parts of a history --------------------------------------------------------------------------------------- */

static unsigned keys_of(const struct history_op *op) {
    unsigned keys = 0;

    for (unsigned i = 0; i < op->count; i++) keys |= 1u << op->steps[i].key;
    return keys;
}

static bool every_client_waits(const struct history *h) {
    for (unsigned client = 0; client < h->clients; client++)
        for (unsigned i = 1; i < h->counts[client]; i++)
            if (h->ops[client][i].begin < h->ops[client][i - 1].end) return false;
    return true;
}

/* All keys that operations join with KEYS, directly or not. */
static unsigned joined(const struct history *h, unsigned keys) {
    for (unsigned before = 0; before != keys;) {
        before = keys;
        for (unsigned client = 0; client < h->clients; client++)
            for (unsigned i = 0; i < h->counts[client]; i++)
                if ((keys_of(&h->ops[client][i]) & keys) != 0) keys |= keys_of(&h->ops[client][i]);
    }
    return keys;
}

/* Takes the operations on KEYS. */
static void take_part(struct checker *c, const struct history *h, unsigned keys) {
    c->clients = h->clients;
    memset(c->counts, 0, sizeof(c->counts));
    for (unsigned client = 0; client < h->clients; client++)
        for (unsigned i = 0; i < h->counts[client]; i++)
            if ((keys_of(&h->ops[client][i]) & keys) != 0) c->ops[client][c->counts[client]++] = &h->ops[client][i];
}

static enum checker_verdict judge_part(struct checker *c) {
    const struct state start = {0};

    c->judgement++;
    c->states_before += c->states;
    c->states = 0;
    c->farthest = 0;
    if (search(c, &start)) return CHECKER_LINEAR;
    return c->overflow ? CHECKER_UNDECIDED : CHECKER_BROKEN;
}

enum checker_verdict checker_judge(struct checker *c, const struct history *h) {
    enum checker_verdict worst = CHECKER_LINEAR;
    const unsigned all = (1u << HISTORY_KEYS_MAX) - 1;
    bool apart = every_client_waits(h);

    c->overflow = false;
    c->states = c->states_before = 0;
    for (unsigned left = all; left != 0;) {
        unsigned keys = apart ? joined(h, left & -left) : all;

        take_part(c, h, keys);
        enum checker_verdict verdict = judge_part(c);
        if (verdict == CHECKER_BROKEN) return verdict;
        if (verdict == CHECKER_UNDECIDED) worst = verdict;
        left &= ~keys;
    }
    return worst;
}

void checker_explain(FILE *to, const struct checker *c) {
    static const char *const note = "operations in the order of their ends; times are tickets, v is a version:\n";
    struct history *part = must(calloc(1, sizeof(*part)));

    part->clients = c->clients;
    for (unsigned client = 0; client < c->clients; client++)
        for (unsigned i = 0; i < c->counts[client]; i++) *history_add(part, client) = *c->ops[client][i];
    (void)fputs(note, to);
    history_print(to, part, c->farthest_placed);
    free(part);
}

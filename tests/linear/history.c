/* history.c - keeps and prints what clients did. See history.h. */
#include "tests/linear/history.h"

#include <assert.h>
#include <inttypes.h>

static const char *const verb_names[HISTORY_VERBS] = {
    [HISTORY_GET] = "GET",   [HISTORY_GETVER] = "GETVER", [HISTORY_SET] = "SET",           [HISTORY_SETVER] = "SETVER",
    [HISTORY_CAS] = "CAS",   [HISTORY_SETNX] = "SETNX",   [HISTORY_GETSET] = "GETSET",     [HISTORY_GETDEL] = "GETDEL",
    [HISTORY_INCR] = "INCR", [HISTORY_DEL] = "DEL",       [HISTORY_DELIFVER] = "DELIFVER",
};

struct history_op *history_add(struct history *h, unsigned client) {
    assert(client < h->clients && h->counts[client] < HISTORY_OPS_MAX);
    struct history_op *op = &h->ops[client][h->counts[client]++];
    op->count = 0;
    return op;
}

struct history_step *history_step(struct history_op *op, enum history_verb verb, uint32_t key) {
    assert(op->count < HISTORY_STEPS_MAX && key < HISTORY_KEYS_MAX);
    struct history_step *step = &op->steps[op->count++];
    *step = (struct history_step){.verb = verb, .key = key, .result = HISTORY_UNSEEN};
    return step;
}

bool history_writes(const struct history_step *step) {
    return step->verb != HISTORY_GET && step->verb != HISTORY_GETVER;
}

static bool contend(const struct history_op *a, const struct history_op *b) {
    if (a->begin > b->end || b->begin > a->end) return false;
    for (unsigned i = 0; i < a->count; i++)
        for (unsigned j = 0; j < b->count; j++)
            if (a->steps[i].key == b->steps[j].key && (history_writes(&a->steps[i]) || history_writes(&b->steps[j])))
                return true;
    return false;
}

uint64_t history_contended(const struct history *h) {
    uint64_t pairs = 0;

    for (unsigned a = 0; a < h->clients; a++)
        for (unsigned b = a + 1; b < h->clients; b++)
            for (unsigned i = 0; i < h->counts[a]; i++)
                for (unsigned j = 0; j < h->counts[b]; j++) pairs += contend(&h->ops[a][i], &h->ops[b][j]);
    return pairs;
}

static void print_value(FILE *to, int64_t value) {
    (void)fprintf(to, "%s%" PRId64, (value & HISTORY_BIG) != 0 ? "big " : "", value & ~HISTORY_BIG);
}

static void print_step(FILE *to, const struct history_step *step) {
    (void)fprintf(to, "%s k%" PRIu32, verb_names[step->verb], step->key);
    if (step->value != 0) {
        (void)fputc(' ', to);
        print_value(to, step->value);
    }
    if (step->verb == HISTORY_CAS || step->verb == HISTORY_DELIFVER) (void)fprintf(to, " if v%" PRIu64, step->version);
    (void)fputs(" -> ", to);
    switch (step->result) {
    case HISTORY_NIL: (void)fputs("nil", to); break;
    case HISTORY_OK: (void)fputs("OK", to); break;
    case HISTORY_NUMBER:
    case HISTORY_VALUE: print_value(to, step->seen); break;
    case HISTORY_REFUSED: (void)fputs("error", to); break;
    case HISTORY_UNSEEN: (void)fputs("?", to); break;
    }
    if (step->seen_version != 0) (void)fprintf(to, " v%" PRIu64, step->seen_version);
}

/* The operation with the smallest end above AFTER, or NULL. */
static const struct history_op *next_op(const struct history *h, uint64_t after, unsigned *client, unsigned *number) {
    const struct history_op *found = NULL;

    for (unsigned c = 0; c < h->clients; c++)
        for (unsigned i = 0; i < h->counts[c]; i++)
            if (h->ops[c][i].end > after && (found == NULL || h->ops[c][i].end < found->end)) {
                found = &h->ops[c][i];
                *client = c;
                *number = i;
            }
    return found;
}

void history_print(FILE *to, const struct history *h, const uint8_t *done) {
    unsigned client = 0, number = 0;
    uint64_t after = 0;
    const struct history_op *op;

    while ((op = next_op(h, after, &client, &number)) != NULL) {
        after = op->end;
        (void)fprintf(to, "%s client %u  %6" PRIu64 "..%-6" PRIu64 "  ",
                      done != NULL && number >= done[client] ? "not placed:" : "           ", client, op->begin,
                      op->end);
        for (unsigned i = 0; i < op->count; i++) {
            (void)fputs(i == 0 ? "" : "; ", to);
            print_step(to, &op->steps[i]);
        }
        (void)fputc('\n', to);
    }
}

/* ideal.c - see ideal.h. Versions are the store's to choose, so a write whose reply does not tell its version leaves
 * it IDEAL_UNTOLD until a reply does. */
#include "tests/linear/ideal.h"

#include <stddef.h>

static bool present(const struct ideal_cell *cell) {
    return cell->version != IDEAL_ABSENT;
}

/* Whether a condition on VERSION holds. An untold version was never seen, so it is not the one asked for. */
static bool is_version(const struct ideal_cell *cell, uint64_t version) {
    return cell->version == version && version != IDEAL_UNTOLD;
}

static void write_value(struct ideal_cell *cell, int64_t value) {
    *cell = (struct ideal_cell){.value = value, .version = IDEAL_UNTOLD};
}

static void erase(struct ideal_cell *cell) {
    *cell = (struct ideal_cell){.version = IDEAL_ABSENT};
}

static void reply_value(struct history_step *reply, const struct ideal_cell *cell) {
    reply->result = present(cell) ? HISTORY_VALUE : HISTORY_NIL;
    reply->seen = present(cell) ? cell->value : 0;
}

static void reply_number(struct history_step *reply, int64_t number) {
    reply->result = HISTORY_NUMBER;
    reply->seen = number;
}

static void increment(struct ideal_cell *cell, struct history_step *reply) {
    if (present(cell) && (cell->value & HISTORY_BIG) != 0) {
        reply->result = HISTORY_REFUSED;
        return;
    }
    write_value(cell, (present(cell) ? cell->value : 0) + 1);
    reply_number(reply, cell->value);
}

/* Changes CELL as STEP says and fills *REPLY, but for the version that it tells. */
static void execute(struct ideal_cell *cell, const struct history_step *step, struct history_step *reply) {
    switch (step->verb) {
    case HISTORY_GET:
    case HISTORY_GETVER: reply_value(reply, cell); break;
    case HISTORY_SET:
    case HISTORY_SETVER:
        write_value(cell, step->value);
        reply->result = HISTORY_OK;
        break;
    case HISTORY_CAS:
        reply->result = is_version(cell, step->version) ? HISTORY_OK : HISTORY_NIL;
        if (reply->result == HISTORY_OK) write_value(cell, step->value);
        break;
    case HISTORY_SETNX:
        reply_number(reply, !present(cell));
        if (!present(cell)) write_value(cell, step->value);
        break;
    case HISTORY_GETSET:
        reply_value(reply, cell);
        write_value(cell, step->value);
        break;
    case HISTORY_GETDEL:
        reply_value(reply, cell);
        erase(cell);
        break;
    case HISTORY_INCR: increment(cell, reply); break;
    case HISTORY_DEL:
        reply_number(reply, present(cell));
        erase(cell);
        break;
    case HISTORY_DELIFVER:
        reply_number(reply, present(cell) && is_version(cell, step->version));
        if (reply->seen != 0) erase(cell);
        break;
    case HISTORY_VERBS: break;
    }
}

bool ideal_apply(struct ideal *i, const struct history_step *step, uint64_t *named) {
    struct ideal_cell *cell = &i->cells[step->key];
    struct history_step reply = {.result = HISTORY_UNSEEN};

    *named = 0;
    execute(cell, step, &reply);
    if (step->result == HISTORY_UNSEEN) return true;
    if (step->result != reply.result || step->seen != reply.seen) return false;
    if (step->seen_version == 0) return true;
    if (cell->version != IDEAL_UNTOLD) return cell->version == step->seen_version;
    cell->version = *named = step->seen_version;
    return true;
}

static bool tells_version(const struct history_step *step) {
    return (step->verb == HISTORY_GETVER && step->result == HISTORY_VALUE) || step->verb == HISTORY_SETVER ||
           (step->verb == HISTORY_CAS && step->result == HISTORY_OK);
}

void ideal_answer(struct ideal *i, struct history_step *step, uint64_t *version) {
    struct ideal_cell *cell = &i->cells[step->key];

    execute(cell, step, step);
    if (cell->version == IDEAL_UNTOLD) cell->version = ++*version;
    step->seen_version = tells_version(step) ? cell->version : 0;
}

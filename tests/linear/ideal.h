/* ideal.h - the store as it is promised: a few keys, one step after the other, obviously right. */
#ifndef TESTS_LINEAR_IDEAL_H
#define TESTS_LINEAR_IDEAL_H

#include "tests/linear/history.h"

/* A key. No padding, and all zero when absent: states are compared as bytes. */
struct ideal_cell {
    int64_t value;
    uint64_t version; /* IDEAL_ABSENT, IDEAL_UNTOLD, or the number that a reply has told */
};

#define IDEAL_ABSENT 0u
#define IDEAL_UNTOLD UINT64_MAX

struct ideal {
    struct ideal_cell cells[HISTORY_KEYS_MAX];
};

/* Does STEP to I. True if the reply that was seen is the one that I gives; else I is spoilt. *NAMED becomes the
 * version number that the reply is the first to give to the key's present state, or 0: it must be one that no earlier
 * state of this key had, which the caller knows. */
bool ideal_apply(struct ideal *i, const struct history_step *step, uint64_t *named);

/* Does STEP to I and writes the reply into it: how good histories are made. Versions are drawn from *VERSION. */
void ideal_answer(struct ideal *i, struct history_step *step, uint64_t *version);

#endif

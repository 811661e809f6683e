/* checker.h - is there an order of all operations, true to time and to each client's own order, in which one store
 * that does one operation after the other would have given every reply that was seen? */
#ifndef TESTS_LINEAR_CHECKER_H
#define TESTS_LINEAR_CHECKER_H

#include "tests/linear/history.h"

struct checker;

enum checker_verdict {
    CHECKER_LINEAR,
    CHECKER_BROKEN,
    CHECKER_UNDECIDED /* more states than it may keep */
};

/* A checker that keeps at most STATES states, owned by the caller. Ends the program when there is no memory. */
struct checker *checker_new(uint64_t states);
void checker_free(struct checker *c);

/* Judges H, in which all keys were absent at first. H is borrowed until return. */
enum checker_verdict checker_judge(struct checker *c, const struct history *h);

/* How many states the last judgement visited. */
uint64_t checker_states(const struct checker *c);

/* Says what the last judgement was stuck at: the operations of the part of the history that it judged last, marking
 * those after the longest order that it found. The history must still be there. */
void checker_explain(FILE *to, const struct checker *c);

#endif

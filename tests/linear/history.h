/* history.h - what clients of a store did, and when: the input of the checker.
 *
 * An operation is one to four steps that must happen at one instant between its BEGIN and its END: a single command,
 * or all commands of an EXEC, all keys of an MGET, an MSET, a scan. Times are tickets of one counter that all clients
 * draw from, so they are ordered as the events were and no two are equal. A client's operations are in the order in
 * which it sent them; those that it sent without waiting overlap in time, and must take effect in that order too. */
#ifndef TESTS_LINEAR_HISTORY_H
#define TESTS_LINEAR_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_CLIENTS_MAX 8u
#define HISTORY_KEYS_MAX    4u
#define HISTORY_STEPS_MAX   4u
#define HISTORY_OPS_MAX     48u /* of one client */

/* Added to a value that is sent as some 20 KB, which the map keeps in another way. Not a number for INCR. */
#define HISTORY_BIG (INT64_C(1) << 60)

enum history_verb {
    HISTORY_GET,
    HISTORY_GETVER,
    HISTORY_SET,
    HISTORY_SETVER, /* SET RETVER */
    HISTORY_CAS,    /* SET IFVER version RETVER; version 0: only if absent */
    HISTORY_SETNX,
    HISTORY_GETSET,
    HISTORY_GETDEL,
    HISTORY_INCR,
    HISTORY_DEL,
    HISTORY_DELIFVER,
    HISTORY_VERBS
};

enum history_result {
    HISTORY_NIL,
    HISTORY_OK,
    HISTORY_NUMBER,
    HISTORY_VALUE,
    HISTORY_REFUSED, /* an error reply */
    HISTORY_UNSEEN   /* nothing was told: a key that FLUSHALL removed */
};

/* A client asks CAS and DELIFVER only for versions that an earlier operation of its own has shown, or 0. (So a version
 * that nobody has seen yet never is the one asked for, and the checker need not guess.) */
struct history_step {
    enum history_verb verb;
    enum history_result result;
    uint32_t key;
    uint64_t version;      /* asked for */
    int64_t value;         /* written */
    int64_t seen;          /* of NUMBER and VALUE */
    uint64_t seen_version; /* 0: none was told */
};

struct history_op {
    uint64_t begin; /* ticket drawn before the request was sent */
    uint64_t end;   /* and after the reply was read */
    uint32_t count;
    struct history_step steps[HISTORY_STEPS_MAX];
};

struct history {
    unsigned clients;
    unsigned counts[HISTORY_CLIENTS_MAX];
    struct history_op ops[HISTORY_CLIENTS_MAX][HISTORY_OPS_MAX];
};

/* Adds an empty operation of CLIENT, which lives as long as H. There must be room. */
struct history_op *history_add(struct history *h, unsigned client);

/* Adds a step to OP and gives it. There must be room. */
struct history_step *history_step(struct history_op *op, enum history_verb verb, uint32_t key);

bool history_writes(const struct history_step *step);

/* Pairs of operations of two clients that overlap in time and touch one key, which one of them writes: without these
 * a history shows nothing. */
uint64_t history_contended(const struct history *h);

/* Prints every operation, a line each, in the order of their ends. DONE, unless NULL, has how many operations of each
 * client a checker could place; the others are marked. */
void history_print(FILE *to, const struct history *h, const uint8_t *done);

#endif

/* player.h - a client that does operations chosen at random and notes what it asked, what it saw, and when. */
#ifndef TESTS_LINEAR_PLAYER_H
#define TESTS_LINEAR_PLAYER_H

#include <stdatomic.h>

#include "tests/linear/history.h"
#include "tests/linear/wire.h"

/* A kind of history. Percentages are of the operations; the rest are single commands. */
struct player_plan {
    const char *name;
    unsigned keys;
    unsigned batches; /* of each client */
    unsigned depth;   /* at most so many operations are sent before their replies are read */
    unsigned exec;    /* MULTI ... EXEC of two to four commands */
    unsigned many;    /* MGET or MSET of all keys */
    unsigned watch;   /* WATCH, GETVER, then MULTI, SET, EXEC */
    unsigned scan;    /* SCAN WITHVALUES to its end */
    unsigned flush;   /* FLUSHALL */
    unsigned filler;  /* other keys, that nobody writes, so that a scan has many pages */
};

/* What all players of a round share, read only while they play, except for TICKETS. */
struct player_round {
    const struct player_plan *plan;
    uint64_t number;
    _Atomic uint64_t tickets; /* sequentially consistent: who draws later gets more, whatever thread it is */
    struct history history;   /* each player writes its own client's operations */
};

#define PLAYER_BODY_MAX 131072u

struct player {
    unsigned client;
    bool is_http;
    uint64_t random;
    struct wire wire;
    struct player_round *round;
    uint64_t written; /* values, in this round */
    uint64_t versions[HISTORY_KEYS_MAX];
    char body[PLAYER_BODY_MAX]; /* of the last HTTP reply, with a NUL behind it */
};

/* Connects; a player of the text door speaks RESP3 if its number is odd. ROUND is shared and outlives P. */
void player_open(struct player *p, unsigned client, bool is_http, uint16_t port, uint64_t seed,
                 struct player_round *round);
void player_close(struct player *p);

/* The next ticket of the round. */
uint64_t player_ticket(struct player *p);

/* Plays its part of the round and adds it to the history. One thread for each player. */
void player_play(struct player *p);

/* For the one who prepares a round: "kROUND:KEY" must be absent; FILLER keys are set anew after all are removed. */
void player_clear(struct player *p);
void player_fill(struct player *p, unsigned filler);

#endif

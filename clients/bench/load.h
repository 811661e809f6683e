/* load.h - a thread of load: an epoll loop with connections.
 *
 *     keys, values, recipe -> conn_write -> server -> conn_read -> door->replies -> conn_replied -> tally
 *
 * A worker and its connections belong to one thread; a plan is read by all. */
#ifndef STROBE_CLIENTS_BENCH_LOAD_H
#define STROBE_CLIENTS_BENCH_LOAD_H

#include <stdatomic.h>

#include "clients/bench/conn.h"
#include "clients/bench/dial.h"
#include "clients/bench/keys.h"
#include "clients/bench/options.h"
#include "clients/bench/recipe.h"
#include "clients/bench/tally.h"
#include "clients/bench/values.h"

/* A protocol: how requests look, and what reads replies. */
struct door {
    /* Fills RECIPES[LOAD_KINDS_COUNT] (inited by the caller). False: ERROR (OPTIONS_ERROR_TEXT) says which option is
     * not good. */
    bool (*recipes)(const struct bench_options *options, struct recipe *recipes, char *error);

    /* Reads replies out of LEN bytes at DATA and calls conn_replied() for each. Gives how many bytes it used; the rest,
     * at most CONN_CARRY_MAX, is given again with what follows it. CONN_BROKEN: the bytes are no replies; conn_fault()
     * was told. */
    size_t (*replies)(struct conn *conn, const char *data, size_t len);
};

/* What all threads read; changes only in `stop`. */
struct plan {
    const struct bench_options *options; /* borrowed */
    const struct door *door;
    struct keys keys;
    struct values values;
    struct recipe recipes[LOAD_KINDS_COUNT];
    struct address address;
    bool reads[LOAD_KINDS_COUNT]; /* the reply to this kind has the values of its keys */
    bool all_set;                 /* prefilled, and nothing takes keys away: each is there at every moment */
    atomic_bool stop;             /* Ctrl-C; relaxed: nothing else is read because of it */
};

/* What a phase asks of a worker. */
struct phase {
    bool prefill;      /* SETs only, of keys in order */
    uint64_t pipeline; /* requests on the way on a connection, at most the plan's or LOAD_PREFILL_DEPTH */
    uint64_t first;    /* the first key, when they come in order: so many behind the first of all */
    uint64_t requests; /* LOAD_ENDLESS: until the time is over */
    uint64_t time;     /* nanoseconds; 0: until the requests are done */
    bool owes;         /* at a fixed rate: what is due is sent, also behind the time's end, or is a fault */
    double interval;   /* nanoseconds between two requests of this worker; 0: as fast as it goes */
    double offset;     /* nanoseconds from the start to the first of them */
};

enum { LOAD_PREFILL_DEPTH = 16 };
#define LOAD_ENDLESS (UINT64_MAX / 2) /* some may be given back to it */

struct worker {
    struct plan *plan;         /* borrowed */
    const struct phase *phase; /* borrowed while it runs */
    uint64_t index;
    int epoll;
    struct conn *conns; /* owned */
    size_t conn_count;
    size_t open; /* connections that are */
    size_t busy; /* connections that wait for a reply, or have a request to send */
    char *in;    /* owned: CONN_CARRY_MAX + CONN_IN */
    struct keys_walk walk;
    struct keys in_order; /* the plan's keys, for prefill */
    struct random chance;
    uint64_t now;
    uint64_t left;                 /* requests to begin */
    uint64_t next;                 /* at a fixed rate: the first request whose time has not come */
    bool over;                     /* nothing more is begun */
    uint64_t over_since;           /* when Ctrl-C was seen, else 0 */
    uint64_t looked;               /* when deadlines were looked at */
    _Atomic uint64_t done, failed; /* replies and faults of this phase; relaxed: figures for the progress line */
    struct tally tally;
};

/* Makes WORKER (zeroed memory) number INDEX with its share of connections, all open. Borrows PLAN until fini. False:
 * ERROR (OPTIONS_ERROR_TEXT) says why. Call worker_fini() in any case. */
bool worker_init(struct worker *worker, struct plan *plan, uint64_t index, char *error);
void worker_fini(struct worker *worker);

/* Runs PHASE to its end, or until plan->stop; worker->tally has the count. */
void worker_run(struct worker *worker, const struct phase *phase);

/* How many of PHASE's requests are due UNTIL then, nanoseconds from the start; 0 without a rate. */
uint64_t phase_due(const struct phase *phase, double until);

/* Part INDEX of TOTAL, cut into PARTS that differ by one at most; and the sum of the parts before it. */
uint64_t load_share(uint64_t total, uint64_t parts, uint64_t index);
uint64_t load_share_begin(uint64_t total, uint64_t parts, uint64_t index);

/* Nanoseconds of CLOCK_MONOTONIC; of processor time of this thread. */
uint64_t load_now(void);
uint64_t load_cpu(void);

/* ---- for conn.c --------------------------------------------------------------------------------------- */

/* CONN has nothing to do, or at a fixed rate fewer than it may: gives it what is due. Does not write. */
void worker_feed(struct worker *worker, struct conn *conn);

/* When the request that CONN begins now was to be sent. */
uint64_t worker_due(const struct worker *worker, const struct conn *conn);

/* The last COUNT requests that CONN was given were not sent, or not taken: they come again, at a fixed rate as its own
 * and with the times they had. */
void worker_take_back(struct worker *worker, struct conn *conn, uint64_t count);

/* CONN stays closed: what it was to send at a fixed rate nobody sends. */
void worker_give_up(struct worker *worker, struct conn *conn);

#endif

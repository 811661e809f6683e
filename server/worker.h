/* worker.h - one event loop on one thread, with the connections that belong to it.
 *
 * Everything of a worker is for its own thread, except where a function says "any thread". Doors and handlers use
 * the first part; conn.c and server.c the second. */
#ifndef STROBE_SERVER_WORKER_H
#define STROBE_SERVER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "map/map.h"
#include "protocol/buf.h"
#include "protocol/resp_parser.h"
#include "protocol/slice.h"
#include "server/config.h"
#include "server/log.h"
#include "server/metrics.h"

struct conn;
struct latency_slot;
struct resp_batch;
struct services;
struct worker;

/* ---- for doors and handlers ----------------------------------------------------------------- */

struct strobe_map *worker_map(const struct worker *worker);
struct services *worker_services(const struct worker *worker);
struct metrics_slot *worker_metrics(const struct worker *worker);
struct latency_slot *worker_latency(const struct worker *worker);
struct log *worker_log(const struct worker *worker);
unsigned worker_index(const struct worker *worker); /* 0 to threads - 1 */

/* The configuration as of now; borrowed until the end of the process, but ask again for each request, since SIGHUP
 * makes a new one. */
const struct config *worker_config(const struct worker *worker);

/* The parser's limits as of now; lives as long as the worker, changes with SIGHUP. */
const struct strobe_resp_options *worker_resp_options(const struct worker *worker);

/* What resp_door.c works batches in, one for all connections of the loop. */
struct resp_batch *worker_batch(const struct worker *worker);

/* The loop's clock in milliseconds, which starts anywhere and never runs backwards; for timeouts. */
uint64_t worker_now(const struct worker *worker);

/* The date of now as HTTP writes it (29 bytes, "Sun, 22 Nov 2026 20:36:25 GMT"), made once a second. As of this
 * turn of the loop. Borrowed until the next call. */
struct strobe_slice worker_http_date(struct worker *worker);

/* ---- for conn.c, listener.c and server.c ---------------------------------------------------- */

enum {
    WORKER_HEADROOM = 16384, /* an unfinished tail of at most so many bytes is put in front of the next read */
    WORKER_PEEK = 4096,      /* read at first when a large word is likely: what comes with its head is copied */
    WORKER_READS = 4         /* reads of one connection in one turn of the loop, then others have theirs */
};

/* A connection's places in its worker's lists, part of struct conn. */
struct worker_link {
    struct worker_link *next, *previous; /* NULL: on no list */
    struct conn *conn;
};
struct worker_links {
    struct worker_link all;      /* every connection; before that, those handed over */
    struct worker_link ready;    /* wants a turn */
    struct worker_link watched;  /* a timeout runs */
    struct worker_link answered; /* has replies that are sent with those of others */
};

struct worker_options {
    struct services *services; /* borrowed for the worker's life */
    unsigned index;
};

/* Makes worker INDEX with its loop, not yet running. Owned by the caller. Results: NULL when there is no memory or
 * the system has no more descriptors. */
struct worker *worker_new(const struct worker_options *options);
void worker_free(struct worker *worker);

/* Runs the loop on the calling thread until worker_stop() and the last connection is gone. */
void worker_run(struct worker *worker);

/* Runs it on a new thread; worker_join waits for its end. Results: false when there is no thread to be had. */
bool worker_start(struct worker *worker);
void worker_join(struct worker *worker);

/* Answers what arrived, closes all connections, ends the loop. Any thread. */
void worker_stop(struct worker *worker);

/* Asks the worker to answer the roll (rollcall.h), having taken over the configuration and closed the connections that
 * are marked as killed. Any thread. */
void worker_call(struct worker *worker);

/* Jobs that wait look again. Any thread. */
void worker_wake(struct worker *worker);

/* Lines wait for monitors of this worker. Any thread. */
void worker_deliver(struct worker *worker);

/* Gives CONN (from conn_new) to its worker, which starts it. Any thread. */
void worker_hand(struct worker *worker, struct conn *conn);

/* Connections that were handed over and are not gone yet, and those that are only being refused. Any thread. */
unsigned worker_connections(const struct worker *worker);
unsigned worker_refusals(const struct worker *worker);

uv_loop_t *worker_loop(struct worker *worker);
bool worker_stopping(const struct worker *worker);
uint64_t worker_turn(const struct worker *worker); /* counts the turns of the loop */
char *worker_read_buffer(struct worker *worker);   /* WORKER_HEADROOM + STROBE_READ_SIZE bytes */
struct strobe_out_pool *worker_out_pool(struct worker *worker);

/* The wall clock in milliseconds as of this turn of the loop: for showing, not for deciding. */
uint64_t worker_wall(const struct worker *worker);

/* A connection began or ended: on the list of all, and off every list. */
void worker_add(struct worker *worker, struct conn *conn);
void worker_remove(struct worker *worker, struct conn *conn);

/* Puts CONN on the list of those that get conn_turn() in the next turn of the loop. Twice does nothing. */
void worker_ready(struct worker *worker, struct conn *conn);

/* LEN bytes of a connection have been read, of which FIRST says that none came earlier in this millisecond of
 * worker_now(). */
void worker_heard(struct worker *worker, size_t len, bool first);

/* CONN has been read from, and has replies, which are sent together with those of others that were, at the end of this
 * turn or before: it gets conn_sent() then. May send at once. Not while a door is called. Twice does nothing.
 * Results: no when the system cannot send together; then CONN sends by itself. */
bool worker_answered(struct worker *worker, struct conn *conn);

/* A timeout of CONN runs out at DEADLINE (loop time) or later: it gets conn_check() then, or sooner. */
void worker_watch(struct worker *worker, struct conn *conn, uint64_t deadline);

/* No more turns and timeouts for CONN, which closes. */
void worker_forget(struct worker *worker, struct conn *conn);

/* The buffers of one connection went from BEFORE to AFTER bytes. May close connections of this worker (not while a
 * door is called: ask outside), or make another worker do so. */
void worker_charge(struct worker *worker, size_t before, size_t after);

#endif

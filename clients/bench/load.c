/* load.c - a worker: one thread, one epoll, its connections, and when each sends.
 *
 * As fast as it goes (no --rate): a connection sends a batch of `pipeline` requests in one write, and the next batch
 * when all are answered. A latency counts from the write.
 *
 * At a fixed rate (open loop): request i is due at offset + i * interval, and belongs to connection i modulo their
 * number, whether that one has its earlier replies or not; at most `pipeline` are on the way on each. A latency counts
 * from the time at which the request was due, so a server that stops for a while is charged with all the requests that
 * had to wait, and not only with those on the way (Tene calls the omission of the others "coordinated"). For the same
 * reason no connection takes over what is another's, and what was due within the time is sent behind its end, too, for
 * --timeout at most; what is not sent then is a fault (TALLY_UNSENT).
 *
 * Ends: `over` is set when the time is up (at a fixed rate of a phase that owes: when --timeout is up behind it), or by
 * Ctrl-C; what is on the way is waited for, by --timeout at most, and for a second after Ctrl-C. */
#include "clients/bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256 };

static const uint64_t SECOND = 1000000000, MILLISECOND = 1000000;
static const uint64_t LOOK = 100000000; /* deadlines and Ctrl-C are looked at ten times a second */

static uint64_t clock_ns(clockid_t which) {
    struct timespec at;

    clock_gettime(which, &at);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

uint64_t load_now(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t load_cpu(void) {
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t load_share(uint64_t total, uint64_t parts, uint64_t index) {
    return total / parts + (index < total % parts);
}

uint64_t load_share_begin(uint64_t total, uint64_t parts, uint64_t index) {
    uint64_t extra = total % parts;

    return total / parts * index + (index < extra ? index : extra);
}

/* ---- life ------------------------------------------------------------------------------------------ */

/* The most keys that a request of any kind has; at least one. */
static size_t keys_each(const struct plan *plan) {
    size_t most = 1;

    for (int i = 0; i < LOAD_KINDS_COUNT; i++)
        if (plan->recipes[i].keys > most) most = plan->recipes[i].keys;
    return most;
}

static bool init_conns(struct worker *worker, char *error) {
    const struct bench_options *options = worker->plan->options;
    size_t depth = (size_t)options->pipeline;

    if (options->prefill && depth < LOAD_PREFILL_DEPTH) depth = LOAD_PREFILL_DEPTH;
    for (size_t i = 0; i < worker->conn_count; i++) {
        if (!conn_init(&worker->conns[i], worker, depth, keys_each(worker->plan))) {
            snprintf(error, OPTIONS_ERROR_TEXT, "out of memory at connection %zu", i + 1);
            return false;
        }
        if (!conn_open(&worker->conns[i])) {
            snprintf(error, OPTIONS_ERROR_TEXT, "cannot open connection %zu: %s", i + 1, strerror(errno));
            return false;
        }
    }
    return true;
}

bool worker_init(struct worker *worker, struct plan *plan, uint64_t index, char *error) {
    const struct bench_options *options = plan->options;

    worker->plan = plan;
    worker->index = index;
    worker->conn_count = load_share(options->clients, options->threads, index);
    worker->in_order = plan->keys;
    worker->in_order.dist = KEYS_SEQUENTIAL;
    tally_init(&worker->tally);
    worker->conns = calloc(worker->conn_count, sizeof *worker->conns);
    worker->in = malloc(CONN_CARRY_MAX + CONN_IN);
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (worker->conns == NULL || worker->in == NULL || worker->epoll < 0) {
        snprintf(error, OPTIONS_ERROR_TEXT, "cannot begin a thread of load: %s", strerror(errno));
        return false;
    }
    for (size_t i = 0; i < worker->conn_count; i++) worker->conns[i].fd = -1;
    return init_conns(worker, error);
}

void worker_fini(struct worker *worker) {
    for (size_t i = 0; worker->conns != NULL && i < worker->conn_count; i++) conn_fini(&worker->conns[i]);
    free(worker->conns);
    free(worker->in);
    if (worker->epoll > 0) close(worker->epoll);
}

/* ---- which request when ----------------------------------------------------------------------------- */

/* When request NUMBER of the worker is due, nanoseconds from the start. */
static double due_at(const struct worker *worker, uint64_t number) {
    return worker->phase->offset + worker->phase->interval * (double)number;
}

/* The same of request NUMBER of those that are CONN's. */
static double conn_due_at(const struct worker *worker, const struct conn *conn, uint64_t number) {
    return due_at(worker, (uint64_t)(conn - worker->conns) + number * worker->conn_count);
}

uint64_t worker_due(const struct worker *worker, const struct conn *conn) {
    if (worker->phase->interval == 0) return worker->now;
    return worker->tally.started + (uint64_t)conn_due_at(worker, conn, conn->taken - conn->out.to_build);
}

static double elapsed(const struct worker *worker) {
    return (double)(worker->now - worker->tally.started);
}

static void feed_rate(struct worker *worker, struct conn *conn) {
    uint64_t pipeline = worker->phase->pipeline;
    double until = elapsed(worker);

    while (conn->taken < conn->share && conn->waiting + conn->out.to_build < pipeline &&
           conn_due_at(worker, conn, conn->taken) <= until) {
        conn->taken++;
        conn->out.to_build++;
        worker->left--;
    }
}

static void feed_batch(struct worker *worker, struct conn *conn) {
    uint64_t pipeline = worker->phase->pipeline;

    if (conn_busy(conn)) return;
    conn->out.to_build = worker->left < pipeline ? worker->left : pipeline;
    worker->left -= conn->out.to_build;
}

void worker_feed(struct worker *worker, struct conn *conn) {
    bool was_busy = conn_busy(conn);

    if (worker->over || conn->fd < 0) return;
    if (worker->phase->interval > 0)
        feed_rate(worker, conn);
    else
        feed_batch(worker, conn);
    if (!was_busy && conn_busy(conn)) worker->busy++;
}

void worker_take_back(struct worker *worker, struct conn *conn, uint64_t count) {
    worker->left += count;
    if (worker->phase->interval > 0) conn->taken -= count;
}

void worker_give_up(struct worker *worker, struct conn *conn) {
    if (worker->phase->interval == 0) return;
    worker->left -= conn->share - conn->taken;
    conn->share = conn->taken;
}

/* At a fixed rate: hands out all that is due by now. */
static void release(struct worker *worker) {
    double until = elapsed(worker);

    while (worker->next < worker->phase->requests && due_at(worker, worker->next) <= until && worker->open > 0) {
        struct conn *conn = &worker->conns[worker->next++ % worker->conn_count];
        worker_feed(worker, conn);
        if (conn->out.to_build > 0) conn_write(conn);
    }
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

/* The share of connection INDEX at a fixed rate: each conn_count-th request. One that is not open has none. */
static void begin_share(struct worker *worker, size_t index) {
    struct conn *conn = &worker->conns[index];

    conn->taken = 0;
    conn->share = load_share(worker->phase->requests, worker->conn_count, index);
    if (conn->fd < 0) worker_give_up(worker, conn);
}

static void begin(struct worker *worker, const struct phase *phase) {
    tally_init(&worker->tally);
    atomic_store_explicit(&worker->done, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->failed, 0, memory_order_relaxed);
    worker->phase = phase;
    worker->left = phase->requests;
    worker->over = false;
    worker->over_since = 0;
    worker->next = 0;
    worker->busy = 0;
    worker->now = load_now();
    keys_walk_init(&worker->walk, phase->first, worker->now + worker->index);
    random_init(&worker->chance, ~worker->now - worker->index);
    worker->tally.cpu = load_cpu();
    worker->now = worker->looked = worker->tally.started = worker->tally.ended = load_now();
    for (size_t i = 0; i < worker->conn_count; i++) {
        struct conn *conn = &worker->conns[i];
        conn->progress = worker->now;
        begin_share(worker, i);
        if (phase->interval > 0) continue;
        worker_feed(worker, conn);
        if (conn->out.to_build > 0) conn_write(conn);
    }
}

static bool time_is_up(const struct worker *worker) {
    return worker->phase->time != 0 && worker->now - worker->tally.started >= worker->phase->time;
}

/* Is it time to begin nothing more? */
static bool issuing_ends(const struct worker *worker) {
    const struct phase *phase = worker->phase;
    uint64_t timeout = worker->plan->options->timeout * MILLISECOND;

    if (!time_is_up(worker)) return false;
    return !phase->owes || worker->now - worker->tally.started >= phase->time + timeout;
}

/* Nothing more is begun; what was given out and not begun comes back. */
static void end_issuing(struct worker *worker) {
    worker->over = true;
    for (size_t i = 0; i < worker->conn_count; i++) {
        struct conn *conn = &worker->conns[i];
        bool was_busy = conn_busy(conn);
        worker_take_back(worker, conn, conn->out.to_build);
        conn->out.to_build = 0;
        if (was_busy && !conn_busy(conn)) worker->busy--;
    }
}

/* The time is up, and --timeout behind it: what is on the way is not waited for any more. */
static void lose_all(struct worker *worker) {
    for (size_t i = 0; i < worker->conn_count; i++) {
        struct conn *conn = &worker->conns[i];
        if (conn->fd >= 0 && conn->waiting > 0)
            conn_lose(conn, STROBE_SLICE("requests that were due were not answered within --timeout of the end"));
    }
}

/* Deadlines of connections, and Ctrl-C. */
static void look(struct worker *worker) {
    const struct bench_options *options = worker->plan->options;

    worker->looked = worker->now;
    if (worker->over_since == 0 && atomic_load_explicit(&worker->plan->stop, memory_order_relaxed)) {
        worker->over_since = worker->now;
        end_issuing(worker);
    }
    for (size_t i = 0; i < worker->conn_count; i++) {
        struct conn *conn = &worker->conns[i];
        if (conn->fd < 0 || conn->waiting == 0 || worker->now - conn->progress < options->timeout * MILLISECOND)
            continue;
        conn_lose(conn, STROBE_SLICE("no reply came within --timeout"));
    }
}

/* Nanoseconds that the loop may sleep. */
static uint64_t patience(const struct worker *worker) {
    const struct phase *phase = worker->phase;
    double past = (double)(load_now() - worker->tally.started), until = (double)LOOK;

    if (worker->over) return LOOK;
    if (phase->interval > 0 && worker->next < phase->requests && due_at(worker, worker->next) - past < until)
        until = due_at(worker, worker->next) - past;
    if (phase->time != 0 && !time_is_up(worker) && (double)phase->time - past < until)
        until = (double)phase->time - past;
    return until > 0 ? (uint64_t)until : 0;
}

static void wait_and_serve(struct worker *worker) {
    struct epoll_event events[EVENTS];
    uint64_t sleep = patience(worker);
    struct timespec until = {(time_t)(sleep / SECOND), (long)(sleep % SECOND)};
    int count = epoll_pwait2(worker->epoll, events, EVENTS, &until, NULL);

    worker->now = load_now();
    for (int i = 0; i < count; i++) {
        struct conn *conn = events[i].data.ptr;
        if (conn->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) != 0) conn_read(conn);
        if (conn->fd >= 0 && (events[i].events & EPOLLOUT) != 0) conn_write(conn);
    }
}

static bool finished(const struct worker *worker) {
    if (worker->open == 0) return true;
    if (worker->over_since != 0 && worker->now - worker->over_since > SECOND) return true;
    if (worker->busy != 0) return false;
    return worker->over || (worker->left == 0 && (worker->phase->time == 0 || time_is_up(worker)));
}

uint64_t phase_due(const struct phase *phase, double until) {
    if (phase->interval == 0 || until < phase->offset) return 0;
    uint64_t due = (uint64_t)((until - phase->offset) / phase->interval) + 1;
    return due < phase->requests ? due : phase->requests;
}

/* At a fixed rate: counts what was due and is not begun, unless somebody wanted it to end. Without connections it ended
 * early, and all the rest would have been due. */
static void count_unsent(struct worker *worker) {
    uint64_t taken = 0, due;

    if (!worker->phase->owes || worker->over_since != 0) return;
    if (worker->open == 0) worker->tally.intended = worker->phase->requests;
    due = worker->tally.intended;
    for (size_t i = 0; i < worker->conn_count; i++) taken += worker->conns[i].taken;
    if (due > taken)
        tally_fault(&worker->tally, TALLY_UNSENT, due - taken, STROBE_SLICE("requests that were due were never sent"));
}

void worker_run(struct worker *worker, const struct phase *phase) {
    if (phase->interval > 0) (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
    begin(worker, phase);
    while (!finished(worker)) {
        wait_and_serve(worker);
        if (phase->interval > 0 && !worker->over) release(worker);
        if (!worker->over) worker->tally.intended = phase_due(phase, elapsed(worker));
        if (!worker->over && issuing_ends(worker)) {
            end_issuing(worker);
            if (phase->owes) lose_all(worker);
        }
        if (worker->now - worker->looked >= LOOK) look(worker);
        atomic_store_explicit(&worker->done, tally_requests(&worker->tally), memory_order_relaxed);
        atomic_store_explicit(&worker->failed, tally_faults(&worker->tally), memory_order_relaxed);
    }
    count_unsent(worker);
    worker->tally.ended = worker->now;
    worker->tally.cpu = load_cpu() - worker->tally.cpu;
}

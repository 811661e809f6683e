/* timing.c - where the time of commands goes: one clock for a run of short ones, two for a long one.
 *
 *      batch   GET GET SET GET | KEYS | GET GET |
 *      clock  ^                ^      ^         ^       a call that may be long is timed by itself
 *
 * A call may be long if its row says so (COMMAND_LONG, TIMED, AFTER, WHOLE) or its request does: many words, or many
 * bytes. All others cost much the same, so a run of them is timed as one: each counts in its histogram with the run's
 * mean, and should the run be slow, it is one entry of SLOWLOG under its first command that says how many they were.
 * Without pipelining a run is one command, and all is exact. With slowlog-threshold = 0 every call is timed by itself.
 *
 * Phases (slowlog.h): how long the request took to come is known to the loop's millisecond. The wait for the loop is
 * from the beginning of its turn, when the system said that there was something to read. Sleeps for locks are summed
 * up by the worker (METRICS_LOCK_WAIT_NS); what a command of EXEC waits for is EXEC's. The flush is told by conn.c.
 * Always: nothing here allocates or locks unless something was slow. Never kept: words that follow the name of a
 * command that takes passwords. Not here: the log (slowlog.c), the histograms (latency.c). */
#include "server/timing.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/limits.h"
#include "server/clients.h"
#include "server/clock.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/conn.h"
#include "server/latency.h"
#include "server/metrics.h"
#include "server/services.h"
#include "server/slowlog.h"
#include "server/worker.h"

enum {
    WORDS_FEW = 16,    /* a request of more is timed by itself */
    BYTES_FEW = 16384, /* likewise */
    NS_PER_MS = 1000000,
    NS_PER_US = 1000
};

static uint64_t slept_so_far(const struct conn *conn) {
    const struct metrics_slot *metrics = worker_metrics(conn_worker(conn));
    return atomic_load_explicit(&metrics->counters[METRICS_LOCK_WAIT_NS], memory_order_relaxed);
}

static const struct config *config_of(const struct conn *conn) {
    return worker_config(conn_worker(conn));
}

void timing_begin(struct timing *timing, struct conn *conn) {
    timing->conn = conn;
    timing->slot = worker_latency(conn_worker(conn));
    timing->threshold = config_of(conn)->slowlog_threshold * NS_PER_MS;
    timing->came_us = conn_request_age(conn) * 1000;
}

void timing_start(struct timing *timing) {
    timing->mark = latency_now();
    timing->slept = slept_so_far(timing->conn);
}

bool timing_is_alone(const struct timing *timing, const struct command_call *call) {
    const unsigned flags = COMMAND_LONG | COMMAND_TIMED | COMMAND_AFTER | COMMAND_WHOLE;
    if (timing->threshold == 0) return true;
    return (call->command != NULL && (call->command->flags & flags) != 0) || call->request->argc > WORDS_FEW ||
           call->request->size > BYTES_FEW;
}

/* ---- what was slow -------------------------------------------------------------------------------------- */

/* How long the loop's turn had been going at BEGAN. */
static uint64_t turn_age(const struct conn *conn, uint64_t began) {
    uint64_t turn = worker_now(conn_worker(conn)) * NS_PER_MS;
    return began > turn ? began - turn : 0;
}

/* EXEC is skipped in Redis, where its commands are logged one by one; here they are one. */
static bool is_skipped(const struct command *command) {
    return (command->flags & COMMAND_SKIP_SLOWLOG) != 0 && command->run != cmd_exec;
}

/* An entry of CALL's words that began at BEGAN, waiting for its times. */
static struct slowlog_entry *make_entry(struct conn *conn, const struct command_call *call, uint64_t began) {
    struct client *client = conn_client(conn);
    const char *name = client_word(client, CLIENT_NAME);
    bool secret = (call->command->flags & COMMAND_NO_AUTH) != 0;
    struct slowlog_entry *entry = slowlog_entry_new(call->request, strobe_slice_make(name, strlen(name)), secret);
    if (entry == NULL) return NULL;
    entry->time_s = (clock_wall_ms() - (latency_now() - began) / NS_PER_MS) / 1000;
    entry->commands = 1;
    entry->conn = conn_id(conn);
    memcpy(entry->peer, client->peer, sizeof entry->peer);
    return entry;
}

/* Puts ENTRY, which took BUSY nanoseconds and slept for SLEPT of them, into the log. */
static void keep(struct conn *conn, struct slowlog_entry *entry, uint64_t busy, uint64_t slept) {
    entry->ended_ns = latency_now();
    entry->duration_us = busy / NS_PER_US;
    entry->phases[SLOWLOG_LOCK] = slept / NS_PER_US;
    entry->phases[SLOWLOG_EXECUTE] = (busy - (slept < busy ? slept : busy)) / NS_PER_US;
    entry->phases[SLOWLOG_FLUSH] = SLOWLOG_NOT_FLUSHED;
    slowlog_add(services_slowlog(worker_services(conn_worker(conn))), entry, config_of(conn)->slowlog_length);
    conn_tell_flushed(conn);
}

static void note_event(const struct conn *conn, const struct command *command, uint64_t busy) {
    enum latency_event event =
        (command->flags & COMMAND_FAST) != 0 ? LATENCY_EVENT_FAST_COMMAND : LATENCY_EVENT_COMMAND;
    latency_event_add(services_latency(worker_services(conn_worker(conn))), event, busy / NS_PER_MS);
}

/* The COUNT calls from CALL on took BUSY nanoseconds together; the first of them that ran stands for all. */
static void note_slow(struct timing *timing, const struct command_call *call, size_t count, uint64_t busy,
                      uint64_t slept) {
    struct conn *conn = timing->conn;
    while (count > 1 && !call->ran) {
        call++;
        count--;
    }
    if (!call->ran) return;
    note_event(conn, call->command, busy);
    if (is_skipped(call->command) || config_of(conn)->slowlog_length == 0) return;
    struct slowlog_entry *entry = make_entry(conn, call, timing->mark);
    if (entry == NULL) return;
    entry->commands = count;
    entry->phases[SLOWLOG_REQUEST] = timing->came_us;
    entry->phases[SLOWLOG_LOOP] = turn_age(conn, timing->mark) / NS_PER_US;
    keep(conn, entry, busy, slept);
}

/* Counts the calls, of NS nanoseconds each, in their histograms; neighbours of one row at once. */
static void count_calls(struct latency_slot *slot, const struct command_call *calls, size_t count, uint64_t ns) {
    unsigned bucket = latency_bucket(ns);
    for (size_t i = 0; i < count;) {
        const struct command *command = calls[i].command;
        uint64_t ran = 0;
        for (; i < count && calls[i].command == command; i++) ran += calls[i].ran;
        if (ran > 0) latency_add(slot, command_number(command), bucket, ran, ns);
    }
}

void timing_end(struct timing *timing, const struct command_call *calls, size_t count) {
    if (count == 0) return;
    uint64_t now = latency_now(), busy = now - timing->mark, slept = slept_so_far(timing->conn);
    count_calls(timing->slot, calls, count, busy / count);
    if (busy >= timing->threshold) note_slow(timing, calls, count, busy, slept - timing->slept);
    timing->mark = now;
    timing->slept = slept;
    timing->came_us = 0;
}

/* ---- jobs ----------------------------------------------------------------------------------------------- */

void timing_job_begin(struct timing *timing, struct timing_job *job, const struct command_call *call) {
    struct conn *conn = timing->conn;
    uint64_t now = latency_now();
    *job = (struct timing_job){
        .command = call->command, .busy = now - timing->mark, .slept = slept_so_far(conn) - timing->slept, .mark = now};
    job->entry = make_entry(conn, call, timing->mark);
    if (job->entry == NULL) return;
    job->entry->phases[SLOWLOG_REQUEST] = timing->came_us;
    job->loop = turn_age(conn, timing->mark);
}

struct timing_slice timing_slice_begin(struct timing_job *job, struct conn *conn, bool waited_for_peer) {
    struct timing_slice slice = {latency_now(), slept_so_far(conn)};
    *(waited_for_peer ? &job->peer : &job->loop) += slice.began - job->mark;
    return slice;
}

void timing_slice_end(struct timing_job *job, struct conn *conn, struct timing_slice slice) {
    job->mark = latency_now();
    job->busy += job->mark - slice.began;
    job->slept += slept_so_far(conn) - slice.slept;
}

void timing_job_end(struct timing_job *job, struct conn *conn) {
    struct slowlog_entry *entry = job->entry;
    const struct config *config = config_of(conn);
    job->entry = NULL;
    latency_add(worker_latency(conn_worker(conn)), command_number(job->command), latency_bucket(job->busy), 1,
                job->busy);
    if (job->busy < config->slowlog_threshold * NS_PER_MS) {
        free(entry);
        return;
    }
    note_event(conn, job->command, job->busy);
    if (entry == NULL || is_skipped(job->command) || config->slowlog_length == 0) {
        free(entry);
        return;
    }
    entry->phases[SLOWLOG_LOOP] = job->loop / NS_PER_US;
    entry->taken_us = job->peer / NS_PER_US;
    keep(conn, entry, job->busy, job->slept);
}

void timing_flushed(struct conn *conn) {
    slowlog_flushed(services_slowlog(worker_services(conn_worker(conn))), conn_id(conn), latency_now());
}

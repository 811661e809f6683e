/* services.h - what a handler may use besides the map: a handful of pointers to opaque things, and long work.
 *
 * Made by server.c before the first worker runs, the same until after the last one ended. What changes while the
 * server runs (the configuration, the sum of buffers) is behind a function. */
#ifndef STROBE_SERVER_SERVICES_H
#define STROBE_SERVER_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/config.h"

struct attention;
struct clients;
struct command_table;
struct latency;
struct log;
struct metrics;
struct monitors;
struct pause;
struct rollcall;
struct reaper;
struct scans;
struct services;
struct slowlog;
struct strobe_map;
struct strobe_snapshot;
struct worker;

/* Any thread; all borrowed until the end of the process. */
struct strobe_map *services_map(const struct services *services);
struct scans *services_scans(const struct services *services);
const struct command_table *services_commands(const struct services *services);
struct clients *services_clients(const struct services *services);
struct metrics *services_metrics(const struct services *services);
struct latency *services_latency(const struct services *services);
struct slowlog *services_slowlog(const struct services *services);
struct log *services_log(const struct services *services);
struct pause *services_pause(const struct services *services);
struct monitors *services_monitors(const struct services *services);
const struct attention *services_attention(const struct services *services);
unsigned services_threads(const struct services *services);
struct worker *services_worker(const struct services *services, unsigned index);
const char *services_version(void);                                /* "0.1.0" */
const char *services_config_path(const struct services *services); /* absolute, "" without --config */
const char *services_executable(const struct services *services);  /* absolute */

/* Bytes that the allocator had given out when the server was ready to run. */
uint64_t services_startup_memory(const struct services *services);

/* The ports that were bound, 0 for a protocol that is off. */
uint32_t services_port(const struct services *services); /* the text protocol's */
uint32_t services_http_port(const struct services *services);

/* The configuration as of now. One that was replaced stays valid until this loop's next event. The thread of a loop, or
 * before there are any. */
const struct config *services_config(const struct services *services);

/* Connections at the same time: max-clients, or what the limit on descriptors leaves of it. Any thread. */
uint64_t services_clients_max(const struct services *services);

/* Runs RUN(ARGUMENT) on libuv's thread pool, for work that may take long and waits for nobody (closing a snapshot,
 * freeing a flushed map). ARGUMENT is taken. Always runs it, once: during the stop, or without memory, on the calling
 * or the stopping thread. Any thread. */
void services_defer(struct services *services, void (*run)(void *argument), void *argument);

/* Returns when nothing that commands have freed waits any more to be given back. It takes its time: not on a loop. */
void services_settle_memory(struct services *services);

/* The same for strobe_snapshot_close: it may have much to free. SNAPSHOT is taken. */
void services_close_snapshot(struct services *services, struct strobe_snapshot *snapshot);

/* The same for strobe_map_maintain, until strobe_map_owes no more. Asked for again meanwhile, nothing is added. */
void services_maintain_map(struct services *services);

/* Bytes in buffers of all connections, changed by DELTA; returns the new sum. Any thread. */
size_t services_buffers_add(struct services *services, ptrdiff_t delta);
size_t services_buffers(const struct services *services);

/* ---- what concerns all loops ---------------------------------------------------------------- */

/* Asks every loop to come by, take over the configuration and close its connections that are marked as killed; gives
 * the number of the call. Any thread. */
uint64_t services_call_roll(struct services *services);

/* Have all loops come by since? Any thread; those who wait are woken when it changes. */
bool services_roll_is_done(struct services *services, uint64_t number);

/* The latest call; loop INDEX has come by since call NUMBER. Its thread. */
uint64_t services_latest_call(struct services *services);
void services_answer_roll(struct services *services, unsigned index, uint64_t number);

/* Jobs that wait, on all loops, look again. Any thread. */
void services_wake(struct services *services);

/* Stops the server in order, as SIGTERM does. Any thread; returns at once. */
void services_ask_stop(struct services *services);

/* One at a time reads the configuration in force, and puts another in its place. Any thread. */
void services_lock_config(struct services *services);
void services_unlock_config(struct services *services);

/* ---- for server.c --------------------------------------------------------------------------- */

/* What services are made of; all borrowed for their life, but CONFIG, which is taken. */
struct services_parts {
    struct strobe_map *map;
    const struct command_table *commands;
    struct clients *clients;
    struct metrics *metrics;
    struct latency *latency;
    struct slowlog *slowlog;
    struct log *log;
    struct config *config;
    const char *config_path; /* as it was given, or NULL */
    struct reaper *reaper;   /* of the map's memory, or NULL */
    unsigned threads;
};

/* Owned by the caller; NULL without memory, and then CONFIG was not taken. */
struct services *services_new(const struct services_parts *parts);

/* Frees, with the configurations that are left. */
void services_free(struct services *services);

/* What exists only after the services do. */
void services_set_scans(struct services *services, struct scans *scans);
void services_set_worker(struct services *services, unsigned index, struct worker *worker);
void services_set_ports(struct services *services, uint32_t port, uint32_t http_port);

/* Another configuration (taken) from now on; calls the roll, so that the loops take it over. Under the lock of the
 * configuration. The thread of a loop.
 * Results: false without memory, and the old one stays. */
bool services_set_config(struct services *services, struct config *config);

/* See services_clients_max. Any thread. */
void services_set_clients_max(struct services *services, uint64_t most);

/* Starts and ends taking deferred work on worker 0's loop. After the end it runs where it is deferred. Results: 0,
 * or a uv error. Worker 0's thread, or before it runs. */
int services_open(struct services *services);

/* What services_ask_stop() has called, once, on worker 0's thread. Before the loops run. */
void services_on_stop(struct services *services, void (*stop)(void *context), void *context);

/* The server stops: nothing waits for other loops or the end of a pause any more. */
void services_end_waits(struct services *services);

void services_close(struct services *services);

#endif

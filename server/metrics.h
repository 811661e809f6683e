/* metrics.h - what the server counts: one slot of counters a worker, on cache lines of its own.
 *
 * A slot is written by its worker's thread alone, with plain adds that no other core waits for, and read by any
 * thread that wants a sum. A sum is not one instant: two counters in it may differ by what happened meanwhile.
 * Counters only grow and start at zero with the process. Gauges are differences (open = accepted - closed).
 */
#ifndef STROBE_SERVER_METRICS_H
#define STROBE_SERVER_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows that fit; command.c and conn.c hold their tables to these with static_assert. */
enum { METRICS_COMMANDS_MAX = 256, METRICS_REASONS_MAX = 32 };

/* The ways in, in the order of the arrays below. */
#define METRICS_DOOR_LIST(X) \
    X(RESP, "resp")          \
    X(UNIX, "unix")          \
    X(HTTP, "http")

/* Counters without a further index: name, Prometheus family, its label, what it counts.
 * Members of one family stand together. */
#define METRICS_COUNTER_LIST(X)                                                                               \
    X(BYTES_IN, "strobe_net_bytes_total", "direction=\"in\"", "Bytes read from and written to peers")         \
    X(BYTES_OUT, "strobe_net_bytes_total", "direction=\"out\"", "")                                           \
    X(HITS, "strobe_keyspace_reads_total", "result=\"hit\"", "Keys looked up for reading")                    \
    X(MISSES, "strobe_keyspace_reads_total", "result=\"miss\"", "")                                           \
    X(PROTOCOL_ERRORS, "strobe_protocol_errors_total", "", "Requests that were not RESP or not HTTP")         \
    X(UNKNOWN_COMMANDS, "strobe_commands_unknown_total", "", "Requests for commands that there are not")      \
    X(REFUSED_CLIENTS, "strobe_connections_refused_total", "", "Connections over max-clients")                \
    X(READS, "strobe_socket_calls_total", "call=\"read\"", "Reads and writes of sockets")                     \
    X(WRITES, "strobe_socket_calls_total", "call=\"write\"", "")                                              \
    X(NAPS, "strobe_loop_naps_total", "", "Sleeps of some 80 us of busy loops, to find several requests")     \
    X(LOCK_WAIT_NS, "strobe_lock_wait_nanoseconds_total", "", "Time off the processor, waiting for shards")   \
    X(STREAMS, "strobe_http_streams_total", "end=\"all\"", "Streams of whole snapshots begun, and cut short") \
    X(STREAMS_CUT, "strobe_http_streams_total", "end=\"cut\"", "")

/* HTTP methods that are counted apart. */
#define METRICS_METHOD_LIST(X) \
    X(GET, "GET")              \
    X(HEAD, "HEAD")            \
    X(PUT, "PUT")              \
    X(POST, "POST")            \
    X(DELETE, "DELETE")        \
    X(OTHER, "other")

enum metrics_door {
#define METRICS_DOOR_ENUM(name, text) METRICS_DOOR_##name,
    METRICS_DOOR_LIST(METRICS_DOOR_ENUM)
#undef METRICS_DOOR_ENUM
        METRICS_DOORS
};

enum metrics_counter {
#define METRICS_COUNTER_ENUM(name, family, label, help) METRICS_##name,
    METRICS_COUNTER_LIST(METRICS_COUNTER_ENUM)
#undef METRICS_COUNTER_ENUM
        METRICS_COUNTERS
};

enum metrics_method {
#define METRICS_METHOD_ENUM(name, text) METRICS_METHOD_##name,
    METRICS_METHOD_LIST(METRICS_METHOD_ENUM)
#undef METRICS_METHOD_ENUM
        METRICS_METHODS
};

/* Indexes of the arrays: commands by row of the command table, closes by reason of conn.h,
 * HTTP replies by the first digit of the status. TYPE is uint64_t, atomic in a slot and plain in a sum. */
#define METRICS_FIELDS(TYPE)                    \
    TYPE counters[METRICS_COUNTERS];            \
    TYPE accepted[METRICS_DOORS];               \
    TYPE closed[METRICS_DOORS];                 \
    TYPE http_requests[METRICS_METHODS];        \
    TYPE http_replies[6];                       \
    TYPE closes[METRICS_REASONS_MAX];           \
    TYPE commands[METRICS_COMMANDS_MAX];        \
    TYPE commands_failed[METRICS_COMMANDS_MAX]; \
    TYPE commands_rejected[METRICS_COMMANDS_MAX];

/* The counters of one worker. */
struct metrics_slot {
    METRICS_FIELDS(_Atomic uint64_t)
} __attribute__((aligned(64)));

/* The counters of all workers added up. */
struct metrics_sum {
    METRICS_FIELDS(uint64_t)
};

/* The counters of the server: a slot for each worker, and when it started. */
struct metrics;

/* Makes WORKERS slots of zeros, started at START_MS (wall clock). Owned by the caller; NULL without memory. */
struct metrics *metrics_new(unsigned workers, uint64_t start_ms);
void metrics_free(struct metrics *metrics);

/* The slot of worker number INDEX (0 to workers - 1), for that worker's thread to write. Lives as long as METRICS. */
struct metrics_slot *metrics_slot(struct metrics *metrics, unsigned index);

/* When the server started, in milliseconds since 1970 UTC. Any thread. */
uint64_t metrics_start_ms(const struct metrics *metrics);

/* Adds all slots up into *SUM. Any thread. */
void metrics_add_up(const struct metrics *metrics, struct metrics_sum *sum);

/* CONFIG RESETSTAT: metrics_since_reset counts from here on; EXPIRED is how many entries had expired. The counters
 * themselves go on, as those who read /metrics expect. Any thread. */
void metrics_reset(struct metrics *metrics, uint64_t expired);

/* As metrics_add_up, but since the last reset; takes from *EXPIRED what had expired by then. Any thread. */
void metrics_since_reset(struct metrics *metrics, struct metrics_sum *sum, uint64_t *expired);

/* The sum over one array of a struct metrics_sum, for those who want a single figure. */
uint64_t metrics_total(const uint64_t *counts, size_t count);

/* Adds N to a counter of the calling worker's own slot. Relaxed: a count orders nothing else, and the slot has
 * one writer, so that no locked instruction is needed. */
static inline void metrics_add(_Atomic uint64_t *counter, uint64_t n) {
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

/* Counts one of the plain counters: metrics_count(slot, METRICS_HITS, 1). */
static inline void metrics_count(struct metrics_slot *slot, enum metrics_counter which, uint64_t n) {
    metrics_add(&slot->counters[which], n);
}

/* Counts one call of the command in ROW of the command table. FAILED: its reply is an error. */
static inline void metrics_command(struct metrics_slot *slot, unsigned row, bool failed) {
    metrics_add(&slot->commands[row], 1);
    if (failed) metrics_add(&slot->commands_failed[row], 1);
}

/* Counts a request for the command in ROW that was refused before it ran, which is no call. */
static inline void metrics_rejected(struct metrics_slot *slot, unsigned row) {
    metrics_add(&slot->commands_rejected[row], 1);
}

#endif

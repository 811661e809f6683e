/* tally.h - what was counted: requests by kind, and what went wrong. A thread has its own; they are added up after. */
#ifndef STROBE_CLIENTS_BENCH_TALLY_H
#define STROBE_CLIENTS_BENCH_TALLY_H

#include <stdint.h>

#include "clients/bench/histogram.h"
#include "protocol/slice.h"

/* What a request is; a recipe and a histogram each. */
#define LOAD_KINDS(X) \
    X(GET, "get")     \
    X(SET, "set")     \
    X(COMMAND, "command")

enum load_kind {
#define LOAD_KIND_ENUM(name, text) LOAD_##name,
    LOAD_KINDS(LOAD_KIND_ENUM)
#undef LOAD_KIND_ENUM
        LOAD_KINDS_COUNT
};

/* What can go wrong: its name in JSON, and what it is in words. Each is a reason to end with 1. */
#define TALLY_FAULTS(X)                                                                              \
    X(ERROR, "error_replies", "error replies")                                                       \
    X(WRONG, "wrong_values", "values that were not what was set")                                    \
    X(MISSING, "missing_keys", "keys that were set before and not found")                            \
    X(MALFORMED, "malformed_replies", "replies that were none, or none to what was asked")           \
    X(LOST, "lost_connections", "connections lost, or not answered on in time, or not opened again") \
    X(UNANSWERED, "unanswered_requests", "requests on the way when a connection was lost")           \
    X(UNSENT, "unsent_requests", "requests that were due at the rate and never sent")                \
    X(SCAN, "scan_faults", "scans that were not whole, or failed")

enum tally_fault {
#define TALLY_FAULT_ENUM(name, field, text) TALLY_##name,
    TALLY_FAULTS(TALLY_FAULT_ENUM)
#undef TALLY_FAULT_ENUM
        TALLY_FAULTS_COUNT
};

enum { TALLY_TEXT = 200 };

/* Times in nanoseconds, CLOCK_MONOTONIC; UINT64_MAX and 0 when nothing was done. */
struct tally {
    uint64_t started, ended;
    uint64_t cpu;            /* processor time */
    uint64_t sent, received; /* bytes */
    uint64_t hits, misses;   /* keys asked for */
    uint64_t intended;       /* requests that were due, at a fixed rate */
    uint64_t faults[TALLY_FAULTS_COUNT];
    char first_fault[TALLY_TEXT]; /* the words of the first, NUL-terminated; "" when there was none */
    struct histogram latency[LOAD_KINDS_COUNT];
    struct histogram lag; /* how late requests were sent, at a fixed rate */
};

/* Empties TALLY. */
void tally_init(struct tally *tally);

/* Adds all of FROM. */
void tally_merge(struct tally *tally, const struct tally *from);

/* Counts FAULT, COUNT times, and keeps WORDS (any bytes, borrowed until return) when it is the first. */
void tally_fault(struct tally *tally, enum tally_fault fault, uint64_t count, struct strobe_slice words);

/* All faults together. */
uint64_t tally_faults(const struct tally *tally);

/* Requests that were answered. */
uint64_t tally_requests(const struct tally *tally);

#endif

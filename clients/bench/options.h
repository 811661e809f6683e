/* options.h - what strobe-bench was asked to do. */
#ifndef STROBE_CLIENTS_BENCH_OPTIONS_H
#define STROBE_CLIENTS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "clients/bench/keys.h"

#define BENCH_DOORS(X) \
    X(RESP, "resp")    \
    X(HTTP, "http")    \
    X(MEMCACHED, "memcached")

enum bench_door {
#define BENCH_DOOR_ENUM(name, text) BENCH_##name,
    BENCH_DOORS(BENCH_DOOR_ENUM)
#undef BENCH_DOOR_ENUM
};

/* "resp". */
const char *options_door_name(enum bench_door door);

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* Room for the text of any error. */
enum { OPTIONS_ERROR_TEXT = 256 };

/* A size of values, in bytes. */
struct bench_size {
    uint64_t least, most;
};

struct bench_ratio {
    uint64_t gets, sets;
};

/* 0 and NULL mean "none". Texts are borrowed from the arguments. */
struct bench_options {
    const char *host;
    uint64_t port;
    const char *unix_socket;
    enum bench_door door;
    const char *http_path;
    struct bench_ratio ratio;
    const char *command;
    uint64_t clients, threads, pipeline;
    uint64_t requests;     /* of the measured load; 0 when time ends it */
    uint64_t time, warmup; /* milliseconds */
    uint64_t rate;         /* requests a second */
    uint64_t keys, key_minimum;
    const char *key_prefix;
    uint64_t key_size;
    enum keys_dist dist;
    struct bench_size size;
    uint64_t ttl; /* milliseconds */
    bool prefill, check;
    uint64_t scan_count; /* of --scan-beside */
    bool scan_values;
    uint64_t timeout; /* milliseconds */
    bool json, quiet, progress;
};

/* Reads ARGV (borrowed as long as OPTIONS are used). False: ERROR says what was expected. *ACTION and, for RUN,
 * OPTIONS are set otherwise. */
bool options_read(int argc, char **argv, enum options_action *action, struct bench_options *options,
                  char error[OPTIONS_ERROR_TEXT]);

/* Every option with its default. */
void options_print_help(FILE *file);

#endif

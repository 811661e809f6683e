/* clients.h - who is connected, over all loops: what CLIENT LIST shows.
 *
 * A struct client is part of its connection. Its own worker writes it; any thread reads it through clients_visit(),
 * under the registry's lock. Words (name, library) change under that lock; figures are relaxed atomics, so that a
 * request costs plain stores. */
#ifndef STROBE_SERVER_CLIENTS_H
#define STROBE_SERVER_CLIENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/slice.h"

struct clients;

/* Words that a client says about itself, and the most bytes each may have. */
enum client_word { CLIENT_NAME, CLIENT_LIB_NAME, CLIENT_LIB_VER, CLIENT_WORDS };
enum { CLIENT_WORD_MAX = 1024, CLIENT_ADDRESS_TEXT = 64 };

/* What is said of a client in one letter, but for CLIENT_KILLED, which its loop obeys when it comes by. */
enum client_mark {
    CLIENT_KILLED = 1,
    CLIENT_MONITORS = 2,
    CLIENT_WAITS = 4, /* for the end of a pause */
    CLIENT_NO_EVICT = 8,
    CLIENT_NO_TOUCH = 16
};

struct client {
    struct client *next, *previous; /* the registry's, in the order of ids */
    uint64_t id;
    uint64_t since_ms; /* wall clock */
    const char *door;  /* "resp", "http" */
    unsigned loop;     /* index of its worker */
    int fd;
    char peer[CLIENT_ADDRESS_TEXT]; /* "127.0.0.1:4711", "[::1]:4711", "/run/strobe.sock:0" cut to fit */
    char local[CLIENT_ADDRESS_TEXT];
    char *words[CLIENT_WORDS];  /* owned, NUL-terminated; NULL: not said */
    _Atomic uint64_t active_ms; /* when it last sent something, wall clock */
    _Atomic uint64_t commands;  /* executed */
    _Atomic uint64_t bytes_in, bytes_out;
    /* Bytes, as of the last time it was looked at. */
    _Atomic size_t input_memory, input_held, output_memory, output_held;
    _Atomic size_t memory; /* all it holds: both buffers, large words on their way, what MULTI queued, its job */
    _Atomic(const char *) command; /* the last one's name, a literal; NULL: none yet */
    _Atomic unsigned resp;         /* 2 or 3 */
    _Atomic int waiting;           /* commands that wait for EXEC; -1: MULTI was not said */
    _Atomic unsigned marks;        /* enum client_mark; relaxed, KILLED is set by others */
};

struct clients *clients_new(void); /* owned by the caller; NULL without memory */
void clients_free(struct clients *clients);

/* Gives CLIENT the next id and puts it on the list; takes it off. Its worker's thread. CLIENT is borrowed in
 * between. */
void clients_add(struct clients *clients, struct client *client);
void clients_remove(struct clients *clients, struct client *client);

/* How many there are now. Any thread. */
size_t clients_count(const struct clients *clients);

/* Shows VISIT each client in the order of ids, under the lock: no waiting, no calls back into here, and nothing is
 * changed but marks. Any thread. Stops when VISIT answers false. */
void clients_visit(struct clients *clients, bool (*visit)(void *context, struct client *client), void *context);

/* Says a word (copied; empty: forgets it). The client's own thread. Results: false without memory. Check the bytes
 * before: printable, no spaces, at most CLIENT_WORD_MAX. */
bool client_say(struct clients *clients, struct client *client, enum client_word which, struct strobe_slice word);

/* The word, "" when it was not said. The client's own thread, or inside a visit. */
const char *client_word(const struct client *client, enum client_word which);

static inline bool client_has(const struct client *client, enum client_mark mark) {
    return (atomic_load_explicit(&client->marks, memory_order_relaxed) & (unsigned)mark) != 0;
}

/* Sets MARK, or takes it away. Any thread that knows the client to be there. */
static inline void client_mark(struct client *client, enum client_mark mark, bool on) {
    if (on) {
        atomic_fetch_or_explicit(&client->marks, (unsigned)mark, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(&client->marks, ~(unsigned)mark, memory_order_relaxed);
    }
}

/* After a batch: the last command's NAME (a literal) and how many were executed. The client's own thread. */
static inline void client_did(struct client *client, const char *name, uint64_t count) {
    atomic_store_explicit(&client->command, name, memory_order_relaxed);
    atomic_store_explicit(&client->commands, atomic_load_explicit(&client->commands, memory_order_relaxed) + count,
                          memory_order_relaxed);
}

#endif

/* conn.h - a connection under load: it builds requests, writes them, and reads replies through its door.
 *
 * It belongs to one worker, and to the worker's thread. */
#ifndef STROBE_CLIENTS_BENCH_CONN_H
#define STROBE_CLIENTS_BENCH_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "clients/bench/tally.h"
#include "clients/bench/values.h"
#include "protocol/slice.h"

struct worker;

/* Bytes that a door may leave unused of a read: the longest line or head of a reply. */
enum { CONN_CARRY_MAX = 16384, CONN_OUT = 128 * 1024, CONN_IN = 256 * 1024, CONN_PIECES = 64 };

/* A request without a reply. */
struct pending {
    uint64_t at; /* when it was sent, or should have been: nanoseconds of CLOCK_MONOTONIC */
    enum load_kind kind;
};

/* A reply half read. */
struct reply {
    uint64_t body;      /* bytes of the value, or of the chunk, still to come */
    uint64_t items;     /* replies still to come inside of arrays */
    uint32_t line_ends; /* bytes of the CR LF behind the value still to come; not 0: a value is under way */
    uint32_t step;      /* http_load.c's */
    size_t key;         /* which of the request's keys is next */
    bool checks;        /* of the value under way */
    bool last;          /* its head says that the server closes behind it */
    bool closes;        /* and it is whole: nothing more comes */
    struct value_check check;
};

/* What is built and not yet written, and the request that is half built. */
struct output {
    char *bytes; /* owned: CONN_OUT */
    size_t len;
    struct iovec pieces[CONN_PIECES]; /* of bytes, of recipes, of the block of values */
    size_t piece, piece_count;        /* [piece, piece_count) are to be written */
    uint64_t to_build;                /* requests that are not begun */
    bool building;                    /* one is: */
    bool has_value;                   /* value is made */
    bool in_body;                     /* value's head is written */
    enum load_kind kind;
    size_t part, key, slot;
    struct value value;
    uint64_t body_left;
    size_t body_at;
};

struct conn {
    struct worker *worker; /* borrowed */
    int fd;                /* -1: not open */
    bool waits_for_room;   /* epoll is asked for EPOLLOUT */
    bool answered;         /* a reply came since it was opened */
    uint64_t progress;     /* when it last sent or received */
    uint64_t share, taken; /* at a fixed rate: requests that are its own, and how many of them it was given */

    struct pending *pending; /* owned ring of depth */
    uint64_t *numbers;       /* owned: the keys of each, keys_each apart */
    size_t depth, keys_each;
    size_t first, waiting; /* requests without a reply */

    char *carry; /* owned: CONN_CARRY_MAX; what a read left over */
    size_t carried;
    struct reply reply;
    struct output out;
};

/* Makes CONN, not yet open, with room for DEPTH requests on the way. False: no memory; conn_fini() in any case. */
bool conn_init(struct conn *conn, struct worker *worker, size_t depth, size_t keys_each);
void conn_fini(struct conn *conn);

/* Connects, and has the worker's epoll look at it. False: errno says why. */
bool conn_open(struct conn *conn);

/* Does it wait for a reply, or have a request to send? */
static inline bool conn_busy(const struct conn *conn) {
    return conn->waiting > 0 || conn->out.to_build > 0;
}

/* Sends what is to be built, as far as the socket takes it. */
void conn_write(struct conn *conn);

/* Reads once, and sends what became due by it. */
void conn_read(struct conn *conn);

/* Gives the connection up for WORDS: counts it and what was on the way, and opens it again if it was ever answered. */
void conn_lose(struct conn *conn, struct strobe_slice words);

/* ---- for the doors ---------------------------------------------------------------------------------- */

#define CONN_BROKEN ((size_t)-1)

/* The request whose reply is read; only while conn->waiting is not 0. */
static inline enum load_kind conn_kind(const struct conn *conn) {
    return conn->pending[conn->first].kind;
}

/* Counts FAULT, with WORDS if it is the first of all. */
void conn_fault(struct conn *conn, enum tally_fault fault, struct strobe_slice words);

/* A value of SIZE bytes begins, in answer to the next key of the request; LEN bytes of it; and its end. */
void conn_value_begin(struct conn *conn, uint64_t size);
static inline void conn_value_feed(struct conn *conn, const char *data, size_t len) {
    conn->reply.body -= len;
    if (conn->reply.checks) value_check_feed(&conn->reply.check, data, len);
}
void conn_value_end(struct conn *conn);

/* Reads replies made of lines and of values that end in CR LF, for a door's replies(): READ_LINE gets each line without
 * its end, and answers whether it is one; it begins a value by conn_value_begin() and reply.line_ends = 2, and
 * VALUE_DONE (or NULL) is called behind it. */
size_t conn_read_lines(struct conn *conn, const char *data, size_t len,
                       bool (*read_line)(struct conn *conn, struct strobe_slice line),
                       void (*value_done)(struct conn *conn));

/* The next key of the request is not there. */
void conn_missed(struct conn *conn);

/* The reply is whole: counts it; the next bytes are the next one's. */
void conn_replied(struct conn *conn);

#endif

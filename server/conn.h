/* conn.h - one connection: bytes in, a door that understands them, bytes out.
 *
 * A connection lives on one worker and is touched by that worker's thread alone. It is an open stream with an
 * unread tail, a chain of replies, and a *door*: the const table of functions that knows what the bytes mean.
 * A door never closes, reads, writes or waits itself; it answers what shall happen, and the connection does it.
 *
 *     bytes -> door->input(conn, state, bytes, &used) -> MORE | PAUSE | CLOSE | LINGER
 *                    |
 *                    +-> conn_out(conn): replies, written when input returns, small ones with those of the other
 *                        connections in the same turn of the loop; the rest as the peer takes it
 *
 * No function here frees the connection or calls the door back before the door has returned.
 */
#ifndef STROBE_SERVER_CONN_H
#define STROBE_SERVER_CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/buf.h"
#include "protocol/slice.h"
#include "server/clients.h"
#include "server/metrics.h"

struct conn;
struct worker;
struct worker_links;

/* Why connections close: name, text for logs and metrics. Counted in metrics_slot.closes[]. */
#define CONN_REASON_LIST(X)                                                         \
    X(EOF, "eof")                     /* the peer was done, and got every reply */  \
    X(QUIT, "quit")                   /* the peer asked for it */                   \
    X(RESET, "reset")                 /* the peer broke the connection */           \
    X(PROTOCOL, "protocol-error")     /* its bytes cannot be trusted */             \
    X(REQUEST_LIMIT, "request-limit") /* a request larger than allowed */           \
    X(REPLY_LIMIT, "reply-limit")     /* its replies passed max-reply-buffer */     \
    X(BUFFER_LIMIT, "buffer-limit")   /* the largest when max-buffers was passed */ \
    X(NO_MEMORY, "no-memory")                                                       \
    X(IDLE, "idle-timeout")                                                         \
    X(SLOW, "request-timeout")   /* half a request, then nothing */                 \
    X(STALLED, "stalled-reader") /* a stream or a last reply nobody reads */        \
    X(MAX_CLIENTS, "max-clients")                                                   \
    X(HTTP_DONE, "http-done") /* HTTP said Connection: close */                     \
    X(FAILED, "failed")       /* a stream could not be finished */                  \
    X(KILLED, "killed")       /* CLIENT KILL */                                     \
    X(SHUTDOWN, "shutdown")   /* the server stops */

enum conn_reason {
#define CONN_REASON_ENUM(name, text) CONN_REASON_##name,
    CONN_REASON_LIST(CONN_REASON_ENUM)
#undef CONN_REASON_ENUM
        CONN_REASONS
};

_Static_assert((int)CONN_REASONS <= (int)METRICS_REASONS_MAX, "metrics has a row for each reason");

const char *conn_reason_text(enum conn_reason reason);

/* ---- doors ---------------------------------------------------------------------------------- */

/* What a door wants after looking at its input. */
enum conn_answer {
    CONN_MORE,  /* read on; what was not used comes again with more behind it */
    CONN_PAUSE, /* stop here: come again with the unused bytes when the replies have drained, other connections
                    have had a turn, and the job (conn_work), if one was started, is done */
    CONN_CLOSE, /* send all replies, then close; conn_why() said the reason */
    CONN_LINGER /* the same, for a peer that may still be sending: shut the sending side, read and drop at most
                    STROBE_LINGER_MAX bytes or 1 s, then close */
};

/* How much of a request has come, for request-timeout. */
enum conn_half {
    CONN_HALF_NONE, /* between requests: only idle-timeout applies */
    CONN_HALF_HEAD, /* must be whole within request-timeout of its first byte */
    CONN_HALF_BODY  /* must not pause for longer than request-timeout */
};

enum { CONN_BEHIND = 8 /* see struct door's room */ };

struct door {
    const char *name; /* "resp", for logs and CLIENT LIST */
    enum metrics_door metric;
    size_t state_size; /* bytes of state per connection, zeroed before open, aligned to 16 */

    /* Starts STATE. Results: false when there is no memory (the connection closes; `close` is not called). */
    bool (*open)(struct conn *conn, void *state);

    /* Ends STATE. Called once, when nothing else of the connection runs any more. */
    void (*close)(struct conn *conn, void *state);

    /* Executes the complete requests at the start of INPUT (borrowed until return, never empty), and says in *USED
     * how many bytes are done with. Should stop (PAUSE) when conn_full(). After the peer's half-close, when all it
     * sent was executed, the connection flushes and closes by itself. */
    enum conn_answer (*input)(struct conn *conn, void *state, struct strobe_slice input, size_t *used);

    /* Where the next bytes of the peer shall be read to, because *LEN of them (not 0) will stay there: `input` gets
     * these in that place, with nothing in front, and uses them all, or none when it pauses. *BEHIND bytes more
     * (CONN_BEHIND at most) may be read behind them, and are given to `input` afterwards, from elsewhere. Asked when
     * the connection holds no unused ones. NULL, or a function that gives NULL: anywhere. */
    char *(*room)(struct conn *conn, void *state, size_t *len, size_t *behind);

    enum conn_half (*half)(const struct conn *conn, const void *state);

    /* Writes the last answer of a connection that closes for REASON: SLOW (half a request, then silence) or
     * MAX_CLIENTS (it was opened only for this). May write nothing. */
    void (*refuse)(struct conn *conn, void *state, enum conn_reason reason);

    /* Everything written so far was taken by the system; called once after conn_tell_flushed(). Writes nothing. May
     * be NULL for a door that never asks. */
    void (*flushed)(struct conn *conn, void *state);

    /* Bytes of memory that STATE holds beyond state_size, for max-buffers. */
    size_t (*memory)(const void *state);
};

/* The connection's own chain of replies. Borrowed. Written out when the door returns, or by conn_full. */
struct strobe_out *conn_out(struct conn *conn);

/* Are so many replies waiting (STROBE_REPLY_HIGH_WATER) that no more shall be made? Offers them to the socket
 * before it says so; true also when that closed the connection. Ask between requests; answer PAUSE on true. */
bool conn_full(struct conn *conn);

/* With MORE: how many further bytes the unfinished request needs at least, as the peer says (believed only as far
 * as bytes come). Said anew for each input; 1 unless said. */
void conn_want(struct conn *conn, size_t bytes);

/* No request was completed in this input, so that the unfinished one is still the same: its time to be whole runs
 * on. For a door that takes unfinished bytes to itself. */
void conn_same_request(struct conn *conn);

/* The door wants `flushed` when what it wrote so far, or more, is with the system. */
void conn_tell_flushed(struct conn *conn);

/* For how many milliseconds, by the loop's clock, the request that is being looked at has been coming in; 0: it came
 * whole. */
uint64_t conn_request_age(const struct conn *conn);

/* How many bytes of the peer wait in the socket. */
size_t conn_unread(const struct conn *conn);

/* The reason that a CLOSE or LINGER stands for; without it QUIT. */
void conn_why(struct conn *conn, enum conn_reason reason);

/* Closes the connection when the peer takes no byte of what waits for it for TIMEOUT_MS (0: never, how it begins). */
void conn_stall_timeout(struct conn *conn, uint64_t timeout_ms);

/* Does the server stop? Then this request is among the last (HTTP says Connection: close). */
bool conn_stopping(const struct conn *conn);

struct worker *conn_worker(const struct conn *conn);
struct client *conn_client(struct conn *conn); /* its line in CLIENT LIST */
uint64_t conn_id(const struct conn *conn);     /* unique for the life of the process, from 1 */

/* ---- work in slices ------------------------------------------------------------------------- */

/* What one slice of work answers. */
enum conn_step {
    CONN_STEP_AGAIN, /* call again when others have had their turn and the replies are below the low-water mark */
    CONN_STEP_WAIT,  /* the same, but not before conn_wake(), the time of conn_wake_at(), or the stop of the server */
    CONN_STEP_DONE,  /* the job is over; go on with the input */
    CONN_STEP_CLOSE, /* the job is over; send what there is, then close for conn_why() */
    CONN_STEP_ABORT  /* the job is over; close at once for conn_why(), what waits is dropped: a cut stream */
};

/* Work that may take long (KEYS, a stream, a DEL of thousands), done between other connections' requests. While
 * there is one, the connection neither reads nor executes, so replies stay in order. */
struct conn_job {
    enum conn_step (*step)(struct conn *conn, void *context); /* at most some 100 microseconds; writes to conn_out */
    /* Called once after the last step, also when the connection died; frees CONTEXT; writes nothing. */
    void (*drop)(struct conn *conn, void *context);
    size_t (*memory)(const void *context); /* bytes that it holds, for max-buffers; NULL: a few */
    void *context;
};

/* With CONN_STEP_WAIT: wakes by itself at WHEN (loop time), or somewhat later. Said anew for each wait. */
void conn_wake_at(struct conn *conn, uint64_t when);

/* Starts JOB (copied; its context is taken). To be called from `input`, which then answers PAUSE. One at a time. */
void conn_work(struct conn *conn, const struct conn_job *job);

/* ---- for what comes from elsewhere ---------------------------------------------------------- */

/* May something be written that answers no request (MONITOR)? Not in the middle of a job's reply, or at the end. */
bool conn_may_push(const struct conn *conn);

/* Sends what was written to conn_out() outside of the door's functions. May close. */
void conn_flush(struct conn *conn);

/* ---- for worker, listener and clients ------------------------------------------------------- */

union conn_address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* Makes a connection from FD (taken, closed on failure) that came through DOOR, for WORKER, whose thread must call
 * conn_start next. PEER (borrowed) is NULL for a Unix socket. A REFUSED one only gets the door's refusal. Any
 * thread. NULL: no memory. */
struct conn *conn_new(struct worker *worker, const struct door *door, int fd, const union conn_address *peer,
                      bool refused);

/* Starts reading. From here on the connection frees itself. */
void conn_start(struct conn *conn);

/* Closes at once, for REASON. Safe at any moment, twice too. */
void conn_close(struct conn *conn, enum conn_reason reason);

/* One turn of a connection in the worker's ready list: a slice of its job, or its held input. */
void conn_turn(struct conn *conn);

/* The replies that CONN has to send, if they are one run of *BYTES (borrowed until conn_sent) and none is under way.
 * Results: the socket's descriptor; -1 when there are no such replies. Changes nothing. */
int conn_offer(const struct conn *conn, struct strobe_slice *bytes);

/* After worker_answered(): the socket took SENT bytes of what was offered; 0 or less for none, whatever the reason.
 * Sends the rest, or finds out what is wrong with the socket. May close. */
void conn_sent(struct conn *conn, int sent);

/* A job that waits has its next step soon. Otherwise nothing. */
void conn_wake(struct conn *conn);

/* Closes if CLIENT KILL has marked it. */
void conn_obey(struct conn *conn);

/* Acts when a timeout has passed, else sees to it that it is called again when the next one may have. */
void conn_check(struct conn *conn);

/* The server stops: answers what has arrived, flushes, closes. */
void conn_stop(struct conn *conn);

/* Bytes of buffers held, for max-buffers. */
size_t conn_memory(const struct conn *conn);

/* Was it opened only to be refused? */
bool conn_refused(const struct conn *conn);

/* The worker's part of it. */
struct worker_links *conn_links(struct conn *conn);

#endif

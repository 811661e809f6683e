/* conn.c - the states of a connection, and the only place that moves it from one to another.
 *
 *                  replies over the high-water mark, a job, or just a pause
 *       READING ----------------------------------------------> PAUSED / WORKING
 *          |  ^------------------------------------------------------'   drained, then held input, then reads
 *          |
 *          | end of input, QUIT, bad bytes, timeout, the server stops
 *          v
 *       FLUSHING ---(all sent)---> LINGERING ---(end, 1 MiB or 1 s)---> CLOSED ---(loop let go)---> freed
 *           '------(all sent, nothing unread)----------------------------^
 *
 * A read: the unfinished tail is put in front of the loop's read buffer and the new bytes behind it, so that most
 * connections own no input memory between requests; a long tail (more than WORKER_HEADROOM) is read onto in place
 * instead, in a buffer that grows with what has come. A door that knows where the next bytes will stay has them read
 * there (`room`); then the next request is likely to have such bytes too, and is read with a small buffer first, since
 * what comes with its head is copied. The door executes what is whole; all replies go out in one write. What the socket
 * does not take is given to uv_write, one at a time, and consumed when libuv says so.
 *
 * Replies: those of an ordinary read wait until the loop has read from its other connections too, and go out with
 * theirs (worker_answered). Nothing but a read, a close, or what flushes first comes in between. Whatever is out of the
 * ordinary (an end, a pause, a job, many bytes, a stop) is written at once.
 *
 * Always: events (read, sent, written, turn, check, stop) end in settle(), which never calls the door. What has to run
 * the door again waits for a turn (worker_ready), so there is no recursion, and no connection keeps the loop for
 * itself. Nothing is freed before the loop's close callback; whoever calls something that may close looks at the
 * state afterwards. A close with unread input would make the system answer with a reset, which can overtake the
 * last reply: hence LINGERING. On failure: lack of memory closes this connection, with that reason.
 * Not here: what the bytes mean (resp_door.c, http_door.c), who listens (listener.c).
 */
#include "server/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "protocol/limits.h"
#include "server/config.h"
#include "server/log.h"
#include "server/services.h"
#include "server/worker.h"

#define CONN_STATE_LIST(X)                                                                         \
    X(OPENING)   /* not yet on its loop */                                                         \
    X(READING)   /* everything received was looked at */                                           \
    X(PAUSED)    /* waits for a turn, or for the peer to take replies; not read */                 \
    X(WORKING)   /* the same, with a job */                                                        \
    X(FLUSHING)  /* no more input is looked at; closes when the replies are sent */                \
    X(LINGERING) /* replies sent, sending side shut; reads and drops so that the peer sees them */ \
    X(CLOSED)    /* waits for the loop to let go */

enum conn_state {
#define CONN_STATE_ENUM(name) STATE_##name,
    CONN_STATE_LIST(CONN_STATE_ENUM)
#undef CONN_STATE_ENUM
        STATES
};

static const char *const state_names[STATES] = {
#define CONN_STATE_NAME(name) #name,
    CONN_STATE_LIST(CONN_STATE_NAME)
#undef CONN_STATE_NAME
};

enum {
    LOW_WATER = STROBE_REPLY_HIGH_WATER / 2,
    TOGETHER_MAX = STROBE_REPLY_HIGH_WATER / 4, /* bytes of replies that may wait for those of others */
    LINGER_MS = 1000,
    TAKEN_AT_ONCE = 16 << 20, /* bytes: more than a socket takes */
    FLUSH_MS = 30000,         /* for the last replies when request-timeout is off */
    KEEPALIVE_S = 300
};

/* Where the read under way goes. */
enum conn_target {
    TARGET_LOOP, /* the loop's buffer, behind a copy of IN */
    TARGET_IN,   /* IN, behind what it holds */
    TARGET_DOOR  /* the door's room; IN is empty */
};

struct conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_write_t write;
    struct worker_links links;
    struct client client;
    struct worker *worker;
    const struct door *door;
    struct strobe_buf in; /* the unfinished tail, or what waits unparsed */
    struct strobe_out out;
    struct conn_job job; /* while WORKING */
    size_t writing;      /* bytes that uv_write has; 0: none under way */
    size_t want;         /* see conn_want */
    size_t charged;      /* bytes told to the worker */
    size_t last;         /* received before the stop, not yet read */
    size_t dropped;      /* while LINGERING */
    size_t unsent;       /* as of the last look, to see progress */
    size_t room;         /* the door's, for TARGET_DOOR: what is read beyond it is elsewhere before it is shown */
    uint64_t turn;       /* the loop's turn of the latest read */
    uint64_t read_at;    /* loop time: last byte in, or since when we read again */
    uint64_t sent_at;    /* loop time: last byte taken by the peer */
    uint64_t request_at; /* loop time: first byte of the unfinished request */
    uint64_t linger_until;
    uint64_t stall_ms;
    uint64_t wake_at; /* loop time, while ASLEEP; 0: only when it is woken */
    enum conn_state state;
    enum conn_reason reason;
    enum conn_target target;
    int fd;              /* before the loop has it */
    unsigned char reads; /* in this turn */
    bool bulky;          /* the latest one went to the door's room: the next request may be like this one */
    bool throttled;      /* it was refused because others are to have their turn */
    bool is_reading, is_unix, refused, door_open;
    bool linger; /* FLUSHING ends in LINGERING */
    bool ended;  /* the peer's end was seen */
    bool same;   /* see conn_same_request */
    bool stopping;
    bool tells_flushed;        /* see conn_tell_flushed */
    bool asleep;               /* the job waits for something else than its turn */
    max_align_t state_bytes[]; /* the door's */
};

static const char *const reason_texts[CONN_REASONS] = {
#define CONN_REASON_TEXT(name, text) text,
    CONN_REASON_LIST(CONN_REASON_TEXT)
#undef CONN_REASON_TEXT
};

const char *conn_reason_text(enum conn_reason reason) {
    return reason_texts[reason];
}

/* ---- looks ---------------------------------------------------------------------------------- */

struct strobe_out *conn_out(struct conn *conn) {
    return &conn->out;
}

void conn_want(struct conn *conn, size_t bytes) {
    conn->want = bytes;
}

void conn_same_request(struct conn *conn) {
    conn->same = true;
}

void conn_tell_flushed(struct conn *conn) {
    conn->tells_flushed = true;
}

size_t conn_unread(const struct conn *conn) {
    int unread = 0;
    uv_os_fd_t fd = -1;

    uv_fileno(&conn->uv.handle, &fd);
    return ioctl(fd, FIONREAD, &unread) == 0 && unread > 0 ? (size_t)unread : 0;
}

uint64_t conn_request_age(const struct conn *conn) {
    return conn->request_at == 0 ? 0 : worker_now(conn->worker) - conn->request_at;
}

void conn_why(struct conn *conn, enum conn_reason reason) {
    conn->reason = reason;
}

void conn_stall_timeout(struct conn *conn, uint64_t timeout_ms) {
    conn->stall_ms = timeout_ms;
    conn->sent_at = worker_now(conn->worker);
}

void conn_wake_at(struct conn *conn, uint64_t when) {
    conn->wake_at = when;
}

bool conn_may_push(const struct conn *conn) {
    return conn->state == STATE_READING || conn->state == STATE_PAUSED;
}

bool conn_stopping(const struct conn *conn) {
    return worker_stopping(conn->worker);
}

struct worker *conn_worker(const struct conn *conn) {
    return conn->worker;
}

struct client *conn_client(struct conn *conn) {
    return &conn->client;
}

uint64_t conn_id(const struct conn *conn) {
    return conn->client.id;
}

bool conn_refused(const struct conn *conn) {
    return conn->refused;
}

struct worker_links *conn_links(struct conn *conn) {
    return &conn->links;
}

size_t conn_memory(const struct conn *conn) {
    if (conn->state == STATE_CLOSED) return 0;
    return conn->in.capacity + strobe_out_memory(&conn->out) +
           (conn->door_open ? conn->door->memory(conn->state_bytes) : 0) +
           (conn->job.memory != NULL ? conn->job.memory(conn->job.context) : 0);
}

/* ---- states --------------------------------------------------------------------------------- */

static void enter(struct conn *conn, enum conn_state state) {
    if (conn->state == state) return;
    log_debug(worker_log(conn->worker), "conn", "%llu: %s -> %s%s%s%s", (unsigned long long)conn->client.id,
              state_names[conn->state], state_names[state], state >= STATE_FLUSHING ? " (" : "",
              state >= STATE_FLUSHING ? reason_texts[conn->reason] : "", state >= STATE_FLUSHING ? ")" : "");
    conn->state = state;
}

static void stop_reading(struct conn *conn) {
    if (!conn->is_reading) return;
    uv_read_stop(&conn->uv.stream);
    conn->is_reading = false;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);

static void start_reading(struct conn *conn) {
    if (conn->is_reading) return;
    conn->is_reading = uv_read_start(&conn->uv.stream, on_alloc, on_read) == 0;
    if (!conn->is_reading) conn_close(conn, CONN_REASON_RESET);
}

/* No more input is looked at; close for REASON when the replies are sent. */
static void flush_and_close(struct conn *conn, enum conn_reason reason, bool linger) {
    stop_reading(conn);
    conn->reason = reason;
    conn->linger = linger;
    conn->sent_at = worker_now(conn->worker);
    strobe_buf_consume(&conn->in, strobe_buf_len(&conn->in));
    strobe_buf_trim(&conn->in);
    enter(conn, STATE_FLUSHING);
}

static void drop_job(struct conn *conn) {
    void (*drop)(struct conn *, void *) = conn->job.drop;

    conn->job.step = NULL;
    conn->job.drop = NULL;
    conn->job.memory = NULL;
    if (drop != NULL) drop(conn, conn->job.context);
}

/* The loop has let go: nothing of libuv names this connection any more. */
static void on_closed(uv_handle_t *handle) {
    struct conn *conn = handle->data;
    struct worker *worker = conn->worker;

    drop_job(conn);
    if (conn->door_open) conn->door->close(conn, conn->state_bytes);
    strobe_buf_fini(&conn->in);
    strobe_out_fini(&conn->out);
    if (!conn->refused) clients_remove(services_clients(worker_services(worker)), &conn->client);
    worker_remove(worker, conn);
    free(conn);
}

void conn_close(struct conn *conn, enum conn_reason reason) {
    struct metrics_slot *metrics = worker_metrics(conn->worker);

    if (conn->state == STATE_CLOSED) return;
    conn->reason = reason;
    enter(conn, STATE_CLOSED);
    conn->is_reading = false;
    metrics_add(&metrics->closes[reason], 1);
    metrics_add(&metrics->closed[conn->door->metric], 1);
    worker_forget(conn->worker, conn);
    worker_charge(conn->worker, conn->charged, 0);
    conn->charged = 0;
    uv_close(&conn->uv.handle, on_closed);
}

/* ---- sending -------------------------------------------------------------------------------- */

static_assert(sizeof(uv_buf_t) == sizeof(struct iovec) &&
                  offsetof(uv_buf_t, base) == offsetof(struct iovec, iov_base) &&
                  offsetof(uv_buf_t, len) == offsetof(struct iovec, iov_len),
              "libuv's buffers are iovecs");

static void took(struct conn *conn, size_t len) {
    strobe_out_consume(&conn->out, len);
    conn->sent_at = worker_now(conn->worker);
    metrics_count(worker_metrics(conn->worker), METRICS_BYTES_OUT, len);
    atomic_store_explicit(&conn->client.bytes_out,
                          atomic_load_explicit(&conn->client.bytes_out, memory_order_relaxed) + len,
                          memory_order_relaxed);
}

static void on_written(uv_write_t *request, int status);

/* Gives the first runs of what is left to libuv, to be sent as the peer takes it. */
static void queue_rest(struct conn *conn) {
    struct iovec runs[STROBE_OUT_IOVECS];

    strobe_out_shrink(&conn->out);
    size_t count = strobe_out_gather(&conn->out, runs, STROBE_OUT_IOVECS);
    for (size_t i = 0; i < count; i++) conn->writing += runs[i].iov_len;
    conn->unsent = conn->writing;
    const uv_buf_t *bufs = (const uv_buf_t *)(const void *)runs;

    if (uv_write(&conn->write, &conn->uv.stream, bufs, (unsigned)count, on_written) != 0) {
        conn->writing = 0;
        conn_close(conn, CONN_REASON_NO_MEMORY);
    }
}

/* Offers what waits to the socket. May close. */
static void write_out(struct conn *conn) {
    struct iovec runs[STROBE_OUT_IOVECS];

    while (conn->writing == 0 && strobe_out_pending(&conn->out) > 0) {
        size_t count = strobe_out_gather(&conn->out, runs, STROBE_OUT_IOVECS);
        size_t offered = 0;
        for (size_t i = 0; i < count; i++) offered += runs[i].iov_len;
        int sent = uv_try_write(&conn->uv.stream, (const uv_buf_t *)(const void *)runs, (unsigned)count);
        metrics_count(worker_metrics(conn->worker), METRICS_WRITES, 1);
        if (sent == UV_EAGAIN) sent = 0;
        if (sent < 0) {
            conn_close(conn, CONN_REASON_RESET);
            return;
        }
        if (sent > 0) took(conn, (size_t)sent);
        if ((size_t)sent < offered) queue_rest(conn);
        if (conn->state == STATE_CLOSED) return;
    }
}

/* Are these the replies of an ordinary read, for which no more is to be done than to send them? */
static bool may_wait(const struct conn *conn) {
    size_t pending = strobe_out_pending(&conn->out);

    return conn->state == STATE_READING && pending > 0 && pending <= TOGETHER_MAX && conn->writing == 0 &&
           strobe_out_status(&conn->out) == STROBE_BUF_OK && !conn->stopping;
}

int conn_offer(const struct conn *conn, struct strobe_slice *bytes) {
    struct iovec runs[2];
    uv_os_fd_t fd;

    if (conn->writing > 0 || strobe_out_gather(&conn->out, runs, 2) != 1) return -1;
    *bytes = strobe_slice_make(runs[0].iov_base, runs[0].iov_len);
    return uv_fileno(&conn->uv.handle, &fd) == 0 ? fd : -1;
}

bool conn_full(struct conn *conn) {
    if (strobe_out_pending(&conn->out) < STROBE_REPLY_HIGH_WATER) return false;
    write_out(conn);
    return conn->state == STATE_CLOSED || strobe_out_pending(&conn->out) >= STROBE_REPLY_HIGH_WATER;
}

/* ---- timeouts ------------------------------------------------------------------------------- */

/* When the next timeout of this state runs out, UINT64_MAX: none does. */
static uint64_t deadline(const struct conn *conn) {
    const struct config *config = worker_config(conn->worker);
    bool is_unsent = strobe_out_pending(&conn->out) > 0;

    switch (conn->state) {
    case STATE_READING:
        if (config->request_timeout > 0) {
            enum conn_half half = conn->door->half(conn, conn->state_bytes);
            if (half == CONN_HALF_HEAD) return conn->request_at + config->request_timeout;
            if (half == CONN_HALF_BODY) return conn->read_at + config->request_timeout;
        }
        /* fallthrough */
    case STATE_PAUSED:
    case STATE_WORKING: {
        uint64_t until = UINT64_MAX;
        uint64_t active_at = conn->read_at > conn->sent_at ? conn->read_at : conn->sent_at;
        if (is_unsent && conn->stall_ms > 0) until = conn->sent_at + conn->stall_ms;
        if (conn->asleep && conn->wake_at > 0 && conn->wake_at < until) until = conn->wake_at;
        if (config->idle_timeout > 0 && (conn->state == STATE_READING || is_unsent) &&
            active_at + config->idle_timeout < until) {
            until = active_at + config->idle_timeout;
        }
        return until;
    }
    case STATE_FLUSHING:
        return conn->sent_at + (config->request_timeout > 0 ? config->request_timeout : (uint64_t)FLUSH_MS);
    case STATE_LINGERING: return conn->linger_until;
    default: return UINT64_MAX;
    }
}

static void watch(struct conn *conn) {
    uint64_t until = deadline(conn);
    if (until != UINT64_MAX) worker_watch(conn->worker, conn, until);
}

static void settle(struct conn *conn);

/* Do bytes of a body wait unread? Then the pause is the loop's own (it was busy elsewhere), not the peer's. */
static bool is_behind(struct conn *conn) {
    if (conn->state != STATE_READING || conn->door->half(conn, conn->state_bytes) != CONN_HALF_BODY) return false;
    return conn_unread(conn) > 0;
}

static void time_out(struct conn *conn) {
    const struct config *config = worker_config(conn->worker);

    if (conn->state == STATE_LINGERING) {
        conn_close(conn, conn->reason);
    } else if (is_behind(conn)) {
        conn->read_at = worker_now(conn->worker);
        watch(conn);
    } else if (conn->state == STATE_READING && config->request_timeout > 0 &&
               conn->door->half(conn, conn->state_bytes) != CONN_HALF_NONE) {
        conn->door->refuse(conn, conn->state_bytes, CONN_REASON_SLOW);
        flush_and_close(conn, CONN_REASON_SLOW, true);
        settle(conn);
    } else if (strobe_out_pending(&conn->out) > 0 && (conn->state == STATE_FLUSHING || conn->stall_ms > 0)) {
        conn_close(conn, CONN_REASON_STALLED);
    } else {
        conn_close(conn, CONN_REASON_IDLE);
    }
}

/* The most that its replies may have. Beyond max-buffers the connection would be closed as soon as the command is done,
 * so it need not make more than that, and what a socket takes before one looks. */
static uint64_t most_unsent(const struct conn *conn) {
    const struct config *config = worker_config(conn->worker);
    uint64_t all = config->max_buffers + TAKEN_AT_ONCE;

    return all < config->max_reply_buffer ? all : config->max_reply_buffer;
}

/* Replies were more than OUT may have: more than whose limit? */
static enum conn_reason limit_passed(const struct conn *conn) {
    return conn->out.max < worker_config(conn->worker)->max_reply_buffer ? CONN_REASON_BUFFER_LIMIT
                                                                         : CONN_REASON_REPLY_LIMIT;
}

void conn_check(struct conn *conn) {
    uint64_t now = worker_now(conn->worker);

    if (conn->state == STATE_CLOSED) return;
    uint64_t most = most_unsent(conn);
    if (most >= strobe_out_pending(&conn->out)) conn->out.max = most; /* SIGHUP may have changed it */
    if (conn->writing > 0 && uv_stream_get_write_queue_size(&conn->uv.stream) != conn->unsent) {
        conn->unsent = uv_stream_get_write_queue_size(&conn->uv.stream);
        conn->sent_at = now;
    }
    if (conn->asleep && conn->wake_at > 0 && conn->wake_at <= now) conn_wake(conn);
    if (deadline(conn) <= now) {
        time_out(conn);
    } else {
        watch(conn);
    }
}

/* ---- after every event ---------------------------------------------------------------------- */

/* All is sent. Unread input would turn the close into a reset. */
static void finish(struct conn *conn) {
    uv_os_fd_t fd = -1;

    if (conn->ended || (!conn->linger && conn_unread(conn) == 0)) {
        conn_close(conn, conn->reason);
        return;
    }
    uv_fileno(&conn->uv.handle, &fd);
    shutdown(fd, SHUT_WR);
    conn->dropped = 0;
    conn->linger_until = worker_now(conn->worker) + LINGER_MS;
    enter(conn, STATE_LINGERING);
    start_reading(conn);
}

/* Tells the worker what the buffers hold, and CLIENT LIST. */
static void account(struct conn *conn) {
    size_t memory = conn_memory(conn);
    size_t before = conn->charged;

    if (memory == before) return;
    atomic_store_explicit(&conn->client.memory, memory, memory_order_relaxed);
    atomic_store_explicit(&conn->client.input_memory, conn->in.capacity, memory_order_relaxed);
    atomic_store_explicit(&conn->client.input_held, strobe_buf_len(&conn->in), memory_order_relaxed);
    atomic_store_explicit(&conn->client.output_memory, strobe_out_memory(&conn->out), memory_order_relaxed);
    atomic_store_explicit(&conn->client.output_held, strobe_out_pending(&conn->out), memory_order_relaxed);
    conn->charged = memory;
    worker_charge(conn->worker, before, memory);
}

/* Sends what there is and does what the state asks for next. May close. Never calls the door's input. */
static void settle(struct conn *conn) {
    if (conn->state == STATE_CLOSED) return;
    write_out(conn);
    if (conn->state == STATE_CLOSED) return;
    if (strobe_out_status(&conn->out) != STROBE_BUF_OK) {
        conn_close(conn, strobe_out_status(&conn->out) == STROBE_BUF_FULL ? limit_passed(conn) : CONN_REASON_NO_MEMORY);
        return;
    }
    size_t pending = strobe_out_pending(&conn->out);
    if (pending == 0 && conn->tells_flushed) {
        conn->tells_flushed = false;
        conn->door->flushed(conn, conn->state_bytes);
    }
    if (conn->state == STATE_READING && conn->stopping && conn->last == 0) {
        flush_and_close(conn, CONN_REASON_SHUTDOWN, conn->linger);
    } else if (conn->state == STATE_READING && pending >= STROBE_REPLY_HIGH_WATER) {
        stop_reading(conn);
        enter(conn, STATE_PAUSED);
    } else if (conn->state == STATE_READING) {
        start_reading(conn);
    }
    if ((conn->state == STATE_PAUSED || conn->state == STATE_WORKING) && !conn->asleep && pending <= LOW_WATER) {
        worker_ready(conn->worker, conn);
    }
    if (conn->state == STATE_FLUSHING && pending == 0) finish(conn);
    if (conn->state == STATE_CLOSED) return;
    watch(conn);
    account(conn);
}

void conn_sent(struct conn *conn, int sent) {
    if (conn->state == STATE_CLOSED) return;
    if (sent > 0) {
        metrics_count(worker_metrics(conn->worker), METRICS_WRITES, 1);
        took(conn, (size_t)sent);
    }
    settle(conn);
}

static void on_written(uv_write_t *request, int status) {
    struct conn *conn = request->data;
    size_t len = conn->writing;

    conn->writing = 0;
    if (conn->state == STATE_CLOSED) return;
    if (status < 0) {
        conn_close(conn, CONN_REASON_RESET);
        return;
    }
    took(conn, len);
    settle(conn);
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* Why a buffer would not grow. */
static void close_for(struct conn *conn, enum strobe_buf_status status) {
    conn_close(conn, status == STROBE_BUF_FULL ? CONN_REASON_REQUEST_LIMIT : CONN_REASON_NO_MEMORY);
}

/* The most that IN may hold. */
static size_t most_kept(const struct conn *conn) {
    return worker_config(conn->worker)->max_request + 2 * STROBE_READ_SIZE;
}

/* Keeps what the door did not use of VIEW: the bytes held in IN before (HELD of them, at VIEW's start), and new
 * ones behind. */
static void keep_rest(struct conn *conn, struct strobe_slice view, size_t held, size_t used) {
    size_t from = used > held ? used : held;

    strobe_buf_consume(&conn->in, used < held ? used : held);
    if (from < view.len) {
        if (conn->in.max < most_kept(conn)) conn->in.max = most_kept(conn); /* it was told to grow since */
        enum strobe_buf_status status =
            strobe_buf_append(&conn->in, strobe_slice_make(view.data + from, view.len - from));
        if (status != STROBE_BUF_OK) close_for(conn, status);
    }
}

static void answer(struct conn *conn, enum conn_answer answer) {
    switch (answer) {
    case CONN_MORE: enter(conn, STATE_READING); break;
    case CONN_PAUSE:
        stop_reading(conn);
        enter(conn, conn->job.step != NULL ? STATE_WORKING : STATE_PAUSED);
        break;
    case CONN_CLOSE: flush_and_close(conn, conn->reason, false); break;
    case CONN_LINGER: flush_and_close(conn, conn->reason, true); break;
    }
}

/* Shows the door VIEW, whose first HELD bytes are those in IN, and the others are in the loop's buffer or its own. */
static void process(struct conn *conn, struct strobe_slice view, size_t held) {
    size_t used = 0;

    conn->want = 1;
    conn->same = false;
    conn->reason = CONN_REASON_QUIT;
    enum conn_answer said = conn->door->input(conn, conn->state_bytes, view, &used);
    if (conn->state == STATE_CLOSED) return;
    assert(used <= view.len);
    if ((used > 0 && !conn->same) || conn->request_at == 0) conn->request_at = worker_now(conn->worker);
    if (said == CONN_MORE || said == CONN_PAUSE) keep_rest(conn, view, held, used);
    if (conn->state == STATE_CLOSED) return;
    if (used > 0) strobe_buf_trim(&conn->in);
    if (said == CONN_MORE && strobe_buf_len(&conn->in) == 0 &&
        conn->door->half(conn, conn->state_bytes) == CONN_HALF_NONE) {
        conn->request_at = 0;
    }
    answer(conn, said);
}

/* The room that the door has for the next bytes, or NULL. */
static char *door_room(struct conn *conn, size_t *len, size_t *behind) {
    if (conn->door->room == NULL || conn->state != STATE_READING) return NULL;
    return conn->door->room(conn, conn->state_bytes, len, behind);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct conn *conn = handle->data;
    struct worker *worker = conn->worker;
    struct strobe_slice held = strobe_buf_bytes(&conn->in);

    (void)suggested;
    *buf = uv_buf_init(NULL, 0);
    if (conn->turn != worker_turn(worker)) {
        conn->turn = worker_turn(worker);
        conn->reads = 0;
    }
    conn->throttled = conn->reads == WORKER_READS;
    if (conn->throttled) return; /* libuv asks again in the next turn */
    conn->reads++;
    size_t len, behind;
    char *room = held.len == 0 ? door_room(conn, &len, &behind) : NULL;
    if (room != NULL) {
        assert(behind <= CONN_BEHIND);
        conn->target = TARGET_DOOR;
        conn->bulky = true;
        conn->room = len;
        *buf = uv_buf_init(room, (unsigned)(len + behind));
        return;
    }
    conn->target = held.len > WORKER_HEADROOM ? TARGET_IN : TARGET_LOOP;
    if (conn->target == TARGET_LOOP) {
        room = worker_read_buffer(worker);
        if (held.len > 0) memcpy(room, held.data, held.len);
        *buf = uv_buf_init(room + held.len, conn->bulky ? (unsigned)WORKER_PEEK : (unsigned)STROBE_READ_SIZE);
        conn->bulky = false;
        return;
    }
    conn->in.max = most_kept(conn);
    if (conn->in.max < held.len) conn->in.max = held.len;
    if (strobe_buf_expect(&conn->in, conn->want) != STROBE_BUF_OK) return;
    room = strobe_buf_room(&conn->in, &len);
    *buf = uv_buf_init(room, (unsigned)(len < UINT32_MAX ? len : UINT32_MAX));
}

/* What was read to the door's room, and behind it. */
static void process_room(struct conn *conn, const char *room, size_t len) {
    char bytes[CONN_BEHIND];
    struct strobe_slice behind = strobe_slice_make(bytes, len > conn->room ? len - conn->room : 0);

    memcpy(bytes, room + len - behind.len, behind.len);
    process(conn, strobe_slice_make(room, len - behind.len), 0);
    if (behind.len == 0) return;
    if (conn->state == STATE_READING) {
        assert(strobe_buf_len(&conn->in) == 0);
        process(conn, behind, 0);
    } else if (conn->state == STATE_PAUSED || conn->state == STATE_WORKING) {
        enum strobe_buf_status status = strobe_buf_append(&conn->in, behind);
        if (status != STROBE_BUF_OK) close_for(conn, status);
    }
}

static void received(struct conn *conn, size_t len) {
    struct worker *worker = conn->worker;
    struct client *client = &conn->client;

    worker_heard(worker, len, conn->read_at != worker_now(worker));
    conn->read_at = worker_now(worker);
    conn->last -= len < conn->last ? len : conn->last;
    metrics_count(worker_metrics(worker), METRICS_READS, 1);
    metrics_count(worker_metrics(worker), METRICS_BYTES_IN, len);
    atomic_store_explicit(&client->active_ms, worker_wall(worker), memory_order_relaxed);
    atomic_store_explicit(&client->bytes_in, atomic_load_explicit(&client->bytes_in, memory_order_relaxed) + len,
                          memory_order_relaxed);
}

/* The peer sends no more, or is gone. */
static void ended(struct conn *conn, ssize_t error) {
    if (error != UV_EOF) {
        conn_close(conn, CONN_REASON_RESET);
        return;
    }
    conn->ended = true;
    if (conn->state == STATE_LINGERING) {
        conn_close(conn, conn->reason);
        return;
    }
    flush_and_close(conn, CONN_REASON_EOF, false);
    settle(conn);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf) {
    struct conn *conn = stream->data;

    if (nread == 0 || conn->state == STATE_CLOSED) return;
    if (nread == UV_ENOBUFS && conn->throttled) return;
    if (nread == UV_ENOBUFS) {
        close_for(conn, strobe_buf_len(&conn->in) >= conn->in.max ? STROBE_BUF_FULL : STROBE_BUF_NO_MEMORY);
        return;
    }
    if (nread < 0) {
        ended(conn, nread);
        return;
    }
    received(conn, (size_t)nread);
    if (conn->state == STATE_LINGERING) {
        conn->dropped += (size_t)nread;
        if (conn->dropped > STROBE_LINGER_MAX) conn_close(conn, conn->reason);
        return;
    }
    if (conn->target == TARGET_IN) {
        strobe_buf_added(&conn->in, (size_t)nread);
        process(conn, strobe_buf_bytes(&conn->in), strobe_buf_len(&conn->in));
    } else if (conn->target == TARGET_DOOR) {
        process_room(conn, buf->base, (size_t)nread);
    } else {
        size_t held = strobe_buf_len(&conn->in);
        process(conn, strobe_slice_make(buf->base - held, held + (size_t)nread), held);
    }
    if (!may_wait(conn) || !worker_answered(conn->worker, conn)) settle(conn);
}

/* ---- turns ---------------------------------------------------------------------------------- */

void conn_work(struct conn *conn, const struct conn_job *job) {
    assert(conn->job.step == NULL);
    conn->job = *job;
}

static void work(struct conn *conn) {
    conn->wake_at = 0;
    enum conn_step step = conn->job.step(conn, conn->job.context);

    if (conn->state == STATE_CLOSED) return;
    conn->asleep = step == CONN_STEP_WAIT;
    if (step == CONN_STEP_AGAIN || step == CONN_STEP_WAIT) return;
    drop_job(conn);
    switch (step) {
    case CONN_STEP_DONE: enter(conn, STATE_PAUSED); break;
    case CONN_STEP_CLOSE: flush_and_close(conn, conn->reason, true); break;
    default: conn_close(conn, conn->reason); break;
    }
}

void conn_turn(struct conn *conn) {
    if (strobe_out_pending(&conn->out) > LOW_WATER) return; /* the next write's end brings it back */
    if (conn->state == STATE_WORKING) {
        work(conn);
    } else if (conn->state == STATE_PAUSED) {
        conn->read_at = conn->request_at = worker_now(conn->worker); /* the pause was ours */
        if (strobe_buf_len(&conn->in) > 0) {
            process(conn, strobe_buf_bytes(&conn->in), strobe_buf_len(&conn->in));
        } else {
            enter(conn, STATE_READING);
        }
    }
    settle(conn);
}

void conn_wake(struct conn *conn) {
    if (!conn->asleep) return;
    conn->asleep = false;
    worker_ready(conn->worker, conn);
}

void conn_obey(struct conn *conn) {
    if (client_has(&conn->client, CLIENT_KILLED)) conn_close(conn, CONN_REASON_KILLED);
}

void conn_flush(struct conn *conn) {
    settle(conn);
}

void conn_stop(struct conn *conn) {
    if (conn->state == STATE_CLOSED || conn->stopping) return;
    if (conn->state == STATE_LINGERING) {
        conn_close(conn, conn->reason);
        return;
    }
    conn->stopping = true;
    conn->asleep = false;
    conn->last = conn_unread(conn);
    if (conn->state != STATE_FLUSHING) {
        conn->linger = conn->last > 0 || conn->state != STATE_READING || strobe_out_pending(&conn->out) > 0;
    }
    settle(conn);
}

/* ---- life ----------------------------------------------------------------------------------- */

/* "127.0.0.1:80", "[::1]:80". */
static void address_text(const union conn_address *address, char text[CLIENT_ADDRESS_TEXT]) {
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof host);
        snprintf(text, CLIENT_ADDRESS_TEXT, "[%s]:%u", host, (unsigned)ntohs(address->in6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof host);
        snprintf(text, CLIENT_ADDRESS_TEXT, "%s:%u", host, (unsigned)ntohs(address->in.sin_port));
    }
}

static void describe(struct conn *conn, const union conn_address *peer) {
    struct client *client = &conn->client;
    union conn_address local;
    socklen_t len = sizeof local;

    client->door = conn->door->name;
    client->loop = worker_index(conn->worker);
    client->fd = conn->fd;
    if (peer == NULL) {
        const char *path = services_config(worker_services(conn->worker))->unix_socket;
        snprintf(client->peer, sizeof client->peer, "%.60s:0", path != NULL ? path : "");
        memcpy(client->local, client->peer, sizeof client->local);
        return;
    }
    address_text(peer, client->peer);
    memset(&local, 0, sizeof local);
    if (getsockname(conn->fd, &local.sa, &len) == 0) address_text(&local, client->local);
}

static bool is_loopback(const union conn_address *address) {
    if (address->sa.sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
    return ntohl(address->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* A connection within the machine has no path whose rate could be found out. Where BBR is the system's choice, it costs
 * some of each reply and paces large ones; reno is in every kernel, and does nothing without a loss. Where it may not
 * be chosen nothing changes. */
static void choose_congestion_control(int fd, const union conn_address *peer) {
    static const char reno[] = "reno";

    if (peer != NULL && is_loopback(peer)) setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof reno - 1);
}

struct conn *conn_new(struct worker *worker, const struct door *door, int fd, const union conn_address *peer,
                      bool refused) {
    struct conn *conn = calloc(1, sizeof *conn + door->state_size);

    if (conn == NULL) {
        close(fd);
        return NULL;
    }
    conn->worker = worker;
    conn->door = door;
    conn->fd = fd;
    conn->is_unix = peer == NULL;
    conn->refused = refused;
    conn->reason = CONN_REASON_RESET;
    describe(conn, peer);
    choose_congestion_control(fd, peer);
    return conn;
}

/* Gives the descriptor to the loop. Results: 0, or a uv error. */
static int open_stream(struct conn *conn) {
    uv_loop_t *loop = worker_loop(conn->worker);
    int error;

    if (conn->is_unix) {
        uv_pipe_init(loop, &conn->uv.pipe, 0);
        error = uv_pipe_open(&conn->uv.pipe, conn->fd);
    } else {
        uv_tcp_init(loop, &conn->uv.tcp);
        error = uv_tcp_open(&conn->uv.tcp, conn->fd);
    }
    conn->uv.handle.data = conn;
    conn->write.data = conn;
    if (error != 0) {
        close(conn->fd);
    } else if (!conn->is_unix) {
        uv_tcp_nodelay(&conn->uv.tcp, 1);
        uv_tcp_keepalive(&conn->uv.tcp, 1, KEEPALIVE_S);
    }
    return error;
}

void conn_start(struct conn *conn) {
    struct worker *worker = conn->worker;
    struct metrics_slot *metrics = worker_metrics(worker);

    strobe_buf_init(&conn->in, worker_config(worker)->max_request + 2 * STROBE_READ_SIZE);
    strobe_out_init(&conn->out, worker_out_pool(worker), most_unsent(conn));
    conn->read_at = conn->sent_at = worker_now(worker);
    conn->client.since_ms = worker_wall(worker);
    atomic_store_explicit(&conn->client.active_ms, conn->client.since_ms, memory_order_relaxed);
    atomic_store_explicit(&conn->client.resp, 2, memory_order_relaxed);
    atomic_store_explicit(&conn->client.waiting, -1, memory_order_relaxed);
    metrics_add(&metrics->accepted[conn->door->metric], 1);
    worker_add(worker, conn);
    if (!conn->refused) clients_add(services_clients(worker_services(worker)), &conn->client);
    int error = open_stream(conn);
    if (error == 0) conn->door_open = conn->door->open(conn, conn->state_bytes);
    log_debug(worker_log(worker), "conn", "%llu: open door=%s peer=%s loop=%u", (unsigned long long)conn->client.id,
              conn->door->name, conn->client.peer, conn->client.loop);
    if (!conn->door_open) {
        conn_close(conn, error != 0 ? CONN_REASON_RESET : CONN_REASON_NO_MEMORY);
        return;
    }
    if (conn->refused) {
        metrics_count(metrics, METRICS_REFUSED_CLIENTS, 1);
        conn->door->refuse(conn, conn->state_bytes, CONN_REASON_MAX_CLIENTS);
        flush_and_close(conn, CONN_REASON_MAX_CLIENTS, true);
    } else {
        enter(conn, STATE_READING);
    }
    settle(conn);
    if (worker_stopping(worker)) conn_stop(conn);
}

/* conn.c - requests out, replies in, without an allocation for either.
 *
 * Requests are built into a buffer of fixed size; what is long and does not change (bodies of values, long templates)
 * is not copied but lent to writev. When buffer or pieces are full, what is there is written first, and the request
 * goes on where it stopped: so a value of any size costs the same memory.
 * A read that ends inside of a line or head leaves it in `carry`, which stands before the next read.
 * Always: `waiting` counts requests from their first byte built to their reply; a connection that is lost takes those
 * with it, and gives back to the worker those not begun.
 * Not here: which request comes when (load.c), and what replies look like (resp_load.c, http_load.c). */
#include "clients/bench/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients/bench/load.h"
#include "protocol/number.h"

enum { COPY_MAX = 4096 }; /* longer runs of bytes that do not change are lent */

bool conn_init(struct conn *conn, struct worker *worker, size_t depth, size_t keys_each) {
    memset(conn, 0, sizeof *conn);
    conn->worker = worker;
    conn->fd = -1;
    conn->depth = depth;
    conn->keys_each = keys_each;
    conn->pending = malloc(depth * sizeof *conn->pending);
    conn->numbers = calloc(depth * keys_each, sizeof *conn->numbers);
    conn->carry = malloc(CONN_CARRY_MAX);
    conn->out.bytes = malloc(CONN_OUT);
    return conn->pending != NULL && conn->numbers != NULL && conn->carry != NULL && conn->out.bytes != NULL;
}

void conn_fini(struct conn *conn) {
    if (conn->fd >= 0) close(conn->fd);
    free(conn->pending);
    free(conn->numbers);
    free(conn->carry);
    free(conn->out.bytes);
}

bool conn_open(struct conn *conn) {
    struct worker *worker = conn->worker;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

    conn->fd = dial(&worker->plan->address, worker->plan->options->timeout);
    if (conn->fd < 0) return false;
    if (!dial_unblock(conn->fd) || epoll_ctl(worker->epoll, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        close(conn->fd);
        conn->fd = -1;
        return false;
    }
    conn->answered = conn->waits_for_room = false;
    worker->open++;
    return true;
}

/* ---- building ------------------------------------------------------------------------------------ */

/* Adds a piece, or makes the last one longer; false: all pieces are used. */
static bool add_piece(struct output *out, const char *data, size_t len) {
    if (out->piece_count > out->piece) {
        struct iovec *last = &out->pieces[out->piece_count - 1];
        if ((const char *)last->iov_base + last->iov_len == data) {
            last->iov_len += len;
            return true;
        }
    }
    if (out->piece_count == CONN_PIECES) return false;
    out->pieces[out->piece_count++] = (struct iovec){(void *)(uintptr_t)data, len};
    return true;
}

/* Room for LEN bytes that are to be written, or NULL. */
static char *room_for(struct output *out, size_t len) {
    char *room = out->bytes + out->len;

    if (CONN_OUT - out->len < len || !add_piece(out, room, len)) return NULL;
    out->len += len;
    return room;
}

/* DATA stays as it is until the end of the program. */
static bool put(struct output *out, const char *data, size_t len) {
    if (len > COPY_MAX) return add_piece(out, data, len);
    char *room = room_for(out, len);
    if (room == NULL) return false;
    memcpy(room, data, len);
    return true;
}

static void begin_request(struct conn *conn) {
    struct worker *worker = conn->worker;
    struct output *out = &conn->out;
    const struct plan *plan = worker->plan;
    const struct bench_ratio *ratio = &plan->options->ratio;
    const struct keys *keys = worker->phase->prefill ? &worker->in_order : &plan->keys;

    if (worker->phase->prefill)
        out->kind = LOAD_SET;
    else if (plan->options->command != NULL)
        out->kind = LOAD_COMMAND;
    else if (ratio->sets == 0)
        out->kind = LOAD_GET;
    else
        out->kind = random_below(&worker->chance, ratio->gets + ratio->sets) < ratio->gets ? LOAD_GET : LOAD_SET;

    out->slot = conn->first + conn->waiting;
    if (out->slot >= conn->depth) out->slot -= conn->depth;
    conn->pending[out->slot] = (struct pending){worker_due(worker, conn), out->kind};
    for (size_t i = 0; i < plan->recipes[out->kind].keys; i++)
        conn->numbers[out->slot * conn->keys_each + i] = keys_next(keys, &worker->walk);
    if (worker->phase->interval > 0) histogram_add(&worker->tally.lag, worker->now - conn->pending[out->slot].at);
    conn->waiting++;
    out->to_build--;
    out->building = true;
    out->has_value = out->in_body = false;
    out->part = out->key = 0;
}

/* The value that the request needs next. */
static void need_value(struct conn *conn) {
    struct worker *worker = conn->worker;
    struct output *out = &conn->out;
    const struct bench_size *size = &worker->plan->options->size;
    uint64_t number = out->key == 0 ? 0 : conn->numbers[out->slot * conn->keys_each + out->key - 1];
    uint64_t len = size->least;

    if (out->has_value) return;
    if (size->most > len) len += random_below(&worker->chance, size->most - len + 1);
    values_make(&worker->plan->values, number, random_next(&worker->chance), len, &out->value);
    out->has_value = true;
}

static bool build_value(struct conn *conn) {
    struct output *out = &conn->out;
    const char *block = conn->worker->plan->values.block;

    if (!out->in_body) {
        need_value(conn);
        size_t head = out->value.size < VALUES_HEAD ? (size_t)out->value.size : VALUES_HEAD;
        char *room = room_for(out, head);
        if (room == NULL) return false;
        memcpy(room, out->value.head, head);
        out->body_left = out->value.size - head;
        out->body_at = out->value.body_at;
        out->in_body = true;
    }
    while (out->body_left > 0) {
        size_t run = VALUES_BLOCK - out->body_at;
        if (run > out->body_left) run = (size_t)out->body_left;
        if (!put(out, block + out->body_at, run)) return false;
        out->body_left -= run;
        out->body_at = (out->body_at + run) % VALUES_BLOCK;
    }
    out->has_value = out->in_body = false;
    return true;
}

static bool build_key(struct conn *conn) {
    const struct keys *keys = &conn->worker->plan->keys;
    struct output *out = &conn->out;
    char *room = room_for(out, keys->size);

    if (room == NULL) return false;
    keys_write(keys, conn->numbers[out->slot * conn->keys_each + out->key++], room);
    return true;
}

static bool build_length(struct conn *conn) {
    char text[STROBE_NUMBER_INT64_TEXT];

    need_value(conn);
    return put(&conn->out, text, strobe_number_format_uint64(text, conn->out.value.size));
}

/* Builds the request under way to its end; false: there is no more room. */
static bool build_request(struct conn *conn) {
    struct output *out = &conn->out;
    const struct recipe *recipe = &conn->worker->plan->recipes[out->kind];

    for (; out->part < recipe->count; out->part++) {
        const struct part *part = &recipe->parts[out->part];
        bool whole = false;
        switch (part->kind) {
        case PART_TEXT: whole = put(out, recipe->bytes + part->at, part->len); break;
        case PART_KEY: whole = build_key(conn); break;
        case PART_VALUE: whole = build_value(conn); break;
        case PART_LENGTH: whole = build_length(conn); break;
        }
        if (!whole) return false;
    }
    out->building = false;
    return true;
}

/* Builds as many requests as there is room for. */
static void build(struct conn *conn) {
    while (conn->out.building || conn->out.to_build > 0) {
        if (!conn->out.building) begin_request(conn);
        if (!build_request(conn)) return;
    }
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* Drops LEN bytes that were written. */
static void written(struct output *out, size_t len) {
    while (out->piece < out->piece_count && len >= out->pieces[out->piece].iov_len)
        len -= out->pieces[out->piece++].iov_len;
    if (out->piece == out->piece_count) {
        out->piece = out->piece_count = out->len = 0;
        return;
    }
    struct iovec *half = &out->pieces[out->piece];
    half->iov_base = (char *)half->iov_base + len;
    half->iov_len -= len;
}

/* One system call; one piece alone goes the shorter way. */
static ssize_t send_pieces(int fd, const struct output *out) {
    const struct iovec *first = &out->pieces[out->piece];
    size_t count = out->piece_count - out->piece;

    if (count == 1) return send(fd, first->iov_base, first->iov_len, MSG_NOSIGNAL);
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)first, .msg_iovlen = count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void wait_for_room(struct conn *conn, bool wanted) {
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = conn};

    if (conn->waits_for_room == wanted) return;
    conn->waits_for_room = wanted;
    (void)epoll_ctl(conn->worker->epoll, EPOLL_CTL_MOD, conn->fd, &event);
}

void conn_write(struct conn *conn) {
    struct output *out = &conn->out;

    conn->worker->now = load_now();
    for (;;) {
        if (out->piece == 0) build(conn); /* else pieces are half written */
        if (out->piece == out->piece_count) break;
        ssize_t len = send_pieces(conn->fd, out);
        if (len < 0 && errno == EINTR) continue;
        if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            wait_for_room(conn, true);
            return;
        }
        if (len < 0) {
            const char *why = strerror(errno);
            conn_lose(conn, strobe_slice_make(why, strlen(why)));
            return;
        }
        conn->progress = conn->worker->now;
        conn->worker->tally.sent += (uint64_t)len;
        written(out, (size_t)len);
    }
    wait_for_room(conn, false);
}

/* ---- reading ------------------------------------------------------------------------------------- */

void conn_fault(struct conn *conn, enum tally_fault fault, struct strobe_slice words) {
    tally_fault(&conn->worker->tally, fault, 1, words);
}

/* What went wrong with the next key of the request, in words. */
static void key_fault(struct conn *conn, enum tally_fault fault, size_t key, const char *what) {
    char text[TALLY_TEXT];
    int len = snprintf(text, sizeof text, "key number %llu %s",
                       (unsigned long long)conn->numbers[conn->first * conn->keys_each + key], what);

    conn_fault(conn, fault, strobe_slice_make(text, (size_t)len));
}

/* Does the reply have the value of its request's next key? Then *KEY is which. */
static bool next_key(struct conn *conn, size_t *key) {
    const struct plan *plan = conn->worker->plan;
    enum load_kind kind = conn_kind(conn);

    *key = conn->reply.key++;
    return plan->reads[kind] && *key < plan->recipes[kind].keys;
}

void conn_value_begin(struct conn *conn, uint64_t size) {
    const struct plan *plan = conn->worker->plan;
    size_t key;
    bool reads = next_key(conn, &key);

    conn->reply.body = size;
    conn->reply.checks = reads && plan->options->check;
    conn->worker->tally.hits += reads;
    if (conn->reply.checks)
        value_check_begin(&conn->reply.check, &plan->values, conn->numbers[conn->first * conn->keys_each + key], size);
}

void conn_value_end(struct conn *conn) {
    if (conn->reply.checks && conn->reply.check.wrong)
        key_fault(conn, TALLY_WRONG, conn->reply.key - 1, "has a wrong value");
    conn->reply.checks = false;
}

void conn_missed(struct conn *conn) {
    size_t key;

    if (!next_key(conn, &key)) return;
    conn->worker->tally.misses++;
    if (conn->worker->plan->all_set && conn->worker->plan->options->check)
        key_fault(conn, TALLY_MISSING, key, "is not there");
}

/* Bytes of a value and its line end; gives how many, 0: the line end is none. */
static size_t read_value(struct conn *conn, const char *data, size_t len) {
    struct reply *reply = &conn->reply;
    size_t used = reply->body < len ? (size_t)reply->body : len;

    if (used > 0) conn_value_feed(conn, data, used);
    for (; used < len && reply->line_ends > 0; used++, reply->line_ends--) {
        if (data[used] == (reply->line_ends == 2 ? '\r' : '\n')) continue;
        conn_fault(conn, TALLY_MALFORMED, STROBE_SLICE("a value is longer than its length"));
        return 0;
    }
    if (reply->line_ends == 0) conn_value_end(conn);
    return used;
}

size_t conn_read_lines(struct conn *conn, const char *data, size_t len,
                       bool (*read_line)(struct conn *conn, struct strobe_slice line),
                       void (*value_done)(struct conn *conn)) {
    size_t at = 0, used;

    for (; at < len; at += used) {
        if (conn->reply.line_ends > 0) {
            used = read_value(conn, data + at, len - at);
            if (used == 0) return CONN_BROKEN;
            if (conn->reply.line_ends == 0 && value_done != NULL) value_done(conn);
            continue;
        }
        const char *end = memchr(data + at, '\n', len - at);
        used = end == NULL ? len - at : (size_t)(end - data) - at + 1;
        if (end == NULL && used <= CONN_CARRY_MAX) return at;
        struct strobe_slice line = strobe_slice_make(data + at, used - (used > 1 ? 2 : 1));
        if (end == NULL || used < 2 || end[-1] != '\r' || conn->waiting == 0) {
            conn_fault(conn, TALLY_MALFORMED,
                       conn->waiting == 0 ? STROBE_SLICE("a reply that nobody asked for") : line);
            return CONN_BROKEN;
        }
        if (!read_line(conn, line)) return CONN_BROKEN;
    }
    return at;
}

/* It waits for nothing any more. */
static void became_idle(struct conn *conn, bool was_busy) {
    if (was_busy && !conn_busy(conn)) conn->worker->busy--;
}

void conn_replied(struct conn *conn) {
    struct worker *worker = conn->worker;
    const struct pending *pending = &conn->pending[conn->first];

    histogram_add(&worker->tally.latency[pending->kind], worker->now - pending->at);
    conn->first = conn->first + 1 == conn->depth ? 0 : conn->first + 1;
    conn->waiting--;
    conn->answered = true;
    conn->reply.key = 0;
    conn->reply.items = 0;
    conn->reply.step = 0;
    became_idle(conn, true);
}

void conn_read(struct conn *conn) {
    struct worker *worker = conn->worker;
    ssize_t got;

    memcpy(worker->in, conn->carry, conn->carried);
    do got = recv(conn->fd, worker->in + conn->carried, CONN_IN, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got <= 0) {
        const char *why = got == 0 ? "the server closed the connection" : strerror(errno);
        conn_lose(conn, strobe_slice_make(why, strlen(why)));
        return;
    }
    worker->now = conn->progress = load_now();
    worker->tally.received += (uint64_t)got;
    size_t len = conn->carried + (size_t)got, used = worker->plan->door->replies(conn, worker->in, len);
    if (used == CONN_BROKEN || conn->reply.closes) {
        conn_lose(conn, strobe_slice_make(NULL, 0));
        return;
    }
    conn->carried = len - used;
    memcpy(conn->carry, worker->in + used, conn->carried);
    worker_feed(worker, conn);
    if (conn->out.to_build > 0) conn_write(conn);
}

/* ---- the end ------------------------------------------------------------------------------------- */

/* Closes, and forgets what was on the way. */
static void drop(struct conn *conn) {
    struct worker *worker = conn->worker;
    struct output *out = &conn->out;
    bool was_busy = conn_busy(conn);

    close(conn->fd);
    conn->fd = -1;
    worker->open--;
    worker_take_back(worker, conn, out->to_build);
    conn->first = conn->waiting = conn->carried = 0;
    memset(&conn->reply, 0, sizeof conn->reply);
    out->piece = out->piece_count = out->len = out->to_build = 0;
    out->building = false;
    became_idle(conn, was_busy);
}

void conn_lose(struct conn *conn, struct strobe_slice words) {
    struct worker *worker = conn->worker;
    bool announced = conn->reply.closes && !worker->phase->prefill;

    if (announced) {
        worker_take_back(worker, conn, conn->waiting); /* were not taken: they come again */
    } else {
        conn_fault(conn, TALLY_LOST, words);
        tally_fault(&worker->tally, TALLY_UNANSWERED, conn->waiting, strobe_slice_make(NULL, 0));
    }
    bool answered = conn->answered;
    drop(conn);
    if (!answered || worker->over) {
        worker_give_up(worker, conn);
        return;
    }
    if (!conn_open(conn)) {
        const char *why = strerror(errno);
        conn_fault(conn, TALLY_LOST, strobe_slice_make(why, strlen(why)));
        worker_give_up(worker, conn);
        return;
    }
    worker_feed(worker, conn);
    if (conn->out.to_build > 0) conn_write(conn);
}

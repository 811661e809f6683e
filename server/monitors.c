/* monitors.c - the lines of MONITOR, and their way from one loop to another.
 *
 *     +1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
 *
 * Always: a loop's lines arrive in the order of its commands, and before the replies to them are sent; so a command
 * that somebody sends after having seen a reply comes later in the stream. Lines of commands that ran on two loops at
 * the same time may come in either order: the times tell. A line goes out between two replies, never within one.
 * Bounded: a monitor for whom more than max-reply-buffer waits is closed, so it costs at most twice that: inbox, and
 * the replies of its connection. A run that grows beyond it, or finds no memory, closes all monitors, since one that
 * stays must not miss a line. Only the loop of a monitor adds it, removes it, or touches its connection; one lock holds
 * the list and the inboxes. */
#include "server/monitors.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "protocol/buf.h"
#include "server/attention.h"
#include "server/clients.h"
#include "server/commands.h"
#include "server/conn.h"

/* Lines that all monitors share. */
struct run {
    _Atomic unsigned holders;
    struct strobe_buf lines;
};

struct delivery {
    struct delivery *next;
    struct run *run;
};

struct monitor {
    struct monitor *next;
    struct monitors *monitors;
    struct conn *conn;
    unsigned loop;
    struct delivery *first, **end;
    size_t waiting; /* bytes in the inbox */
    bool overflowed;
    bool quiet;
};

/* The lines of a loop that are not yet published. */
struct shown {
    struct strobe_buf lines;
    bool failed; /* one is missing */
};

struct monitors {
    struct attention *attention;
    void (*wake)(void *context, unsigned loop);
    void *context;
    pthread_mutex_t lock;
    struct monitor *first;
    unsigned loops;
    struct shown shown[]; /* by loop */
};

/* ---- life ----------------------------------------------------------------------------------- */

struct monitors *monitors_new(unsigned loops, struct attention *attention, void (*wake)(void *context, unsigned loop),
                              void *context) {
    struct monitors *monitors = calloc(1, sizeof *monitors + loops * sizeof monitors->shown[0]);

    if (monitors == NULL) return NULL;
    monitors->attention = attention;
    monitors->wake = wake;
    monitors->context = context;
    monitors->loops = loops;
    pthread_mutex_init(&monitors->lock, NULL);
    return monitors;
}

void monitors_free(struct monitors *monitors) {
    if (monitors == NULL) return;
    assert(monitors->first == NULL);
    for (unsigned i = 0; i < monitors->loops; i++) strobe_buf_fini(&monitors->shown[i].lines);
    pthread_mutex_destroy(&monitors->lock);
    free(monitors);
}

struct monitor *monitors_join(struct monitors *monitors, unsigned loop, struct conn *conn) {
    struct monitor *monitor = calloc(1, sizeof *monitor);

    if (monitor == NULL) return NULL;
    monitor->monitors = monitors;
    monitor->conn = conn;
    monitor->loop = loop;
    monitor->end = &monitor->first;
    pthread_mutex_lock(&monitors->lock);
    monitor->next = monitors->first;
    monitors->first = monitor;
    attention_call(monitors->attention, ATTENTION_MONITORS);
    pthread_mutex_unlock(&monitors->lock);
    return monitor;
}

static void let_go(void *owner) {
    struct run *run = owner;

    /* Release and acquire: the last holder frees what the others have finished with. */
    if (atomic_fetch_sub_explicit(&run->holders, 1, memory_order_acq_rel) > 1) return;
    strobe_buf_fini(&run->lines);
    free(run);
}

static void free_deliveries(struct delivery *delivery) {
    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        if (delivery->run != NULL) let_go(delivery->run);
        free(delivery);
        delivery = next;
    }
}

void monitor_leave(struct monitor *monitor) {
    if (monitor == NULL) return;
    struct monitors *monitors = monitor->monitors;
    struct monitor **link = &monitors->first;

    pthread_mutex_lock(&monitors->lock);
    while (*link != monitor) link = &(*link)->next;
    *link = monitor->next;
    if (monitors->first == NULL) attention_end(monitors->attention, ATTENTION_MONITORS);
    pthread_mutex_unlock(&monitors->lock);
    free_deliveries(monitor->first);
    free(monitor);
}

void monitor_quiet(struct monitor *monitor, bool quiet) {
    monitor->quiet = quiet;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static void add(struct shown *shown, const char *text, size_t len) {
    if (shown->failed) return;
    shown->failed = strobe_buf_append(&shown->lines, strobe_slice_make(text, len)) != STROBE_BUF_OK;
}

/* BYTE as it stands between quotes, as Redis writes it. Gives its length, at most 4. */
static size_t escape(char text[4], unsigned char byte) {
    static const char named[] = "\n\r\t\a\b\"\\", letters[] = "nrtab\"\\";
    static const char digits[] = "0123456789abcdef";
    const char *found = byte != 0 ? strchr(named, byte) : NULL;

    text[0] = '\\';
    if (found != NULL) {
        text[1] = letters[found - named];
        return 2;
    }
    if (byte >= ' ' && byte <= '~') {
        text[0] = (char)byte;
        return 1;
    }
    text[1] = 'x';
    text[2] = digits[byte >> 4];
    text[3] = digits[byte & 15];
    return 4;
}

static void add_word(struct shown *shown, struct strobe_slice word) {
    char piece[512];
    size_t len = 0;

    add(shown, " \"", 2);
    for (size_t i = 0; i < word.len && !shown->failed; i++) {
        len += escape(piece + len, (unsigned char)word.data[i]);
        if (len <= sizeof piece - 4) continue;
        add(shown, piece, len);
        len = 0;
    }
    piece[len++] = '"';
    add(shown, piece, len);
}

/* Is word I the name or the password of a user? */
static bool is_secret(const struct command *command, const struct strobe_slice *args, size_t i) {
    if (command->run == cmd_auth) return i >= 1;
    if (command->run != cmd_hello) return false;
    for (size_t before = 1; before <= 2; before++) {
        if (i >= 2 + before && strobe_slice_equal_nocase(args[i - before], STROBE_SLICE("AUTH"))) return true;
    }
    return false;
}

void monitors_show(struct monitors *monitors, unsigned loop, size_t most, const struct client *client,
                   const struct command *command, const struct strobe_slice *args, size_t count) {
    struct shown *shown = &monitors->shown[loop];
    struct timeval now;
    char head[64];

    if ((command->flags & COMMAND_ADMIN) != 0) return;
    if (strobe_buf_len(&shown->lines) == 0) strobe_buf_init(&shown->lines, most);
    gettimeofday(&now, NULL);
    int len = snprintf(head, sizeof head, "+%lld.%06ld [0 ", (long long)now.tv_sec, (long)now.tv_usec);
    add(shown, head, (size_t)len);
    if (strcmp(client->door, "unix") == 0) add(shown, "unix:", 5);
    size_t peer = strlen(client->peer);
    if (strcmp(client->door, "unix") == 0 && peer >= 2) peer -= 2; /* without the ":0" */
    add(shown, client->peer, peer);
    add(shown, "]", 1);
    for (size_t i = 0; i < count; i++) {
        add_word(shown, is_secret(command, args, i) ? STROBE_SLICE("(redacted)") : args[i]);
    }
    add(shown, "\r\n", 2);
}

/* ---- from loop to loop ---------------------------------------------------------------------- */

/* Puts RUN (or NULL: there is none, for lack of memory) into the inbox of MONITOR. Under the lock. */
static void put(struct monitor *monitor, struct run *run, size_t most) {
    size_t len = run != NULL ? strobe_buf_len(&run->lines) : 0;
    struct delivery *delivery = NULL;

    if (monitor->overflowed) return;
    if (run != NULL && len <= most && monitor->waiting <= most - len) delivery = malloc(sizeof *delivery);
    if (delivery == NULL) {
        monitor->overflowed = true;
        return;
    }
    atomic_fetch_add_explicit(&run->holders, 1, memory_order_relaxed);
    *delivery = (struct delivery){.run = run};
    *monitor->end = delivery;
    monitor->end = &delivery->next;
    monitor->waiting += len;
}

/* The lines of SHOWN, which starts anew, with one holder. NULL: one is missing, or there is no memory. */
static struct run *take_run(struct shown *shown) {
    struct run *run = shown->failed ? NULL : malloc(sizeof *run);

    if (run == NULL) {
        strobe_buf_fini(&shown->lines);
    } else {
        run->lines = shown->lines;
        atomic_init(&run->holders, 1);
    }
    memset(shown, 0, sizeof *shown);
    return run;
}

void monitors_publish(struct monitors *monitors, unsigned loop, size_t most) {
    struct shown *shown = &monitors->shown[loop];

    if (strobe_buf_len(&shown->lines) == 0 && !shown->failed) return;
    struct run *run = take_run(shown);
    pthread_mutex_lock(&monitors->lock);
    for (struct monitor *monitor = monitors->first; monitor != NULL; monitor = monitor->next) {
        if (monitor->first == NULL) monitors->wake(monitors->context, monitor->loop);
        put(monitor, run, most);
    }
    pthread_mutex_unlock(&monitors->lock);
    if (run != NULL) let_go(run);
}

/* Empties the inbox of MONITOR. */
static struct delivery *take(struct monitor *monitor) {
    pthread_mutex_lock(&monitor->monitors->lock);
    struct delivery *first = monitor->first;
    monitor->first = NULL;
    monitor->end = &monitor->first;
    monitor->waiting = 0;
    pthread_mutex_unlock(&monitor->monitors->lock);
    return first;
}

static void deliver(struct monitor *monitor) {
    struct delivery *first = take(monitor);

    for (struct delivery *delivery = first; delivery != NULL && !monitor->quiet; delivery = delivery->next) {
        struct strobe_slice lines = strobe_buf_bytes(&delivery->run->lines);
        if (lines.len < STROBE_COPY_MAX) {
            strobe_out_append(conn_out(monitor->conn), lines);
        } else {
            strobe_out_borrow(conn_out(monitor->conn), lines, let_go, delivery->run);
            delivery->run = NULL;
        }
    }
    free_deliveries(first);
    conn_flush(monitor->conn);
}

/* The next monitor of LOOP behind AFTER (NULL: the first). Others come and go elsewhere in the list meanwhile. */
static struct monitor *next_of(struct monitors *monitors, unsigned loop, const struct monitor *after,
                               bool *overflowed) {
    pthread_mutex_lock(&monitors->lock);
    struct monitor *monitor = after == NULL ? monitors->first : after->next;
    while (monitor != NULL && monitor->loop != loop) monitor = monitor->next;
    *overflowed = monitor != NULL && monitor->overflowed;
    pthread_mutex_unlock(&monitors->lock);
    return monitor;
}

void monitors_deliver(struct monitors *monitors, unsigned loop) {
    bool overflowed;
    struct monitor *monitor = next_of(monitors, loop, NULL, &overflowed);

    for (; monitor != NULL; monitor = next_of(monitors, loop, monitor, &overflowed)) {
        if (overflowed) {
            conn_close(monitor->conn, CONN_REASON_REPLY_LIMIT);
        } else if (conn_may_push(monitor->conn)) {
            deliver(monitor);
        }
    }
}

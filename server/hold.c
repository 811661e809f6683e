/* hold.c - the job of a connection that a pause holds: it asks again when it is woken, and is done when the pause is.
 *
 * What it waits with stays unparsed in its buffer, so it costs no more than a client that sends faster than it is
 * answered; nothing is read meanwhile. The server's stop ends all pauses first, so that what had come is answered. */
#include "server/hold.h"

#include <stdint.h>

#include "server/attention.h"
#include "server/conn.h"
#include "server/pause.h"
#include "server/services.h"
#include "server/worker.h"

static struct pause *pause_of(const struct conn *conn) {
    return services_pause(worker_services(conn_worker(conn)));
}

/* CONTEXT is not NULL for a write. */
static enum conn_step step(struct conn *conn, void *context) {
    uint64_t until;

    if (!pause_holds(pause_of(conn), context != NULL, worker_now(conn_worker(conn)), &until)) return CONN_STEP_DONE;
    conn_wake_at(conn, until);
    return CONN_STEP_WAIT;
}

static void drop(struct conn *conn, void *context) {
    (void)context;
    client_mark(conn_client(conn), CLIENT_WAITS, false);
    pause_count(pause_of(conn), -1);
}

bool hold_goes_on(struct conn *conn) {
    const struct attention *attention = services_attention(worker_services(conn_worker(conn)));

    return (attention_now(attention) & ATTENTION_PAUSE) != 0 && step(conn, conn) == CONN_STEP_WAIT;
}

bool hold_begin(struct conn *conn, bool is_write) {
    uint64_t until;

    if (!pause_holds(pause_of(conn), is_write, worker_now(conn_worker(conn)), &until)) return false;
    client_mark(conn_client(conn), CLIENT_WAITS, true);
    pause_count(pause_of(conn), 1);
    conn_work(conn, &(struct conn_job){.step = step, .drop = drop, .context = is_write ? conn : NULL});
    return true;
}

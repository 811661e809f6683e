/* session.c - a connection's version of the protocol and its transaction, said in the places that have to know them.
 *
 * The version: the session, for the replies to come; the writer of the reply under way; and the registry, for CLIENT
 * LIST on other threads. The transaction: the session, and as a count the registry. */
#include "server/session.h"

#include <stdatomic.h>

#include "server/clients.h"
#include "server/monitors.h"

static void tell(struct session *session, enum strobe_resp_version version) {
    session->resp = version;
    atomic_store_explicit(&session->client->resp, (unsigned)version, memory_order_relaxed);
}

static void tell_waiting(struct session *session, int count) {
    atomic_store_explicit(&session->client->waiting, count, memory_order_relaxed);
}

void session_init(struct session *session, struct client *client) {
    *session = (struct session){.client = client};
    tell(session, STROBE_RESP2);
    tell_waiting(session, -1);
}

void session_set_replies(struct session *session, unsigned replies) {
    session->replies = replies;
    if (session->monitor != NULL) monitor_quiet(session->monitor, (replies & SESSION_REPLIES_OFF) != 0);
}

void session_end_monitor(struct session *session) {
    monitor_leave(session->monitor);
    session->monitor = NULL;
    client_mark(session->client, CLIENT_MONITORS, false);
}

void session_fini(struct session *session) {
    session_end_monitor(session);
    transaction_free(session_take_transaction(session));
}

void session_set_resp(struct session *session, struct strobe_reply *reply, enum strobe_resp_version version) {
    tell(session, version);
    strobe_resp_writer_set_version(reply, version);
}

struct transaction *session_transaction(struct session *session) {
    if (session->transaction == NULL) session->transaction = transaction_new();
    return session->transaction;
}

bool session_multi(struct session *session) {
    struct transaction *transaction = session_transaction(session);
    if (transaction == NULL) return false;
    transaction->open = true;
    tell_waiting(session, 0);
    return true;
}

void session_queued(struct session *session) {
    tell_waiting(session, (int)session->transaction->commands);
}

void session_spoil(struct session *session) {
    if (session_waits(session)) session->transaction->spoiled = true;
}

struct transaction *session_take_transaction(struct session *session) {
    struct transaction *transaction = session->transaction;
    session->transaction = NULL;
    tell_waiting(session, -1);
    return transaction;
}

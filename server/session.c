/* session.c - a connection's version of the protocol and its transaction, said in the places that have to know them.
 *
 * The version: the session, for the replies to come; the writer of the reply under way; and the registry, for CLIENT
 * LIST on other threads. The transaction: the session, and as a count the registry. */
#include "server/session.h"

#include <stdatomic.h>

#include "server/clients.h"

static void tell(struct session *session, enum strobe_resp_version version) {
    session->resp = version;
    atomic_store_explicit(&session->client->resp, (unsigned)version, memory_order_relaxed);
}

static void tell_waiting(struct session *session, int count) {
    atomic_store_explicit(&session->client->waiting, count, memory_order_relaxed);
}

void session_init(struct session *session, struct client *client) {
    session->client = client;
    session->transaction = NULL;
    tell(session, STROBE_RESP2);
    tell_waiting(session, -1);
}

void session_fini(struct session *session) {
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

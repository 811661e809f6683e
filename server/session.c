/* session.c - a connection's version of the protocol, said in the three places that have to know it: the
 * session, for the replies to come; the writer of the reply under way; and the registry, for CLIENT LIST
 * on other threads. */
#include "server/session.h"

#include <stdatomic.h>

#include "server/clients.h"

static void tell(struct session *session, enum strobe_resp_version version) {
    session->resp = version;
    atomic_store_explicit(&session->client->resp, (unsigned)version, memory_order_relaxed);
}

void session_init(struct session *session, struct client *client) {
    session->client = client;
    tell(session, STROBE_RESP2);
}

void session_set_resp(struct session *session, struct strobe_reply *reply, enum strobe_resp_version version) {
    tell(session, version);
    strobe_resp_writer_set_version(reply, version);
}

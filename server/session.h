/* session.h - what a connection of the text door is to the commands: who it is, and how it wants its
 * answers.
 *
 * The door embeds one in each connection and hands it to every call. What other threads may see of a
 * connection (name, library, address, age) is in its row of the registry, clients.h, and not here. One
 * thread at a time.
 */
#ifndef STROBE_SERVER_SESSION_H
#define STROBE_SERVER_SESSION_H

#include "protocol/resp_writer.h"

struct client;

struct session {
    struct client *client;         /* this connection's row of the registry; borrowed until the session's end */
    enum strobe_resp_version resp; /* what its replies are written in: HELLO and RESET change it */
};

/* Starts SESSION in RESP2. Borrows CLIENT until the session's end. Nothing to end. */
void session_init(struct session *session, struct client *client);

/* VERSION from the next item on, in REPLY, which writes this connection's replies, and in all later ones. */
void session_set_resp(struct session *session, struct strobe_reply *reply, enum strobe_resp_version version);

#endif

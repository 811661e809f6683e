/* session.h - what a connection of the text door is to the commands: who it is, how it wants its answers, and what
 * waits for EXEC.
 *
 * The door embeds one in each connection and hands it to every call. What other threads may see of a
 * connection (name, library, address, age) is in its row of the registry, clients.h, and not here. One
 * thread at a time.
 */
#ifndef STROBE_SERVER_SESSION_H
#define STROBE_SERVER_SESSION_H

#include "protocol/resp_writer.h"
#include "server/transaction.h"

struct client;
struct conn;
struct monitor;

/* What becomes of replies. */
enum session_replies {
    SESSION_REPLIES_OFF = 1,
    SESSION_REPLIES_SKIP = 2,     /* that of this command */
    SESSION_REPLIES_SKIP_NEXT = 4 /* that of the next one */
};

struct session {
    struct client *client;           /* this connection's row of the registry; borrowed until the session's end */
    enum strobe_resp_version resp;   /* what its replies are written in: HELLO and RESET change it */
    struct transaction *transaction; /* owned; NULL: neither WATCH nor MULTI was said */
    struct conn *conn;               /* borrowed; NULL: there is none (tests) */
    struct monitor *monitor;         /* owned; NULL: it does not monitor */
    unsigned replies;                /* enum session_replies; 0: they are sent */
    bool shown;                      /* lines for monitors wait to be published */
    bool leaving;                    /* its connection is to be closed after this reply */
};

/* Starts SESSION in RESP2. Borrows CLIENT until the session's end. */
void session_init(struct session *session, struct client *client);
void session_fini(struct session *session);

/* VERSION from the next item on, in REPLY, which writes this connection's replies, and in all later ones. */
void session_set_resp(struct session *session, struct strobe_reply *reply, enum strobe_resp_version version);

/* Do commands wait for EXEC? */
static inline bool session_waits(const struct session *session) {
    return session->transaction != NULL && session->transaction->open;
}

/* What was watched so far; makes it. NULL without memory. */
struct transaction *session_transaction(struct session *session);

/* From now on commands wait. false: no memory. */
bool session_multi(struct session *session);

/* One more command waits. */
void session_queued(struct session *session);

/* A command was refused: if others wait, EXEC will be refused. */
void session_spoil(struct session *session);

/* Gives what was watched and waits, or NULL; from now on nothing is and does. */
struct transaction *session_take_transaction(struct session *session);

/* Is no reply to be sent? */
static inline bool session_is_silent(const struct session *session) {
    return (session->replies & (SESSION_REPLIES_OFF | SESSION_REPLIES_SKIP)) != 0;
}

/* A command has ended: what was said of the next reply is now said of this one. */
static inline void session_next_reply(struct session *session) {
    session->replies = (session->replies & SESSION_REPLIES_OFF) |
                       (session->replies & SESSION_REPLIES_SKIP_NEXT ? SESSION_REPLIES_SKIP : 0);
}

/* REPLIES from now on. */
void session_set_replies(struct session *session, unsigned replies);

/* CONN and CLIENT monitor no more. */
void session_end_monitor(struct session *session);

/* Bytes beyond the struct. */
static inline size_t session_memory(const struct session *session) {
    return session->transaction != NULL ? session->transaction->memory : 0;
}

#endif

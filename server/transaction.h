/* transaction.h - what a connection has told EXEC so far: the keys it watches, and the commands that wait.
 *
 * Made by the first WATCH or MULTI, part of the session until EXEC takes it, or DISCARD, RESET, UNWATCH or the end of
 * the connection throws it away. One thread at a time. */
#ifndef STROBE_SERVER_TRANSACTION_H
#define STROBE_SERVER_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/slice.h"
#include "server/command.h"

/* A command that waits, in one piece of memory with the bytes of its words. */
struct queued {
    struct queued *next;
    const struct command *command;
    struct strobe_key key; /* its first key, hashed; DATA is NULL when it has no valid one */
    size_t argc;
    struct strobe_blob **blobs;  /* of words of STROBE_BLOB_MIN bytes and more, so that a value is shared and not copied
                                    under EXEC's locks: one for each word, or NULL; NULL: there are none */
    struct strobe_slice words[]; /* ARGC of them */
};

struct transaction {
    bool open;    /* MULTI was said: commands wait */
    bool spoiled; /* one of them was refused: EXEC will be */
    struct queued *first, *last;
    size_t commands;
    size_t cost;                  /* keys of the commands, one for a command without */
    size_t after, flushes, whole; /* how many of the commands have COMMAND_AFTER, flush, have COMMAND_WHOLE */
    struct strobe_key *keys;      /* owned: those watched, whose bytes are owned too, then those of the commands */
    size_t keys_count, keys_capacity;
    size_t watched;
    uint64_t *versions; /* owned: of those watched, 0: there was no such key; as many as KEYS has room for */
    size_t memory;      /* bytes of all this */
    bool writes;        /* one of the commands has COMMAND_WRITE */
};

struct transaction *transaction_new(void);              /* owned by the caller; NULL without memory */
void transaction_free(struct transaction *transaction); /* NULL is allowed */

/* Watches the keys that CALL names from word 1 on, as they are at one instant. An error is written when it answers
 * false, and then some may be watched. */
bool transaction_watch(struct transaction *transaction, struct command_call *call);

/* Is a watched key not as it was? ACCESS holds all of them. */
bool transaction_is_broken(const struct transaction *transaction, struct strobe_access *access) STROBE_INSIDE;

/* Copies CALL, which is prepared and has a row that takes so many words, to the end of those that wait. An error is
 * written when it answers false. */
bool transaction_queue(struct transaction *transaction, struct command_call *call);

#endif

/* command.h - a command is a row of commands.def; a call is one use of it.
 *
 *     door:  bytes -> strobe_request -> command_prepare (row, hash) -> strobe_prefetch of a batch
 *                                    -> command_execute (arity, handler) -> strobe_reply -> bytes
 *
 * Handlers see words in and items out, and never ask which protocol they speak. A handler that cannot
 * finish within a moment leaves a *job*, which the door runs in slices between its other connections.
 */
#ifndef STROBE_SERVER_COMMAND_H
#define STROBE_SERVER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "server/metrics.h"

struct command_job;
struct command_table;
struct exec;
struct large_words;
struct services;
struct session;

/* What a row says about itself, in the order in which COMMAND INFO lists it. */
#define COMMAND_FLAG_LIST(X)                \
    X(WRITE, "write")                       \
    X(READONLY, "readonly")                 \
    X(DENYOOM, "denyoom")                   \
    X(ADMIN, "admin")                       \
    X(NOSCRIPT, "noscript")                 \
    X(LOADING, "loading")                   \
    X(STALE, "stale")                       \
    X(FAST, "fast")                         \
    X(NO_AUTH, "no_auth")                   \
    X(ALLOW_BUSY, "allow_busy")             \
    X(SKIP_SLOWLOG, "skip_slowlog")         \
    X(NO_ASYNC_LOADING, "no_async_loading") \
    X(NO_MULTI, "no_multi")

enum command_flag_bit {
#define COMMAND_FLAG_BIT(name, text) COMMAND_BIT_##name,
    COMMAND_FLAG_LIST(COMMAND_FLAG_BIT)
#undef COMMAND_FLAG_BIT
        COMMAND_BITS
};

enum command_flag {
#define COMMAND_FLAG_ENUM(name, text) COMMAND_##name = 1 << COMMAND_BIT_##name,
    COMMAND_FLAG_LIST(COMMAND_FLAG_ENUM)
#undef COMMAND_FLAG_ENUM
    /* not among the flags that clients see */
    COMMAND_CONTAINER = 1 << COMMAND_BITS,    /* it has subcommands */
    COMMAND_CAT_KEYSPACE = 2 << COMMAND_BITS, /* categories that the flags and the group do not imply */
    COMMAND_CAT_DANGEROUS = 4 << COMMAND_BITS,
    COMMAND_CAT_CONNECTION = 8 << COMMAND_BITS,
    COMMAND_LONG = 16 << COMMAND_BITS,      /* a short request for much work: others have their turn after it */
    COMMAND_AT_ONCE = 32 << COMMAND_BITS,   /* runs also between MULTI and EXEC */
    COMMAND_AFTER = 64 << COMMAND_BITS,     /* EXEC runs it when its locks are left */
    COMMAND_SNAPSHOT = 128 << COMMAND_BITS, /* the same, and it reads a snapshot */
    COMMAND_WHOLE = 256 << COMMAND_BITS,    /* EXEC locks the whole map for it */
    COMMAND_MODE = 512 << COMMAND_BITS,     /* changes how what follows is executed: the door looks again */
    COMMAND_TIMED = 4096 << COMMAND_BITS,   /* may take long for a short request: its time is taken by itself */
    COMMAND_CAT_ADMIN = 8192 << COMMAND_BITS
};

/* What the door does after a call. */
enum command_outcome {
    COMMAND_DONE,  /* the reply is written */
    COMMAND_CLOSE, /* the reply is written; send it and close (QUIT) */
    COMMAND_LATER  /* call->job goes on; nothing else of this connection is executed before its end */
};

/* One use of a command. The door fills it in, except for what is marked; all is borrowed until the call,
 * or its job, has ended. It lies still between command_prepare and the end of command_execute. */
struct command_call {
    const struct strobe_request *request; /* with at least one word; not looked at any more by the job */
    struct strobe_reply *reply;
    struct strobe_map *map;
    struct session *session; /* NULL where there is no connection of the text door */
    struct services *services;
    struct metrics_slot *metrics; /* of the calling worker */
    struct strobe_access *access; /* EXEC's, which holds the keys of all its commands; NULL: the call opens its own */
    struct exec *exec;            /* the EXEC that runs this call; NULL: it runs by itself */
    const struct large_words *large; /* those of its words that came into blobs; NULL: none */
    const struct command *command;   /* prepare's: the row, NULL when there is no such command */
    struct strobe_key key;           /* prepare's: the first key, hashed; DATA is NULL when the call has no valid one */
    bool ran;                        /* execute's: it was not refused, and does not wait for EXEC */
    struct command_job *job;         /* execute's, with COMMAND_LATER: owned by the door from then on */
};

typedef enum command_outcome command_handler(struct command_call *call);

/* A row. Subcommands are rows of their own behind their container, named "client|id". */
struct command {
    const char *name; /* lower case */
    size_t name_len;
    command_handler *run;
    int arity;                         /* words of the request, the name included; negative: that many at least */
    unsigned flags;                    /* enum command_flag */
    int first_key, last_key, key_step; /* where keys stand: 0 none; last -1: to the end */
    const char *key_flags;             /* what is done with them, in Redis's words: "RO access" */
    const char *group;
    const char *since; /* Redis's version, or strobe's */
    const char *complexity;
    const char *summary;
    const char *syntax; /* the words after the name: "key value [NX | XX] [EX seconds | KEEPTTL]" */
};

/* All rows. A row's number is its place in the table: the index of its metrics. */
extern const struct command command_rows[];
unsigned command_count(void);
static inline unsigned command_number(const struct command *command) {
    return (unsigned)(command - command_rows);
}

/* Makes the index that finds a row by name. Owned by the caller; NULL without memory. Shared by all
 * threads. */
struct command_table *command_table_new(void);
void command_table_free(struct command_table *table);

/* The row called NAME ("GET", "client|id"), whatever the case of its letters, or NULL. Any thread. */
const struct command *command_find(const struct command_table *table, struct strobe_slice name);

/* The row of a request's words: as command_find, but a subcommand's own row where there is one. */
const struct command *command_find_words(const struct command_table *table, const struct strobe_slice *words,
                                         size_t count);

/* Fills in call->command and call->key, so that the keys of a batch can be prefetched before it is
 * executed. */
void command_prepare(struct command_call *call);

/* Answers a prepared call: runs it, or writes the error it deserves, and counts it. Lack of memory for the
 * reply ends as an error in its place; a reply over the chain's maximum stays a failed chain, for the door
 * to close on. */
enum command_outcome command_execute(struct command_call *call);

/* Has a prepared CALL a row that takes so many words? Then it is executed, or refused by its handler. */
bool command_fits(const struct command_call *call);

/* Refuses a prepared call with -ERR TEXT in place of executing it. */
void command_refuse(struct command_call *call, const char *text);

/* ---- work that outlives its call -------------------------------------------------------------------- */

enum command_slice {
    COMMAND_SLICE_MORE,  /* call again, when the reply's chain is below its low mark */
    COMMAND_SLICE_WAIT,  /* call again when the loop's sleepers are woken (services_wake) */
    COMMAND_SLICE_DONE,  /* the reply is whole */
    COMMAND_SLICE_BROKEN /* the reply was begun and cannot be finished: close the connection */
};

/* The head of a job's own struct. SLICE works for less than a millisecond. RELEASE frees it, also in the
 * middle, when the connection closes. A job whose peer takes nothing for scan-idle-timeout is for the door
 * to cut. */
struct command_job {
    enum command_slice (*slice)(struct command_job *job, struct strobe_reply *reply);
    void (*release)(struct command_job *job);
    size_t memory; /* bytes that it holds, for max-buffers */
};

/* ---- for handlers ----------------------------------------------------------------------------------- */

static inline struct strobe_slice command_arg(const struct command_call *call, size_t i) {
    return call->request->args[i];
}
static inline size_t command_argc(const struct command_call *call) {
    return call->request->argc;
}

/* May WORD be a key? One that may not is in no map, so that reading it is a miss. */
static inline bool command_is_key(struct strobe_slice word) {
    return word.len >= 1 && word.len <= STROBE_KEY_MAX;
}

/* Makes *KEY of word I, with the hash that prepare made if it is the first key. false: the word may not be
 * a key. */
bool command_key(const struct command_call *call, size_t i, struct strobe_key *key);

/* The same, and an error is written when it answers false: for commands that would create the key. */
bool command_new_key(struct command_call *call, size_t i, struct strobe_key *key);

/* ---- the map, for a command by itself and for one that EXEC runs ----
 * A handler is written once: it asks here, and gets an access of its own or EXEC's, which leave keeps. */
#if defined(__clang__)
#define COMMAND_UNCHECKED __attribute__((no_thread_safety_analysis))
#else
#define COMMAND_UNCHECKED
#endif

/* An access to KEY, at OWN or EXEC's. */
STROBE_ENTERS COMMAND_UNCHECKED static inline struct strobe_access *
command_enter(const struct command_call *call, const struct strobe_key *key, struct strobe_access *own) {
    if (call->access != NULL) return call->access;
    strobe_enter(call->map, key, own);
    return own;
}

/* The same to COUNT keys. */
STROBE_ENTERS COMMAND_UNCHECKED static inline struct strobe_access *command_enter_many(const struct command_call *call,
                                                                                       const struct strobe_key *keys,
                                                                                       size_t count,
                                                                                       struct strobe_access *own) {
    if (call->access != NULL) return call->access;
    strobe_enter_many(call->map, keys, count, own);
    return own;
}

STROBE_LEAVES COMMAND_UNCHECKED static inline void command_leave(const struct command_call *call,
                                                                 struct strobe_access *access) {
    if (call->access != NULL) return;
    if (access->slept != 0) metrics_count(call->metrics, METRICS_LOCK_WAIT_NS, access->slept);
    strobe_leave(access);
}

/* Frees ENTRY (or NULL), which a put or an erase left, or which was never put: after command_leave, and in EXEC when
 * the locks are left. */
void command_free_entry(const struct command_call *call, struct strobe_entry *entry);

/* The blob that holds word I of a large value already, borrowed until the handler returns; NULL: none does. */
struct strobe_blob *command_blob(const struct command_call *call, size_t i);

/* The time that relative expiry times count from, in milliseconds since 1970: EXEC has one for all its commands. */
uint64_t command_now(const struct command_call *call);

/* A snapshot for a row with COMMAND_SNAPSHOT: of now, or what EXEC opened. Owned by the caller. Results as
 * strobe_snapshot_open. */
enum strobe_status command_snapshot(const struct command_call *call, struct strobe_snapshot **snapshot);

/* Errors in Redis's words. */
void command_error_syntax(struct command_call *call);
void command_error_integer(struct command_call *call);
void command_error_arity(struct command_call *call);
void command_error_expire(struct command_call *call);     /* "invalid expire time in 'set' command" */
void command_error_subcommand(struct command_call *call); /* "unknown subcommand 'x'. Try CLIENT HELP." */
void command_error_status(struct command_call *call, enum strobe_status status); /* of the map, not OK */

/* Replies with TEXT, which it ends, or with an error if it has failed. */
struct text;
enum command_outcome command_text(struct command_call *call, struct text *text);

/* Reads word I as a number; an error is written when it answers false. */
bool command_integer(struct command_call *call, size_t i, int64_t *value);

/* Is word I this ASCII word, whatever the case of its letters? */
#define command_is(call, i, text) strobe_slice_equal_nocase(command_arg((call), (i)), STROBE_SLICE(text))

/* The most bytes a value may have now (max-value). */
size_t command_value_max(const struct command_call *call);

/* Writes an entry's value, or null for NULL, as it is inside the lock: a small one is copied, a large one
 * shared. Call strobe_reply_prepare() before the lock, so that nothing is allocated inside. */
void command_value(struct strobe_reply *reply, const struct strobe_entry *entry);

/* The same of LEN bytes from START on, which the value must have. */
void command_value_part(struct strobe_reply *reply, const struct strobe_entry *entry, size_t start, size_t len);

/* Counts keys that were looked up for reading. */
void command_looked(const struct command_call *call, uint64_t hits, uint64_t misses);

/* Are COUNT keys few enough for one atomic command? An error is written when not. */
bool command_keys_fit(struct command_call *call, size_t count);

#endif

/* slowlog.h - the commands that took long, with their words and where the time went. */
#ifndef STROBE_SERVER_SLOWLOG_H
#define STROBE_SERVER_SLOWLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/request.h"
#include "protocol/slice.h"

/* Words, and bytes of a word, that an entry keeps: Redis's figures. What is left out is told in its place. */
enum { SLOWLOG_WORDS_MAX = 32, SLOWLOG_WORD_MAX = 128 };

/* A reply that has not been taken by the peer yet, or never was. */
#define SLOWLOG_NOT_FLUSHED UINT64_MAX

/* Where the time of a command went: names in SLOWLOG GET ... PHASES, in microseconds. DURATION is EXECUTE + LOCK. */
#define SLOWLOG_PHASE_LIST(X)                                                                        \
    X(REQUEST, "request") /* from its first byte until its last was read, to the millisecond */      \
    X(LOOP, "loop")       /* from the loop's turn that read it until it began, and between slices */ \
    X(LOCK, "lock")       /* off the processor, for shards */                                        \
    X(EXECUTE, "execute") /* the rest of its own time */                                             \
    X(FLUSH, "flush")     /* from its end until the system took the reply */

enum slowlog_phase {
#define SLOWLOG_PHASE_ENUM(name, text) SLOWLOG_##name,
    SLOWLOG_PHASE_LIST(SLOWLOG_PHASE_ENUM)
#undef SLOWLOG_PHASE_ENUM
        SLOWLOG_PHASES
};

const char *slowlog_phase_name(enum slowlog_phase phase);

/* What an entry tells. */
struct slowlog_entry {
    struct slowlog_entry *newer, *older; /* the log's */
    uint64_t id;                         /* slowlog_add's: from 0, never used again */
    uint64_t time_s;                     /* when it began, since 1970 */
    uint64_t duration_us;                /* its own time */
    uint64_t phases[SLOWLOG_PHASES];
    uint64_t commands; /* short commands that took this time together; 1: this one alone */
    uint64_t conn;     /* id of the connection */
    uint64_t ended_ns; /* latency_now() at its end */
    uint64_t taken_us; /* waited for the peer to take replies before that; part of FLUSH */
    char peer[64];
    struct strobe_slice name;
    size_t argc;
    struct strobe_slice words[SLOWLOG_WORDS_MAX];
    char bytes[]; /* of the words */
};

struct slowlog;

/* Makes an empty log. Owned by the caller; NULL without memory. */
struct slowlog *slowlog_new(void);
void slowlog_free(struct slowlog *slowlog);

/* Makes an entry of REQUEST's words and the client's NAME (both copied), for the caller to fill in and to add or to
 * free(). SECRET: only the first word is kept. NULL without memory. */
struct slowlog_entry *slowlog_entry_new(const struct strobe_request *request, struct strobe_slice name, bool secret);

/* Adds ENTRY (taken), and drops the oldest beyond MOST. Any thread. */
void slowlog_add(struct slowlog *slowlog, struct slowlog_entry *entry, size_t most);

/* All replies of connection CONN are with the system as of NOW_NS. Any thread. */
void slowlog_flushed(struct slowlog *slowlog, uint64_t conn, uint64_t now_ns);

/* Calls BEGIN with the number of entries that follow, at most MOST, and VISIT for each, the newest first, all under
 * the log's lock. Any thread. */
void slowlog_visit(struct slowlog *slowlog, size_t most, void (*begin)(void *context, size_t count),
                   void (*visit)(void *context, const struct slowlog_entry *entry), void *context);

size_t slowlog_len(struct slowlog *slowlog);
void slowlog_reset(struct slowlog *slowlog);

#endif

/* change.h - replaces one entry by something made from it (APPEND, INCR, EXPIRE...), atomically. */
#ifndef STROBE_SERVER_CHANGE_H
#define STROBE_SERVER_CHANGE_H

#include <stdbool.h>

#include "map/map.h"
#include "server/command.h"

/* An entry as it was looked at, kept beyond the lock. Large: for the stack, one at a time. */
struct seen {
    uint64_t version; /* 0: there was no entry, and the rest is empty */
    uint64_t now;     /* the instant of the look, in milliseconds */
    uint64_t expiry;
    const char *value; /* SMALL, or the bytes of BLOB; LEN of them */
    size_t len;
    struct strobe_blob *blob; /* owned: a share of a large value */
    size_t type_len;
    char type[STROBE_TYPE_MAX];
    char small[STROBE_BLOB_MIN];
};

static inline bool seen_exists(const struct seen *seen) {
    return seen->version != 0;
}

/* What the entry after SEEN shall be: its key, expiry and type kept, its value to be filled in by the
 * caller. */
struct strobe_entry_spec seen_spec(const struct seen *seen, const struct strobe_key *key);

/* Looks KEY up and copies into *SEEN what it is; a large value is shared. Outside of an access. End with
 * seen_fini. */
void seen_look(struct strobe_map *map, const struct strobe_key *key, struct seen *seen) STROBE_OUTSIDE;

/* The same inside ACCESS, which holds KEY. */
void seen_look_inside(struct strobe_access *access, const struct strobe_key *key, struct seen *seen) STROBE_INSIDE;

/* The same as seen_look without the value, of which only LEN is set. Needs no end. */
void seen_glance(struct strobe_map *map, const struct strobe_key *key, struct seen *seen) STROBE_OUTSIDE;
void seen_fini(struct seen *seen);

/* Makes from SEEN what shall follow it. OK with *ENTRY: put that. OK with NULL: the entry stays as it is.
 * MISSING: the entry goes. Anything else: nothing changes, and change_entry returns it. May be called
 * several times, each time anew. */
typedef enum strobe_status change_make(void *context, const struct seen *seen, struct strobe_entry **entry);

/* Changes the entry of KEY to what MAKE says. MAKE runs outside of the lock, and again whenever somebody
 * else wrote KEY meanwhile; after some tries, and in EXEC, it runs inside of it, so that this ends. Results: OK,
 * MAKE's own, NO_MEMORY (nothing was changed). */
enum strobe_status change_entry(const struct command_call *call, const struct strobe_key *key, change_make *make,
                                void *context);

/* The same, and *VERSION becomes that of the new entry, when one was put. */
enum strobe_status change_entry_to(const struct command_call *call, const struct strobe_key *key, change_make *make,
                                   void *context, uint64_t *version);

#endif

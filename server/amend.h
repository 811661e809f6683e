/* amend.h - the two changes of a value that both doors make: bytes at its end, and a number added to it. */
#ifndef STROBE_SERVER_AMEND_H
#define STROBE_SERVER_AMEND_H

#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/slice.h"
#include "server/change.h"

/* Why a value cannot be changed so: name, Redis's words for it. */
#define AMEND_FAULT_LIST(X)                                   \
    X(NONE, NULL)                                             \
    X(NOT_INTEGER, "value is not an integer or out of range") \
    X(OVERFLOW, "increment or decrement would overflow")      \
    X(TOO_LONG, "string exceeds maximum allowed size (proto-max-bulk-len)")

enum amend_fault {
#define AMEND_FAULT_ENUM(name, text) AMEND_##name,
    AMEND_FAULT_LIST(AMEND_FAULT_ENUM)
#undef AMEND_FAULT_ENUM
};

/* What is to be done, and what came of it. The caller fills in the first part; all is borrowed. */
struct amendment {
    struct strobe_map *map;
    const struct strobe_key *key;
    struct strobe_slice bytes; /* to append */
    int64_t amount;            /* to add */
    size_t max;                /* bytes that a value may have */

    enum amend_fault fault; /* not NONE: the entry stays as it is */
    int64_t number;         /* the new length, or the new number */
};

/* Make the entry that follows SEEN, for change_entry: its expiry and type are kept, and a missing one counts as empty,
 * or as 0. Results: OK, with NULL in *ENTRY for a fault; NO_MEMORY, TOO_BIG. */
enum strobe_status amend_append(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry);
enum strobe_status amend_add(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry);

const char *amend_fault_text(enum amend_fault fault);

#endif

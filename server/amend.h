/* amend.h - changes of a part of a value: bytes at its end or elsewhere, and a number added to it. */
#ifndef STROBE_SERVER_AMEND_H
#define STROBE_SERVER_AMEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/slice.h"
#include "server/change.h"
#include "server/draft.h"
#include "server/exec.h"

/* Why a value cannot be changed so: name, Redis's words for it. */
#define AMEND_FAULT_LIST(X)                                                 \
    X(NONE, NULL)                                                           \
    X(NOT_INTEGER, "value is not an integer or out of range")               \
    X(OVERFLOW, "increment or decrement would overflow")                    \
    X(TOO_LONG, "string exceeds maximum allowed size (proto-max-bulk-len)") \
    X(TOO_MUCH, "the transaction would copy more than max-buffers leaves room for, nothing was changed")

enum amend_fault {
#define AMEND_FAULT_ENUM(name, text) AMEND_##name,
    AMEND_FAULT_LIST(AMEND_FAULT_ENUM)
#undef AMEND_FAULT_ENUM
};

/* What is to be done, and what came of it. The caller fills in the first part; all is borrowed. */
struct amendment {
    struct strobe_map *map;
    const struct strobe_key *key;
    struct strobe_slice bytes; /* to append, or to put at OFFSET */
    struct strobe_blob *blob;  /* that has them, and nothing else; NULL: none does */
    size_t offset;
    struct draft *draft; /* for bytes; ended by the caller, who then knows whether it was put */
    bool may_wait;       /* what takes long may be left to draft_step */
    int64_t amount;      /* to add */
    size_t max;          /* bytes that a value may have */
    struct exec *exec;   /* that runs the command; NULL: none does */

    enum amend_fault fault;  /* not NONE: the entry stays as it is */
    bool is_later;           /* nothing was changed: ask again when the draft is whole */
    struct strobe_blob *own; /* exec's own blob, in which the bytes are to be put when the entry was; NULL: they are */
    int64_t number;          /* the new length, or the new number */
};

/* Make the entry that follows SEEN, for change_entry: its expiry and type are kept, and a missing one counts as empty,
 * or as 0. Results: OK, with NULL in *ENTRY for a fault, for later, and when no byte is put; NO_MEMORY, TOO_BIG. */
enum strobe_status amend_append(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry);
enum strobe_status amend_overwrite(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry);
enum strobe_status amend_add(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry);

const char *amend_fault_text(enum amend_fault fault);

#endif

/* draft.h - the bytes of a large new value, made from an old one in slices.
 *
 * For one change of one key, on one thread at a time. All zero means that there is none. */
#ifndef STROBE_SERVER_DRAFT_H
#define STROBE_SERVER_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/slice.h"
#include "server/change.h"

struct draft {
    struct strobe_blob *source; /* owned: a share of the old value's; NULL: that is small, or there is none */
    const char *from;           /* its bytes, FROM_LEN of them */
    size_t from_len;
    uint64_t version; /* of the old entry */

    struct strobe_blob *blob; /* owned: the new value's first LEN bytes; NULL: there is no draft */
    size_t len, room;
    size_t offset;             /* where in it BYTES go */
    struct strobe_slice bytes; /* borrowed until the end */
    size_t done;               /* bytes that are as they shall be */
    bool is_extension;         /* BLOB is the old value's own, and has been extended */
    unsigned begun;            /* how often */
};

/* Begins the value that SEEN becomes when BYTES are put at OFFSET, with zeros before them if SEEN ends earlier; it has
 * STROBE_BLOB_MIN bytes or more. What an earlier beginning did is kept as far as it is still true. Results: no without
 * memory, and then there is no draft. */
bool draft_begin(struct draft *draft, struct strobe_map *map, const struct seen *seen, size_t offset,
                 struct strobe_slice bytes);

/* Bytes that are still to be made. */
static inline size_t draft_left(const struct draft *draft) {
    return draft->len - draft->done;
}

/* Makes at most MOST bytes. Results: yes when the value is whole, or there is no draft. */
bool draft_step(struct draft *draft, size_t most);

/* Is it whole, and made of the very value that SEEN is? */
bool draft_is_of(const struct draft *draft, const struct seen *seen, size_t offset, struct strobe_slice bytes);

/* Lets go of everything. IS_PUT: an entry with the value is in the map. DRAFT is all zero again. */
void draft_end(struct draft *draft, bool is_put);

/* Bytes of memory held beside the old value. */
size_t draft_memory(const struct draft *draft);

#endif

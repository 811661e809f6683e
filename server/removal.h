/* removal.h - the keys of a prefix, removed as of one instant: the engine of DELPREFIX and of DELETE /kv/?prefix=. */
#ifndef STROBE_SERVER_REMOVAL_H
#define STROBE_SERVER_REMOVAL_H

#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/slice.h"

struct removal;
struct services;

enum removal_step {
    REMOVAL_MORE,  /* call again */
    REMOVAL_DONE,  /* every key of the prefix that the snapshot held is gone, or was written since */
    REMOVAL_FAILED /* there is no memory to go on; some keys of the prefix are left */
};

/* Opens a snapshot of now for the keys that begin with PREFIX (copied; empty: all keys). The instant lies within this
 * call. *OUT is the caller's, to be closed. Any thread. Results: OK, NO_MEMORY, TOO_MANY. */
enum strobe_status removal_open(struct services *services, struct strobe_slice prefix, struct removal **out);

/* Removes for some hundred microseconds. One thread at a time, outside of an access. */
enum removal_step removal_step(struct removal *removal);

/* Keys removed so far. */
uint64_t removal_count(const struct removal *removal);

/* Bytes held, for max-buffers. */
size_t removal_memory(const struct removal *removal);

/* Frees REMOVAL (or NULL), also in the middle. */
void removal_close(struct removal *removal);

#endif

/* upload.h - a large value on its way in: put where it will stay while it arrives.
 *
 * One upload at a time per struct, on one thread. All zero means that none is under way. */
#ifndef STROBE_SERVER_UPLOAD_H
#define STROBE_SERVER_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/limits.h"
#include "protocol/slice.h"

struct upload {
    struct strobe_map *map;
    struct strobe_blob *blob; /* owned; NULL before the first byte */
    struct strobe_blob *old;  /* owned: where the first bytes still lie, or NULL */
    size_t room, old_room;    /* bytes of these */
    size_t total;             /* bytes that were announced; UPLOAD_UNKNOWN: none were */
    size_t tail;              /* bytes behind them that may be read with the last */
    size_t ahead;             /* see upload_expect */
    size_t len;               /* bytes that came */
    size_t moved;             /* of those that lay in OLD, how many lie in BLOB too */
    size_t behind;            /* how many lay in OLD */
};

#define UPLOAD_UNKNOWN SIZE_MAX
#define UPLOAD_FIRST   STROBE_READ_SIZE /* room at first; one of less than twice this has all its room then */

/* Begins an upload of TOTAL bytes (1 to STROBE_VALUE_MAX, or UPLOAD_UNKNOWN) for MAP (borrowed until end). Where TOTAL
 * is known, the last room has TAIL bytes more, for upload_room alone, if that is not beyond STROBE_VALUE_MAX. Allocates
 * nothing. */
void upload_begin(struct upload *upload, struct strobe_map *map, size_t total, size_t tail);

/* BYTES more, behind those of the next upload_take, have come as far as this machine (not: were announced): the next
 * room may be for some of these as well. */
void upload_expect(struct upload *upload, size_t bytes);

/* Would upload_room give the place for all that can be read at once? If not, it is worth an upload_expect. */
bool upload_has_room(const struct upload *upload);

/* The place of the next bytes, *LEN of them, for the caller to read into; they count when upload_take gets them from
 * there. *BEHIND bytes more may be written behind these (not 0 only at the end of the value), which must be elsewhere
 * before that upload_take. May grow for what is expected, and so move the place. NULL: there is none; have them
 * elsewhere. */
char *upload_room(struct upload *upload, size_t *len, size_t *behind);

/* Adds PIECE (borrowed until return), which must not pass TOTAL; it may lie in its place already. Results: no without
 * memory; all is as it was then. */
bool upload_take(struct upload *upload, struct strobe_slice piece);

/* All has come: makes the value ready, moving at most MOST bytes. Results: no when more are left: ask again. */
bool upload_settle(struct upload *upload, size_t most);

/* The value, once that is done: shared by the caller who wants to keep it. NULL when nothing came. */
struct strobe_blob *upload_value(const struct upload *upload);

/* Lets go of everything, finished or not; UPLOAD is all zero again. */
void upload_end(struct upload *upload);

/* Bytes of memory held. */
size_t upload_memory(const struct upload *upload);

#endif

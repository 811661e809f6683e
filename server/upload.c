/* upload.c - fills the blob of a large value while its bytes come, without a pause for copying it.
 *
 *      total / 4   [##########]
 *      total / 2   [##########|##########]          old: the first bytes, moved over a little with each piece
 *      total       [####......|..........|####                ]          blob: new bytes go here at once
 *
 * A value that is gathered elsewhere and copied when it is whole stops the loop for as long as the copy takes, and is
 * there twice meanwhile. A blob of the announced length would cost a client that never sends it nothing. So the room
 * doubles with what has come, and the bytes move to the new room in pieces twice as long as those that arrive.
 * Always: the room is at most twice what came (or UPLOAD_FIRST); the rooms are the total halved, again and again, so
 * the last is exact, and after each growth as much is still to come as there is to move: OLD is empty before the next.
 * On failure: no memory for the next room leaves what came where it is.
 * Not here: bodies whose length is not announced, and small ones (protocol/http_request.c gathers them).
 */
#include "server/upload.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "protocol/limits.h"

#define UPLOAD_FIRST STROBE_READ_SIZE /* room for what one read brings */

void upload_begin(struct upload *upload, struct strobe_map *map, size_t total) {
    assert(upload->map == NULL);
    *upload = (struct upload){.map = map, .total = total};
}

static size_t room_of(struct strobe_blob *blob) {
    size_t room = 0;

    if (blob != NULL) strobe_blob_bytes(blob, &room);
    return room;
}

/* Moves at most MOST bytes out of the old room, and gives it back when it is empty. */
static void move(struct upload *upload, size_t most) {
    size_t left = upload->behind - upload->moved;
    size_t len = left < most ? left : most;

    if (upload->old == NULL) return;
    memcpy(strobe_blob_bytes(upload->blob, NULL) + upload->moved, strobe_blob_bytes(upload->old, NULL) + upload->moved,
           len);
    upload->moved += len;
    if (len == left) {
        strobe_blob_release(upload->old);
        upload->old = NULL;
    }
}

/* Takes a room that NEEDED bytes fit in. */
static bool grow(struct upload *upload, size_t needed) {
    struct strobe_blob *blob;
    size_t room = upload->total;

    while (room / 2 >= needed && room / 2 >= UPLOAD_FIRST) room -= room / 2;
    blob = strobe_blob_new(upload->map, room);
    if (blob == NULL) return false;
    move(upload, SIZE_MAX); /* nothing is left by now: see above */
    upload->old = upload->blob;
    upload->behind = upload->len;
    upload->moved = 0;
    upload->blob = blob;
    return true;
}

bool upload_take(struct upload *upload, struct strobe_slice piece) {
    assert(piece.len <= upload->total - upload->len);
    if (piece.len == 0) return true;
    if (upload->len + piece.len > room_of(upload->blob) && !grow(upload, upload->len + piece.len)) return false;
    memcpy(strobe_blob_bytes(upload->blob, NULL) + upload->len, piece.data, piece.len);
    upload->len += piece.len;
    move(upload, 2 * piece.len);
    return true;
}

struct strobe_blob *upload_value(const struct upload *upload) {
    if (upload->map == NULL) return NULL;
    assert(upload->len == upload->total && upload->old == NULL);
    return upload->blob;
}

void upload_end(struct upload *upload) {
    strobe_blob_release(upload->blob);
    strobe_blob_release(upload->old);
    *upload = (struct upload){.map = NULL};
}

size_t upload_memory(const struct upload *upload) {
    return room_of(upload->blob) + room_of(upload->old);
}

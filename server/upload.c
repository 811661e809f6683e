/* upload.c - fills the blob of a large value while its bytes come, without a pause for copying it.
 *
 *      total / 4   [##########]
 *      total / 2   [##########|##########]          old: the first bytes, moved over a little with each piece
 *      total       [####......|..........|####                ]          blob: new bytes go here at once
 *
 * A value that is gathered elsewhere and copied when it is whole stops the loop for as long as the copy takes, and is
 * there twice meanwhile. A blob of the announced length would cost a client that never sends it nothing. So the room
 * doubles with what has come, and the bytes move to the new room in pieces twice as long as those that arrive. What the
 * socket holds has come too, so most values have their last room with the first bytes, and nothing to move.
 * Always: the room is at most twice what came (or UPLOAD_FIRST); the rooms are the total halved, again and again, so
 * the last is exact (but for TAIL), and after each growth as much is still to come as there is to move: OLD is empty
 * before the next, or nearly, when that is for bytes that are only expected: it moves UPLOAD_AHEAD at most.
 * Where no length is announced the rooms double, the end may come while there is something to move, which is done in
 * slices then, and what is left of the last room is given back.
 * On failure: no memory for the next room leaves what came where it is.
 * Not here: small bodies (protocol/http_request.c gathers them) and words (the input does).
 */
#include "server/upload.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define UPLOAD_AHEAD ((size_t)1 << 20) /* the most that is expected */
#define UPLOAD_WHOLE ((size_t)4 << 20) /* values of at most so many bytes are read as far as the room reaches */

void upload_begin(struct upload *upload, struct strobe_map *map, size_t total, size_t tail) {
    assert(upload->map == NULL && (tail == 0 || total != UPLOAD_UNKNOWN));
    *upload = (struct upload){.map = map, .total = total, .tail = tail};
}

void upload_expect(struct upload *upload, size_t bytes) {
    upload->ahead = bytes < UPLOAD_AHEAD ? bytes : UPLOAD_AHEAD;
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
        upload->old_room = 0;
    }
}

/* A room that NEEDED bytes fit in. */
static size_t room_for(const struct upload *upload, size_t needed) {
    size_t room = upload->total;

    if (room == UPLOAD_UNKNOWN) {
        room = needed > UPLOAD_FIRST ? needed : UPLOAD_FIRST;
        return room < STROBE_VALUE_MAX / 2 ? 2 * room : STROBE_VALUE_MAX;
    }
    while (room / 2 >= needed && room / 2 >= UPLOAD_FIRST) room -= room / 2;
    return room;
}

/* Takes a room that NEEDED bytes fit in, and those that are expected. */
static bool grow(struct upload *upload, size_t needed) {
    size_t left = upload->total - needed;
    size_t room = room_for(upload, needed + (upload->ahead < left ? upload->ahead : left));
    if (room == upload->total && upload->tail <= STROBE_VALUE_MAX - room) room += upload->tail;
    struct strobe_blob *blob = strobe_blob_new(upload->map, room);
    if (blob == NULL) return false;
    move(upload, SIZE_MAX); /* nothing is left by now: see above */
    upload->old = upload->blob;
    upload->old_room = upload->room;
    upload->behind = upload->len;
    upload->moved = 0;
    upload->blob = blob;
    upload->room = room;
    return true;
}

/* The most that is read at once. A value that is not too large in one go: if those of many clients came in turns, all
 * of them were out of the cache. Of a larger one less: its memory is new to the process, and each page a fault. */
static size_t most_read(const struct upload *upload) {
    return upload->total <= UPLOAD_WHOLE ? UPLOAD_WHOLE : STROBE_READ_SIZE;
}

bool upload_has_room(const struct upload *upload) {
    return upload->room >= upload->total || upload->room - upload->len >= most_read(upload);
}

char *upload_room(struct upload *upload, size_t *len, size_t *behind) {
    size_t left = upload->room - upload->len;

    if (upload->len == upload->total) return NULL;
    if (!upload_has_room(upload) && left < upload->ahead && !grow(upload, upload->len + 1)) return NULL;
    left = upload->room - upload->len;
    if (left == 0) return NULL;
    *behind = upload->room > upload->total ? upload->tail : 0;
    *len = left - *behind;
    if (*len > most_read(upload)) {
        *len = most_read(upload);
        *behind = 0;
    }
    return strobe_blob_bytes(upload->blob, NULL) + upload->len;
}

bool upload_take(struct upload *upload, struct strobe_slice piece) {
    assert(piece.len <= upload->total - upload->len);
    if (piece.len == 0) return true;
    if (upload->len + piece.len > upload->room && !grow(upload, upload->len + piece.len)) return false;
    char *place = strobe_blob_bytes(upload->blob, NULL) + upload->len;
    if (piece.data != place) memcpy(place, piece.data, piece.len);
    upload->len += piece.len;
    upload->ahead = 0;
    move(upload, 2 * piece.len);
    return true;
}

bool upload_settle(struct upload *upload, size_t most) {
    if (upload->len == 0) return true;
    move(upload, most);
    if (upload->old != NULL) return false;
    if (upload->room > upload->len) strobe_blob_settle(upload->blob, upload->len, 0);
    upload->room = upload->len;
    return true;
}

struct strobe_blob *upload_value(const struct upload *upload) {
    assert(upload->old == NULL && upload->len == upload->room);
    return upload->blob;
}

void upload_end(struct upload *upload) {
    strobe_blob_release(upload->blob);
    strobe_blob_release(upload->old);
    *upload = (struct upload){.map = NULL};
}

size_t upload_memory(const struct upload *upload) {
    return upload->room + upload->old_room;
}

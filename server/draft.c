/* draft.c - a changed large value, put together slice by slice before it takes the place of the old.
 *
 *      old     [##########################]                  APPEND: its own blob, if there is room behind it
 *      new     [##########################|bytes|spare]      APPEND: a copy with room for more
 *      new     [########|bytes|###########]                  SETRANGE
 *      new     [##########################|0000|bytes|spare] SETRANGE behind the end
 *
 * One byte more for a value of 200 MB would otherwise stop the loop for as long as copying it takes, each time. So the
 * copy is made in slices, with the loop's other connections in between; and one that grew has an eighth of its length
 * as spare room, which the next APPENDs take without a copy (strobe_blob_extend).
 * Always: the old value is not changed. Whoever puts an entry looks whether the key still has what the draft was made
 * of (draft_is_of); if not it begins again, and keeps what was copied if the new value is in the same blob.
 * On failure: without memory there is no draft. Not here: looking and putting (change.c), who waits (the doors).
 */
#include "server/draft.h"

#include <assert.h>
#include <string.h>

enum { SPARE_SHARE = 8 /* of a value that grew, one part in so many is room for more */ };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static void let_go(struct draft *draft, bool is_put) {
    if (draft->is_extension && !is_put) strobe_blob_retract(draft->blob, draft->from_len);
    strobe_blob_release(draft->blob);
    strobe_blob_release(draft->source);
    *draft = (struct draft){.begun = draft->begun};
}

/* The old blob itself, if there is room in it. */
static bool extend(struct draft *draft, const struct seen *seen) {
    if (seen->blob == NULL || draft->offset < seen->len ||
        strobe_blob_extend(seen->blob, seen->len, draft->len - seen->len) == NULL) {
        return false;
    }
    draft->is_extension = true;
    draft->blob = strobe_blob_share(seen->blob);
    draft->done = seen->len;
    return true;
}

static bool start_copy(struct draft *draft, struct strobe_map *map, const struct seen *seen) {
    bool grows = seen->len > 0 && draft->len > seen->len;
    size_t room = draft->len + (grows ? least(draft->len / SPARE_SHARE, STROBE_VALUE_MAX - draft->len) : 0);

    draft->blob = strobe_blob_new(map, room);
    if (draft->blob == NULL) return false;
    draft->room = room;
    if (draft->source == NULL && seen->len > 0) { /* too short to have anything behind the bytes */
        draft->done = least(seen->len, draft->offset);
        memcpy(strobe_blob_bytes(draft->blob, NULL), seen->value, draft->done);
    }
    return true;
}

bool draft_begin(struct draft *draft, struct strobe_map *map, const struct seen *seen, size_t offset,
                 struct strobe_slice bytes) {
    size_t len = offset + bytes.len > seen->len ? offset + bytes.len : seen->len;
    bool goes_on = draft->source != NULL && draft->source == seen->blob && !draft->is_extension && len <= draft->room;

    assert(len >= STROBE_BLOB_MIN);
    if (goes_on) {
        draft->done = least(least(draft->done, draft->offset), least(offset, least(draft->from_len, seen->len)));
    } else {
        let_go(draft, false);
        draft->source = seen->blob != NULL ? strobe_blob_share(seen->blob) : NULL;
    }
    draft->begun++;
    draft->from = seen->value;
    draft->from_len = seen->len;
    draft->version = seen->version;
    draft->len = len;
    draft->offset = offset;
    draft->bytes = bytes;
    if (goes_on || extend(draft, seen) || start_copy(draft, map, seen)) return true;
    let_go(draft, false);
    return false;
}

/* Makes the next piece, of at most MOST bytes; gives its length. */
static size_t make_piece(struct draft *draft, size_t most) {
    size_t at = draft->done, end = draft->offset + draft->bytes.len, to = draft->len;
    const char *from = NULL; /* zeros */

    if (at < draft->offset && at >= draft->from_len) {
        to = draft->offset;
    } else if (at >= draft->offset && at < end) {
        to = end;
        from = draft->bytes.data + (at - draft->offset);
    } else {
        if (at < draft->offset) to = least(draft->offset, draft->from_len);
        from = draft->from + at;
    }
    size_t len = least(to - at, most);
    char *place = strobe_blob_bytes(draft->blob, NULL) + at;
    if (from != NULL) {
        memcpy(place, from, len);
    } else {
        memset(place, 0, len);
    }
    draft->done += len;
    return len;
}

bool draft_step(struct draft *draft, size_t most) {
    if (draft->blob == NULL) return true;
    while (most > 0 && draft->done < draft->len) most -= make_piece(draft, most);
    if (draft->done < draft->len) return false;
    if (!draft->is_extension) strobe_blob_settle(draft->blob, draft->len, draft->room - draft->len);
    return true;
}

bool draft_is_of(const struct draft *draft, const struct seen *seen, size_t offset, struct strobe_slice bytes) {
    if (draft->blob == NULL || draft->done < draft->len || draft->offset != offset || draft->bytes.data != bytes.data ||
        draft->bytes.len != bytes.len || draft->source != seen->blob || draft->from_len != seen->len) {
        return false;
    }
    return draft->source != NULL || draft->version == seen->version;
}

void draft_end(struct draft *draft, bool is_put) {
    let_go(draft, is_put);
    draft->begun = 0;
}

size_t draft_memory(const struct draft *draft) {
    return draft->is_extension ? 0 : draft->room;
}

/* buf.c - the two byte buffers of a connection.
 *
 * struct strobe_buf is one allocation that the bytes move through:
 *
 *     data        start         end          capacity
 *      |  consumed  |    held    |    room    |
 *
 * Consuming only moves `start`. Making room first slides the bytes back to `data`, if at least half of the
 * allocation is consumed (so that a byte is moved at most once for each byte consumed), else grows by half or more.
 *
 * struct strobe_out is a list of finished runs, and one chunk that is being filled:
 *
 *     segments   [chunk A: 200 bytes] [value, borrowed: 1 MiB] [chunk A: 30000 bytes]
 *     chunk B    |  sent  |  tail ... at  |  room ... limit  |
 *
 * Always: the bytes of a chunk stay where they are until they are consumed; a chunk counts the segments that
 * name it and goes back to the pool with the last of them, unless it is the open one; at == limit once
 * the chain has failed, so that the inlined fast path of reserve needs no second test.
 * On failure: the status sticks, the bytes before stay and may still be sent.
 * Not here: writing to a socket (server/conn.c), what the bytes mean (resp_writer.c, http_writer.c). */

#include "protocol/buf.h"

#include <stdint.h>
#include <stdlib.h>

/* ---- strobe_buf ------------------------------------------------------------------------------- */

#define BUF_FIRST ((size_t)256) /* the smallest allocation; most unfinished tails are shorter */

void strobe_buf_init(struct strobe_buf *buf, size_t max) {
    *buf = (struct strobe_buf){.max = max};
}

void strobe_buf_fini(struct strobe_buf *buf) {
    if (buf->data != NULL) free(buf->data); /* mostly there is nothing, and even that is a call */
    *buf = (struct strobe_buf){.max = buf->max};
}

/* Changes the allocation to CAPACITY, which is at least what is held. */
static enum strobe_buf_status buf_resize(struct strobe_buf *buf, size_t capacity) {
    size_t held = strobe_buf_len(buf);
    char *data;

    if (buf->start > 0 && held > 0) {
        memmove(buf->data, buf->data + buf->start, held);
    }
    buf->start = 0;
    buf->end = held;
    data = realloc(buf->data, capacity);
    if (data == NULL) {
        return STROBE_BUF_NO_MEMORY;
    }
    buf->data = data;
    buf->capacity = capacity;
    return STROBE_BUF_OK;
}

/* Makes room for LEN bytes, with ROUND allowing more than that for the times to come. */
static enum strobe_buf_status buf_make_room(struct strobe_buf *buf, size_t len, bool round) {
    size_t held = strobe_buf_len(buf);
    size_t capacity;

    if (len > buf->max - held) {
        return STROBE_BUF_FULL;
    }
    if (buf->capacity - buf->end >= len) {
        return STROBE_BUF_OK;
    }
    if (held + len <= buf->capacity && buf->start >= buf->capacity / 2) {
        memmove(buf->data, buf->data + buf->start, held);
        buf->start = 0;
        buf->end = held;
        return STROBE_BUF_OK;
    }
    capacity = held + len;
    if (round) {
        size_t roomy = buf->capacity + buf->capacity / 2;

        capacity = capacity < roomy ? roomy : capacity;
        capacity = capacity < BUF_FIRST ? BUF_FIRST : capacity;
    }
    capacity = capacity < buf->max ? capacity : buf->max;
    return buf_resize(buf, capacity);
}

enum strobe_buf_status strobe_buf_reserve(struct strobe_buf *buf, size_t len) {
    return buf_make_room(buf, len, true);
}

enum strobe_buf_status strobe_buf_expect(struct strobe_buf *buf, size_t want) {
    size_t held = strobe_buf_len(buf);
    size_t room = buf->capacity - buf->end;
    size_t one_read = want < STROBE_READ_SIZE ? want : STROBE_READ_SIZE;
    size_t believed = held > STROBE_READ_SIZE ? held : STROBE_READ_SIZE;
    size_t least;

    /* Room for one read is enough until it is used up; only then it is worth growing by much. */
    if (room >= one_read && room > 0) {
        return held < buf->max ? STROBE_BUF_OK : STROBE_BUF_FULL;
    }
    believed = want < believed ? want : believed;
    /* A small hint says little: a word ends, and thousands may follow. */
    least = held / 8 > STROBE_READ_SIZE ? held / 8 : STROBE_READ_SIZE;
    least = least < buf->max - held ? least : buf->max - held;
    believed = believed > least ? believed : least;
    return buf_make_room(buf, believed > 0 ? believed : 1, false);
}

enum strobe_buf_status strobe_buf_append(struct strobe_buf *buf, struct strobe_slice bytes) {
    enum strobe_buf_status status;

    if (bytes.len == 0) {
        return STROBE_BUF_OK;
    }
    status = buf_make_room(buf, bytes.len, true);
    if (status == STROBE_BUF_OK) {
        memcpy(buf->data + buf->end, bytes.data, bytes.len);
        buf->end += bytes.len;
    }
    return status;
}

void strobe_buf_consume(struct strobe_buf *buf, size_t len) {
    assert(len <= strobe_buf_len(buf));
    buf->start += len;
    if (buf->start == buf->end) {
        buf->start = 0;
        buf->end = 0;
    }
}

void strobe_buf_trim(struct strobe_buf *buf) {
    size_t held = strobe_buf_len(buf);

    if (held == 0) {
        strobe_buf_fini(buf);
    } else if (buf->capacity > BUF_FIRST && buf->capacity / 2 > held) {
        (void)buf_resize(buf, held);
    }
}

/* ---- chunks ----------------------------------------------------------------------------------- */

struct strobe_out_chunk {
    struct strobe_out_chunk *next; /* in the pool */
    size_t refs;                   /* segments that name it */
    size_t size;                   /* bytes after this header */
    char bytes[];
};

#define CHUNK_ROOM (STROBE_OUT_CHUNK - sizeof(struct strobe_out_chunk))

static_assert(STROBE_OUT_CHUNK - sizeof(struct strobe_out_chunk) >= STROBE_OUT_RESERVE_MAX,
              "the longest reservation fits a chunk");

void strobe_out_pool_init(struct strobe_out_pool *pool, size_t max) {
    *pool = (struct strobe_out_pool){.max = max};
}

void strobe_out_pool_fini(struct strobe_out_pool *pool) {
    while (pool->spare != NULL) {
        struct strobe_out_chunk *chunk = pool->spare;

        pool->spare = chunk->next;
        free(chunk);
    }
    pool->spares = 0;
}

/* A chunk of SIZE bytes of room, from the pool when it is of the usual size. NULL: no memory. */
static struct strobe_out_chunk *chunk_get(struct strobe_out_pool *pool, size_t size) {
    struct strobe_out_chunk *chunk = pool->spare;

    if (size == CHUNK_ROOM && chunk != NULL) {
        pool->spare = chunk->next;
        pool->spares--;
        return chunk;
    }
    chunk = malloc(sizeof *chunk + size);
    if (chunk != NULL) {
        chunk->refs = 0;
        chunk->size = size;
    }
    return chunk;
}

static void chunk_put(struct strobe_out_pool *pool, struct strobe_out_chunk *chunk) {
    if (chunk->size == CHUNK_ROOM && pool->spares < pool->max) {
        chunk->next = pool->spare;
        pool->spare = chunk;
        pool->spares++;
    } else {
        free(chunk);
    }
}

/* ---- strobe_out ------------------------------------------------------------------------------- */

#define SEGMENTS_FIRST  ((size_t)8)
#define SPLICE_COPY_MAX ((size_t)4096) /* less than this is copied: cheaper than a half-empty chunk in the list */

void strobe_out_init(struct strobe_out *out, struct strobe_out_pool *pool, size_t max) {
    *out = (struct strobe_out){.pool = pool, .max = max};
}

/* Room is counted from the tail: nothing is taken that would let the pending bytes pass the maximum. */
static void out_set_limit(struct strobe_out *out) {
    size_t room = (size_t)(out->open->bytes + out->open->size - out->at);
    size_t allowed = out->max - strobe_out_pending(out);

    out->limit = out->at + (room < allowed ? room : allowed);
}

static void out_fail(struct strobe_out *out, enum strobe_buf_status status) {
    if (out->status == STROBE_BUF_OK) {
        out->status = status;
    }
    out->limit = out->at;
}

static void out_open(struct strobe_out *out, struct strobe_out_chunk *chunk) {
    out->open = chunk;
    out->tail = chunk->bytes;
    out->at = chunk->bytes;
    out->held += sizeof *chunk + chunk->size;
    out_set_limit(out);
}

static void out_drop_chunk(struct strobe_out *out, struct strobe_out_chunk *chunk) {
    out->held -= sizeof *chunk + chunk->size;
    chunk_put(out->pool, chunk);
}

/* The open chunk is filled no more; it lives on if segments name it. */
static void out_close(struct strobe_out *out) {
    if (out->open != NULL && out->open->refs == 0) {
        out_drop_chunk(out, out->open);
    }
    out->open = NULL;
    out->tail = NULL;
    out->at = NULL;
    out->limit = NULL;
}

/* Room in the table for N more segments. */
static enum strobe_buf_status out_grow_segments(struct strobe_out *out, size_t n) {
    struct strobe_out_segment *segments;
    size_t capacity = out->capacity == 0 ? SEGMENTS_FIRST : out->capacity;

    if (out->first + out->count + n <= out->capacity) {
        return STROBE_BUF_OK;
    }
    /* Slide only when half of the table is free in front: then each slide is paid for by as many consumed. */
    if (out->first >= out->capacity / 2 && out->count + n <= out->capacity) {
        memmove(out->segments, out->segments + out->first, out->count * sizeof *segments);
        out->first = 0;
        return STROBE_BUF_OK;
    }
    while (capacity < out->first + out->count + n) {
        capacity *= 2;
    }
    segments = realloc(out->segments, capacity * sizeof *segments);
    if (segments == NULL) {
        return STROBE_BUF_NO_MEMORY;
    }
    out->held += (capacity - out->capacity) * sizeof *segments;
    out->segments = segments;
    out->capacity = capacity;
    return STROBE_BUF_OK;
}

/* There is room in the table. */
static void out_push(struct strobe_out *out, struct strobe_out_segment segment) {
    out->segments[out->first + out->count++] = segment;
    out->sealed += segment.len;
}

/* Makes the bytes of the open chunk a segment, for which there is room in the table. */
static void out_seal(struct strobe_out *out) {
    if (out->at != out->tail) {
        size_t len = (size_t)(out->at - out->tail);

        out->tail = out->at;
        out->open->refs++;
        out_push(out, (struct strobe_out_segment){out->at - len, len, NULL, out->open});
    }
}

/* Lets go what SEGMENT kept, when its bytes are no longer wanted. */
static void out_release(struct strobe_out *out, struct strobe_out_segment segment) {
    if (segment.release != NULL) {
        out->held -= segment.len;
        segment.release(segment.owner);
    } else {
        struct strobe_out_chunk *chunk = segment.owner;

        chunk->refs--;
        if (chunk->refs == 0 && chunk != out->open) {
            out_drop_chunk(out, chunk);
        }
    }
}

/* Nothing is pending: gives back all but a small table. */
static void out_drained(struct strobe_out *out) {
    out_close(out);
    out->first = 0;
    if (out->capacity > SEGMENTS_FIRST) {
        out->held -= out->capacity * sizeof *out->segments;
        free(out->segments);
        out->segments = NULL;
        out->capacity = 0;
    }
}

static void out_drop_all(struct strobe_out *out) {
    while (out->count > 0) {
        struct strobe_out_segment segment = out->segments[out->first];

        out->first++;
        out->count--;
        out->sealed -= segment.len;
        out_release(out, segment);
    }
    out_drained(out);
}

void strobe_out_fini(struct strobe_out *out) {
    out_drop_all(out);
    free(out->segments);
    strobe_out_init(out, out->pool, out->max);
}

/* Seals the open chunk and opens another. */
static bool out_next_chunk(struct strobe_out *out) {
    struct strobe_out_chunk *chunk;

    if (out->at != out->tail && out_grow_segments(out, 1) != STROBE_BUF_OK) {
        return false;
    }
    chunk = chunk_get(out->pool, CHUNK_ROOM);
    if (chunk == NULL) {
        return false;
    }
    out_seal(out);
    out_close(out);
    out_open(out, chunk);
    return true;
}

char *strobe_out_reserve_slow(struct strobe_out *out, size_t len) {
    assert(len > 0 && len <= STROBE_OUT_RESERVE_MAX);
    if (out->status != STROBE_BUF_OK) {
        return NULL;
    }
    if (len > out->max - strobe_out_pending(out)) {
        out_fail(out, STROBE_BUF_FULL);
        return NULL;
    }
    if (out->open != NULL) {
        out_set_limit(out); /* what was sent since made room under the maximum */
    }
    if ((size_t)(out->limit - out->at) < len && !out_next_chunk(out)) {
        out_fail(out, STROBE_BUF_NO_MEMORY);
        return NULL;
    }
    return out->at;
}

void strobe_out_append(struct strobe_out *out, struct strobe_slice bytes) {
    if (bytes.len > out->max - strobe_out_pending(out)) {
        out_fail(out, STROBE_BUF_FULL);
        return;
    }
    while (bytes.len > 0) {
        char *room = strobe_out_reserve(out, 1);
        size_t len = (size_t)(out->limit - out->at);

        if (room == NULL) {
            return;
        }
        len = len < bytes.len ? len : bytes.len;
        memcpy(room, bytes.data, len);
        strobe_out_commit(out, len);
        bytes.data += len;
        bytes.len -= len;
    }
}

/* Checks that LEN more bytes in N more segments (and one for the open chunk) can be taken. */
static bool out_admit(struct strobe_out *out, size_t len, size_t n) {
    if (out->status != STROBE_BUF_OK) {
        return false;
    }
    if (len > out->max - strobe_out_pending(out)) {
        out_fail(out, STROBE_BUF_FULL);
        return false;
    }
    if (out_grow_segments(out, n + 1) != STROBE_BUF_OK) {
        out_fail(out, STROBE_BUF_NO_MEMORY);
        return false;
    }
    return true;
}

void strobe_out_borrow(struct strobe_out *out, struct strobe_slice bytes, strobe_release *release, void *owner) {
    if (bytes.len == 0 || !out_admit(out, bytes.len, 1)) {
        release(owner);
        return;
    }
    out_seal(out);
    out_push(out, (struct strobe_out_segment){bytes.data, bytes.len, release, owner});
    out->held += bytes.len;
    if (out->open != NULL) {
        out_set_limit(out);
    }
}

/* Moves all of FROM behind OUT's segments, for which there is room in the table. */
static void out_move(struct strobe_out *out, struct strobe_out *from) {
    size_t table = from->capacity * sizeof *from->segments;

    out_seal(out);
    for (size_t i = 0; i < from->count; i++) {
        out_push(out, from->segments[from->first + i]);
    }
    if (from->at != from->tail) {
        size_t len = (size_t)(from->at - from->tail);

        from->open->refs++;
        out_push(out, (struct strobe_out_segment){from->tail, len, NULL, from->open});
    }
    out_close(from);
    out->held += from->held - table;
    from->held = table;
    from->first = 0;
    from->count = 0;
    from->sealed = 0;
    if (out->open != NULL) {
        out_set_limit(out);
    }
}

void strobe_out_splice(struct strobe_out *out, struct strobe_out *from) {
    size_t len = strobe_out_pending(from);

    assert(out->pool == from->pool);
    if (from->status != STROBE_BUF_OK) {
        out_fail(out, from->status);
        from->status = STROBE_BUF_OK;
    } else if (from->count == 0 && len <= SPLICE_COPY_MAX) {
        strobe_out_append(out, strobe_slice_make(from->tail, len));
    } else if (out_admit(out, len, from->count + 1)) {
        out_move(out, from);
    }
    out_drop_all(from);
}

size_t strobe_out_gather(const struct strobe_out *out, struct iovec *vec, size_t max) {
    size_t n = out->count < max ? out->count : max;

    for (size_t i = 0; i < n; i++) {
        const struct strobe_out_segment *segment = &out->segments[out->first + i];

        vec[i] = (struct iovec){(void *)segment->data, segment->len};
    }
    if (n < max && out->at != out->tail) {
        vec[n++] = (struct iovec){out->tail, (size_t)(out->at - out->tail)};
    }
    return n;
}

struct strobe_slice strobe_out_peek(const struct strobe_out *out, size_t offset) {
    assert(offset < strobe_out_pending(out));
    if (offset >= out->sealed) {
        offset -= out->sealed;
        return strobe_slice_make(out->tail + offset, (size_t)(out->at - out->tail) - offset);
    }
    for (const struct strobe_out_segment *segment = &out->segments[out->first];; segment++) {
        if (offset < segment->len) return strobe_slice_make(segment->data + offset, segment->len - offset);
        offset -= segment->len;
    }
}

void strobe_out_consume(struct strobe_out *out, size_t len) {
    assert(len <= strobe_out_pending(out));
    while (out->count > 0 && len > 0) {
        struct strobe_out_segment *segment = &out->segments[out->first];
        struct strobe_out_segment gone = *segment;

        if (len < gone.len) {
            segment->data += len;
            segment->len -= len;
            out->sealed -= len;
            out->held -= gone.release != NULL ? len : 0;
            return;
        }
        len -= gone.len;
        out->sealed -= gone.len;
        out->first++;
        out->count--;
        out_release(out, gone);
    }
    if (len > 0) {
        out->tail += len;
    }
    if (strobe_out_pending(out) == 0) {
        out_drained(out);
    }
}

void strobe_out_shrink(struct strobe_out *out) {
    struct strobe_out_chunk *small;
    size_t len = (size_t)(out->at - out->tail);

    if (len == 0 || out->open->refs > 0 || len > out->open->size / 8) {
        return;
    }
    small = chunk_get(out->pool, len);
    if (small == NULL) {
        return;
    }
    memcpy(small->bytes, out->tail, len);
    out_close(out);
    out_open(out, small);
    out->at = small->bytes + len;
    out->limit = out->at;
}

/* Takes DROP bytes from the end of the segments. A run that is cut becomes the open chunk again. */
static void out_unseal(struct strobe_out *out, size_t drop) {
    while (drop > 0) {
        struct strobe_out_segment last = out->segments[out->first + out->count - 1];

        out->count--;
        out->sealed -= last.len;
        if (last.len > drop) {
            struct strobe_out_chunk *chunk = last.owner;

            assert(last.release == NULL);
            out_close(out);
            chunk->refs--;
            out->open = chunk;
            out->tail = chunk->bytes + (last.data - chunk->bytes);
            out->at = out->tail + (last.len - drop);
            return;
        }
        drop -= last.len;
        out_release(out, last);
    }
}

void strobe_out_rewind(struct strobe_out *out, struct strobe_out_mark mark) {
    size_t open = (size_t)(out->at - out->tail);
    size_t drop;

    assert(strobe_out_pending(out) >= mark.pending);
    drop = strobe_out_pending(out) - mark.pending;
    if (drop > open) {
        out->at = out->tail;
        out_unseal(out, drop - open);
    } else if (drop > 0) {
        out->at -= drop;
    }
    out->status = mark.status;
    if (strobe_out_pending(out) == 0) {
        out_drained(out);
    } else if (out->open != NULL && out->status == STROBE_BUF_OK) {
        out_set_limit(out);
    } else {
        out->limit = out->at;
    }
}

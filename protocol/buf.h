/* buf.h - bytes on their way in (struct strobe_buf) and out (struct strobe_out).
 *
 * Neither knows a socket. Both are born with a maximum, grow with what really arrives, answer lack of
 * memory with a status, and hold no memory when they are empty and trimmed. One thread at a time. */
#ifndef STROBE_PROTOCOL_BUF_H
#define STROBE_PROTOCOL_BUF_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "protocol/limits.h"
#include "protocol/slice.h"

enum strobe_buf_status {
    STROBE_BUF_OK,
    STROBE_BUF_NO_MEMORY, /* the allocator said no */
    STROBE_BUF_FULL       /* the buffer's maximum would be passed */
};

/* ---- in: one contiguous run of bytes ---------------------------------------------------------- */

struct strobe_buf {
    char *data;      /* owned; NULL while capacity is 0 */
    size_t start;    /* offset of the first byte held */
    size_t end;      /* offset after the last byte held */
    size_t capacity; /* bytes allocated */
    size_t max;      /* never holds more than this many bytes */
};

/* Starts BUF empty, allocating nothing. MAX in bytes. Ends with strobe_buf_fini(). */
void strobe_buf_init(struct strobe_buf *buf, size_t max);

/* Frees what BUF owns; it may be inited again. */
void strobe_buf_fini(struct strobe_buf *buf);

/* The bytes held, borrowed until the next call that changes BUF. */
static inline struct strobe_slice strobe_buf_bytes(const struct strobe_buf *buf) {
    return (struct strobe_slice){buf->start == buf->end ? NULL : buf->data + buf->start, buf->end - buf->start};
}

static inline size_t strobe_buf_len(const struct strobe_buf *buf) {
    return buf->end - buf->start;
}

/* Makes room for at least LEN more bytes after those held; grows by doubling, never beyond the
 * maximum. May move the bytes. Results: OK, NO_MEMORY, FULL; BUF keeps its bytes in every case. */
enum strobe_buf_status strobe_buf_reserve(struct strobe_buf *buf, size_t len);

/* Makes room for the next read when WANT more bytes are said to come (a parser's hint, believed only
 * as far as bytes have arrived). When not even one read of STROBE_READ_SIZE fits, grows by WANT, but by no more
 * than BUF already holds or STROBE_READ_SIZE, whichever is more, and by no less than an eighth of what it holds or
 * STROBE_READ_SIZE. So a length that is only announced costs one read's room, a large value arrives in amortized linear
 * work, and mostly without overshooting its end, and so do many small words. Results as reserve. */
enum strobe_buf_status strobe_buf_expect(struct strobe_buf *buf, size_t want);

/* The room after the bytes held, to be written into, then told with strobe_buf_added(). Borrowed
 * until the next call that changes BUF. May be of length 0: reserve first. */
static inline char *strobe_buf_room(const struct strobe_buf *buf, size_t *len) {
    size_t held = buf->end - buf->start;
    size_t room = buf->capacity - buf->end;

    *len = room < buf->max - held ? room : buf->max - held;
    return buf->data == NULL ? NULL : buf->data + buf->end;
}

/* Says that LEN bytes were written at strobe_buf_room(). */
static inline void strobe_buf_added(struct strobe_buf *buf, size_t len) {
    assert(len <= buf->capacity - buf->end);
    buf->end += len;
}

/* Copies BYTES (borrowed until return, not from BUF itself) to the end. Results: OK, NO_MEMORY, FULL;
 * all or nothing. */
enum strobe_buf_status strobe_buf_append(struct strobe_buf *buf, struct strobe_slice bytes);

/* Drops the first LEN bytes held (LEN at most strobe_buf_len()). Moves nothing, frees nothing. */
void strobe_buf_consume(struct strobe_buf *buf, size_t len);

/* Gives memory back: all of it when BUF is empty, else what is beyond twice the bytes held.
 * Cannot fail: a shrinking that finds no memory leaves BUF as it is. */
void strobe_buf_trim(struct strobe_buf *buf);

/* ---- out: a chain of segments for gathered writes --------------------------------------------- */

/* Frees or gives back OWNER, which a borrowed segment had kept alive. */
typedef void strobe_release(void *owner);

struct strobe_out_chunk; /* buf.c */

/* Chunks kept for reuse, one pool a loop. Outlives every strobe_out that uses it. */
struct strobe_out_pool {
    struct strobe_out_chunk *spare; /* owned list */
    size_t spares;                  /* chunks in it */
    size_t max;                     /* chunks it keeps at most */
};

/* A run of bytes that is complete: part of a chunk, or borrowed. */
struct strobe_out_segment {
    const char *data;
    size_t len;
    strobe_release *release; /* NULL for a part of a chunk */
    void *owner;             /* what `release` gets, or the chunk */
};

struct strobe_out {
    char *tail;                    /* first unsent byte of the open chunk; the bytes [tail, at) follow the segments */
    char *at;                      /* where the next small byte goes */
    char *limit;                   /* small bytes fit before it; == at once the chain has failed */
    struct strobe_out_chunk *open; /* chunk of the three above, or NULL */
    struct strobe_out_segment *segments; /* owned array; [first, first + count) are waiting, oldest first */
    size_t first, count, capacity;
    size_t sealed;                /* bytes in the segments */
    size_t held;                  /* see strobe_out_memory() */
    size_t max;                   /* pending bytes never pass it */
    struct strobe_out_pool *pool; /* borrowed until fini */
    enum strobe_buf_status status;
};

/* A place in the chain that strobe_out_rewind() goes back to. */
struct strobe_out_mark {
    size_t pending;
    enum strobe_buf_status status;
};

/* Starts an empty pool that keeps up to MAX chunks. Ends with strobe_out_pool_fini(). */
void strobe_out_pool_init(struct strobe_out_pool *pool, size_t max);
void strobe_out_pool_fini(struct strobe_out_pool *pool);

/* Starts OUT empty, allocating nothing. Borrows POOL until fini. MAX pending bytes. */
void strobe_out_init(struct strobe_out *out, struct strobe_out_pool *pool, size_t max);

/* Drops what is pending (borrowed segments are released) and frees what OUT owns. */
void strobe_out_fini(struct strobe_out *out);

/* OK, or why an append failed. It sticks: every append after a failed one does nothing, so a batch of
 * replies is written without looking and the status is asked for once. Only rewind clears it. */
static inline enum strobe_buf_status strobe_out_status(const struct strobe_out *out) {
    return out->status;
}

/* Bytes that wait to be sent. */
static inline size_t strobe_out_pending(const struct strobe_out *out) {
    return out->sealed + (size_t)(out->at - out->tail);
}

/* Bytes of memory that OUT keeps from others: whole chunks, the segment table, what is unsent of borrowed
 * values. */
static inline size_t strobe_out_memory(const struct strobe_out *out) {
    return out->held;
}

/* The slow half of strobe_out_reserve(): opens a chunk. */
char *strobe_out_reserve_slow(struct strobe_out *out, size_t len);

/* Contiguous room for LEN bytes (1 to STROBE_OUT_RESERVE_MAX), to be written into and then told with
 * strobe_out_commit(), which may say fewer. Borrowed until the next call. NULL when the chain has
 * failed, now or before; the maximum counts all of LEN. */
static inline char *strobe_out_reserve(struct strobe_out *out, size_t len) {
    return (size_t)(out->limit - out->at) >= len ? out->at : strobe_out_reserve_slow(out, len);
}

/* Says that LEN bytes were written at the last strobe_out_reserve(). */
static inline void strobe_out_commit(struct strobe_out *out, size_t len) {
    assert(len <= (size_t)(out->limit - out->at));
    out->at += len;
}

/* Copies BYTES, of any length, to the end (borrowed until return). Failure is in the status; then
 * nothing of it, or a part that rewind removes, was appended. */
void strobe_out_append(struct strobe_out *out, struct strobe_slice bytes);

/* Appends BYTES without a copy. Takes one hold on OWNER in every case and lets it go with
 * RELEASE(OWNER), on this thread: when the bytes were consumed, rewound, dropped, or at once on failure.
 * BYTES must not change until then. */
void strobe_out_borrow(struct strobe_out *out, struct strobe_slice bytes, strobe_release *release, void *owner);

/* Moves all of FROM (same pool) to the end of OUT, without copying more than a few KiB; a failed
 * FROM fails OUT. FROM ends empty with status OK. Failure is in OUT's status; then FROM's bytes are dropped. */
void strobe_out_splice(struct strobe_out *out, struct strobe_out *from);

/* Fills VEC with the first pending runs of bytes, at most MAX of them; gives their number, 0 when
 * nothing is pending. The bytes stay where they are until consumed: appends never move them, so a
 * write may be under way meanwhile. */
size_t strobe_out_gather(const struct strobe_out *out, struct iovec *vec, size_t max);

/* The run of bytes in one piece that begins OFFSET bytes behind the first that is pending (OFFSET below pending).
 * Borrowed like those of gather. Walks the segments before it. */
struct strobe_slice strobe_out_peek(const struct strobe_out *out, size_t offset);

/* Drops the first LEN pending bytes, which were sent (LEN at most pending). A drained chain gives its
 * chunks back to the pool. */
void strobe_out_consume(struct strobe_out *out, size_t len);

/* Before a wait on a slow reader, when no write is under way: a few bytes in a large chunk move to a
 * chunk of their size, so that many stalled readers cost little. Cannot fail: at worst nothing moves. */
void strobe_out_shrink(struct strobe_out *out);

/* Marks the end of the chain; rewind drops everything appended since, and the status with it. Between
 * the two nothing may be consumed. */
static inline struct strobe_out_mark strobe_out_mark(const struct strobe_out *out) {
    return (struct strobe_out_mark){strobe_out_pending(out), out->status};
}
void strobe_out_rewind(struct strobe_out *out, struct strobe_out_mark mark);

#endif

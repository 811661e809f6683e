/* reply.h - what a command's handler writes its answer with. It never learns which protocol it speaks.
 *
 * A reply is one item, or an aggregate header of N followed by its N items (2N for a map). The meaning is
 * Redis's; the encoding is an encoder's: resp_writer.h has RESP2 and RESP3, a JSON one (POST /batch) is a further
 * `struct strobe_reply_ops`. What an encoder needs beyond the bytes (commas, nesting) it keeps behind
 * `state`, and it learns where each item ends: nothing here relies on the items being RESP.
 *
 * Failure (no memory, reply too large) sticks to the out chain, see strobe_out_status(): write the whole reply, then
 * look once. strobe_reply_mark() before a command and strobe_reply_rewind() after take half a reply back.
 * One thread at a time. */
#ifndef STROBE_PROTOCOL_REPLY_H
#define STROBE_PROTOCOL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/buf.h"
#include "protocol/slice.h"

enum strobe_reply_kind { STROBE_REPLY_ARRAY, STROBE_REPLY_MAP, STROBE_REPLY_SET, STROBE_REPLY_PUSH };

struct strobe_reply {
    const struct strobe_reply_ops *ops; /* the encoder */
    struct strobe_out *out;             /* borrowed: where the bytes go */
    void *state;                        /* the encoder's own, or NULL */
    size_t errors;                      /* error items written so far: "did the command fail?" */
    bool texts;                         /* versions are texts: who reads this holds numbers as floating point (JSON) */
};

/* An encoder: one function for each kind of item. All slices are borrowed until return. */
struct strobe_reply_ops {
    void (*status)(struct strobe_reply *reply, struct strobe_slice text);
    void (*error)(struct strobe_reply *reply, struct strobe_slice code, struct strobe_slice text);
    void (*integer)(struct strobe_reply *reply, int64_t value);
    void (*real)(struct strobe_reply *reply, double value);
    void (*boolean)(struct strobe_reply *reply, bool value);
    void (*null)(struct strobe_reply *reply);
    void (*null_array)(struct strobe_reply *reply);
    void (*bulk)(struct strobe_reply *reply, struct strobe_slice bytes);
    void (*bulk_borrowed)(struct strobe_reply *reply, struct strobe_slice bytes, strobe_release *release, void *owner);
    char *(*bulk_begin)(struct strobe_reply *reply, size_t len);
    void (*bulk_end)(struct strobe_reply *reply);
    void (*verbatim)(struct strobe_reply *reply, const char format[3], struct strobe_slice text);
    void (*big_number)(struct strobe_reply *reply, struct strobe_slice digits);
    void (*header)(struct strobe_reply *reply, enum strobe_reply_kind kind, size_t n);
    void (*aside)(struct strobe_reply *reply, bool begin); /* items now go aside / to the reply again */
};

/* "+OK": a short word; CR and LF in it become spaces where the encoding needs that. */
static inline void strobe_reply_status(struct strobe_reply *reply, struct strobe_slice text) {
    reply->ops->status(reply, text);
}

static inline void strobe_reply_ok(struct strobe_reply *reply) {
    reply->ops->status(reply, STROBE_SLICE("OK"));
}

/* "-CODE text": CODE one word in capitals ("ERR", "NOSCAN"), TEXT a sentence. */
void strobe_reply_error(struct strobe_reply *reply, const char *code, const char *text);

/* The same from a printf format, cut at STROBE_ERROR_TEXT_MAX bytes. */
void strobe_reply_errorf(struct strobe_reply *reply, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline void strobe_reply_integer(struct strobe_reply *reply, int64_t value) {
    reply->ops->integer(reply, value);
}

/* The version of an entry: an integer, or a bulk string where reply->texts says so. */
void strobe_reply_version(struct strobe_reply *reply, uint64_t version);

/* A text that reads back as VALUE, see strobe_number_format_double(). */
static inline void strobe_reply_real(struct strobe_reply *reply, double value) {
    reply->ops->real(reply, value);
}

static inline void strobe_reply_boolean(struct strobe_reply *reply, bool value) {
    reply->ops->boolean(reply, value);
}

/* No such value. */
static inline void strobe_reply_null(struct strobe_reply *reply) {
    reply->ops->null(reply);
}

/* No such list (an aborted EXEC); differs from null in RESP2 only. */
static inline void strobe_reply_null_array(struct strobe_reply *reply) {
    reply->ops->null_array(reply);
}

/* Copies BYTES, of any length. */
static inline void strobe_reply_bulk(struct strobe_reply *reply, struct strobe_slice bytes) {
    reply->ops->bulk(reply, bytes);
}

/* BYTES without a copy. Takes one hold on OWNER in every case, see strobe_out_borrow(). */
static inline void strobe_reply_bulk_borrowed(struct strobe_reply *reply, struct strobe_slice bytes,
                                              strobe_release *release, void *owner) {
    reply->ops->bulk_borrowed(reply, bytes, release, owner);
}

/* A bulk of LEN bytes (at most STROBE_COPY_MAX) that the caller writes itself, e.g. straight from a map entry
 * under its lock, and then ends. Borrowed until bulk_end. NULL: failed, write nothing, end all the same.
 * After strobe_reply_prepare() it does not allocate. */
static inline char *strobe_reply_bulk_begin(struct strobe_reply *reply, size_t len) {
    return reply->ops->bulk_begin(reply, len);
}
static inline void strobe_reply_bulk_end(struct strobe_reply *reply) {
    reply->ops->bulk_end(reply);
}

/* Before a lock is taken: makes sure that the next bulk_begin of any allowed length, or any one item that is
 * no longer than that, will not allocate. false: no memory, and the chain has failed. */
static inline bool strobe_reply_prepare(struct strobe_reply *reply) {
    return strobe_out_reserve(reply->out, STROBE_OUT_RESERVE_MAX) != NULL;
}

/* A decimal number as a bulk string (a cursor, what INCRBYFLOAT answers): text in RESP2 and RESP3 alike. */
void strobe_reply_bulk_uint64(struct strobe_reply *reply, uint64_t value);

/* Text for people; FORMAT is "txt" or "mkd". */
static inline void strobe_reply_verbatim(struct strobe_reply *reply, const char format[3], struct strobe_slice text) {
    reply->ops->verbatim(reply, format, text);
}

/* An integer of any size, as decimal digits with an optional minus. */
static inline void strobe_reply_big_number(struct strobe_reply *reply, struct strobe_slice digits) {
    reply->ops->big_number(reply, digits);
}

/* N items follow. */
static inline void strobe_reply_array(struct strobe_reply *reply, size_t n) {
    reply->ops->header(reply, STROBE_REPLY_ARRAY, n);
}

/* N pairs, 2N items, follow. */
static inline void strobe_reply_map(struct strobe_reply *reply, size_t n) {
    reply->ops->header(reply, STROBE_REPLY_MAP, n);
}

static inline void strobe_reply_set(struct strobe_reply *reply, size_t n) {
    reply->ops->header(reply, STROBE_REPLY_SET, n);
}

/* Out of band; only where the client asked for it. */
static inline void strobe_reply_push(struct strobe_reply *reply, size_t n) {
    reply->ops->header(reply, STROBE_REPLY_PUSH, n);
}

/* ---- items whose number is known only afterwards ---------------------------------------------- */

/* A page of SCAN is `[cursor, [key...]]`, and neither cursor nor count is known before the keys:
 *
 *     strobe_reply_aside_begin(reply, &aside);      keys from here on are put aside
 *     ... strobe_reply_bulk() for each key, n of them ...
 *     strobe_reply_aside_end(reply, &aside);
 *     strobe_reply_array(reply, 2);
 *     strobe_reply_bulk_uint64(reply, cursor);
 *     strobe_reply_array_from(reply, &aside, n);    the header, and the keys without a copy
 */
struct strobe_reply_aside {
    struct strobe_out out;   /* what was put aside */
    struct strobe_out *main; /* the reply's own chain meanwhile */
};

/* From now on items go aside. Not nested. */
void strobe_reply_aside_begin(struct strobe_reply *reply, struct strobe_reply_aside *aside);

/* Items go to the reply again. ASIDE must then be given to array_from, splice or aside_drop. */
void strobe_reply_aside_end(struct strobe_reply *reply, struct strobe_reply_aside *aside);

/* An array of the N items put aside. Takes ASIDE's items. */
void strobe_reply_array_from(struct strobe_reply *reply, struct strobe_reply_aside *aside, size_t n);

/* The items put aside as they are, where whole items go. Takes ASIDE's items. */
void strobe_reply_splice(struct strobe_reply *reply, struct strobe_reply_aside *aside);

/* Forgets what was put aside. */
void strobe_reply_aside_drop(struct strobe_reply_aside *aside);

/* ---- taking half a reply back ----------------------------------------------------------------- */

struct strobe_reply_mark {
    struct strobe_out_mark out;
    size_t errors;
};

/* Taken between two items that are whole, and used before others are put aside or taken from there. */
static inline struct strobe_reply_mark strobe_reply_mark(const struct strobe_reply *reply) {
    return (struct strobe_reply_mark){strobe_out_mark(reply->out), reply->errors};
}

/* Drops all that was written since MARK, and the failure with it, so that an error can be written in
 * its place. Nothing may have been sent in between. */
static inline void strobe_reply_rewind(struct strobe_reply *reply, struct strobe_reply_mark mark) {
    strobe_out_rewind(reply->out, mark.out);
    reply->errors = mark.errors;
}

#endif

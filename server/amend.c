/* amend.c - APPEND, SETRANGE and INCRBY as functions of an old entry, for the commands and for PATCH.
 *
 *      small       copied
 *      large       extended in place, or copied to a draft: at once if that is little, else in slices, and put later
 *      in EXEC     changed in place, if the command before made the blob
 *
 * They run outside of the lock (change.h), and in EXEC inside, where nothing can wait. What is changed in place is
 * written by the caller when the entry is put, so that a failure leaves the value as it was. A draft that was overtaken
 * by other changes DRAFTS_MAX times is made at once, so that it ends. On failure nothing is made.
 * Not here: who reads the number and how a fault is told (cmd_strings.c, http_patch.c). */
#include "server/amend.h"

#include <string.h>

#include "protocol/limits.h"
#include "protocol/number.h"

enum { DRAFTS_MAX = 8 };

/* An entry like SEEN but with a value of LEN bytes, VALUE if that is not NULL. */
static enum strobe_status make_value(const struct amendment *amendment, const struct seen *seen, const char *value,
                                     size_t len, struct strobe_entry **entry) {
    struct strobe_entry_spec spec = seen_spec(seen, amendment->key);

    spec.value = value;
    spec.len = len;
    return strobe_entry_new(amendment->map, &spec, entry);
}

static enum strobe_status stay(struct amendment *amendment, enum amend_fault fault) {
    amendment->fault = fault;
    return STROBE_OK;
}

/* A value that is kept in the entry itself. */
static enum strobe_status write_small(const struct amendment *amendment, const struct seen *seen, size_t offset,
                                      size_t len, struct strobe_entry **entry) {
    struct strobe_slice bytes = amendment->bytes;
    size_t end = offset + bytes.len, kept = seen->len < offset ? seen->len : offset;
    enum strobe_status status = make_value(amendment, seen, NULL, len, entry);
    char *fill;

    if (status != STROBE_OK) return status;
    fill = strobe_entry_fill(*entry);
    if (kept > 0) memcpy(fill, seen->value, kept);
    if (offset > kept) memset(fill + kept, 0, offset - kept);
    if (bytes.len > 0) memcpy(fill + offset, bytes.data, bytes.len);
    if (seen->len > end) memcpy(fill + end, seen->value + end, seen->len - end);
    return STROBE_OK;
}

/* An entry like SEEN with the first LEN bytes of BLOB. */
static enum strobe_status make_shared(const struct amendment *amendment, const struct seen *seen,
                                      struct strobe_blob *blob, size_t len, struct strobe_entry **entry) {
    struct strobe_entry_spec spec = seen_spec(seen, amendment->key);

    spec.blob = blob;
    spec.len = len;
    return strobe_entry_new(amendment->map, &spec, entry);
}

static enum strobe_status write_large(struct amendment *amendment, const struct seen *seen, size_t offset, size_t len,
                                      struct strobe_entry **entry) {
    struct strobe_slice bytes = amendment->bytes;
    struct draft *draft = amendment->draft;

    if (bytes.len == 0) return make_shared(amendment, seen, seen->blob, len, entry);
    if (bytes.len == len && amendment->blob != NULL) return make_shared(amendment, seen, amendment->blob, len, entry);
    if (amendment->exec != NULL && len == seen->len && exec_owns(amendment->exec, seen->blob)) {
        amendment->own = seen->blob;
        return make_shared(amendment, seen, seen->blob, len, entry);
    }
    if (!draft_is_of(draft, seen, offset, bytes)) {
        if (!draft_begin(draft, amendment->map, seen, offset, bytes)) return STROBE_NO_MEMORY;
        if (amendment->exec != NULL && !draft->is_extension && !exec_may_copy(amendment->exec, draft->room)) {
            draft_end(draft, false);
            return stay(amendment, AMEND_TOO_MUCH);
        }
        amendment->is_later =
            amendment->may_wait && draft->begun <= DRAFTS_MAX && draft_left(draft) > STROBE_CHANGE_AT_ONCE;
        if (amendment->is_later) return STROBE_OK;
        (void)draft_step(draft, SIZE_MAX);
    }
    return make_shared(amendment, seen, draft->blob, len, entry);
}

/* Puts the bytes at OFFSET. */
static enum strobe_status write_at(struct amendment *amendment, const struct seen *seen, size_t offset,
                                   struct strobe_entry **entry) {
    size_t end = offset + amendment->bytes.len, len = end > seen->len ? end : seen->len;

    amendment->number = (int64_t)len;
    amendment->is_later = false;
    (void)stay(amendment, end > amendment->max ? AMEND_TOO_LONG : AMEND_NONE);
    if (amendment->fault == AMEND_NONE && len >= STROBE_BLOB_MIN) {
        return write_large(amendment, seen, offset, len, entry);
    }
    draft_end(amendment->draft, false);
    return amendment->fault == AMEND_NONE ? write_small(amendment, seen, offset, len, entry) : STROBE_OK;
}

enum strobe_status amend_append(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry) {
    return write_at(amendment, seen, seen->len, entry);
}

enum strobe_status amend_overwrite(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry) {
    if (amendment->bytes.len > 0) return write_at(amendment, seen, amendment->offset, entry);
    amendment->number = (int64_t)seen->len;
    return stay(amendment, AMEND_NONE);
}

enum strobe_status amend_add(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry) {
    char text[STROBE_NUMBER_INT64_TEXT];
    int64_t old = 0;

    if (seen_exists(seen) && !strobe_number_parse_int64(strobe_slice_make(seen->value, seen->len), &old)) {
        return stay(amendment, AMEND_NOT_INTEGER);
    }
    if (__builtin_add_overflow(old, amendment->amount, &amendment->number)) return stay(amendment, AMEND_OVERFLOW);
    (void)stay(amendment, AMEND_NONE);
    return make_value(amendment, seen, text, strobe_number_format_int64(text, amendment->number), entry);
}

const char *amend_fault_text(enum amend_fault fault) {
    static const char *const texts[] = {
#define AMEND_FAULT_TEXT(name, text) text,
        AMEND_FAULT_LIST(AMEND_FAULT_TEXT)
#undef AMEND_FAULT_TEXT
    };

    return texts[fault];
}

/* amend.c - APPEND and INCRBY as functions of an old entry, for the commands and for PATCH.
 *
 * They run outside of the lock (change.h), so a large value is copied while nobody waits. On failure nothing is made.
 * Not here: who reads the number and how a fault is told (cmd_strings.c, http_patch.c). */
#include "server/amend.h"

#include <string.h>

#include "protocol/number.h"

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

enum strobe_status amend_append(struct amendment *amendment, const struct seen *seen, struct strobe_entry **entry) {
    struct strobe_slice bytes = amendment->bytes;
    size_t len = seen->len + bytes.len;
    enum strobe_status status;
    char *fill;

    amendment->number = (int64_t)len;
    if (len > amendment->max) return stay(amendment, AMEND_TOO_LONG);
    status = make_value(amendment, seen, NULL, len, entry);
    if (status != STROBE_OK) return status;
    fill = strobe_entry_fill(*entry);
    if (seen->len > 0) memcpy(fill, seen->value, seen->len);
    if (bytes.len > 0) memcpy(fill + seen->len, bytes.data, bytes.len);
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

/* slice.h - a view of bytes that somebody else owns, and the three answers of those who read them.
 *
 * A slice carries any bytes, NUL too, and is not terminated. An empty one may have a NULL `data`. */
#ifndef STROBE_PROTOCOL_SLICE_H
#define STROBE_PROTOCOL_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct strobe_slice {
    const char *data;
    size_t len; /* bytes */
};

/* What a parser answers, together with how many bytes it used. */
enum strobe_parse {
    STROBE_PARSE_DONE, /* one whole message was read */
    STROBE_PARSE_MORE, /* the message goes on beyond the bytes given */
    STROBE_PARSE_BAD   /* the stream cannot be trusted any more */
};

/* The slice of a string literal, without its terminating NUL. */
#define STROBE_SLICE(literal) ((struct strobe_slice){"" literal, sizeof(literal) - 1})

static inline struct strobe_slice strobe_slice_make(const char *data, size_t len) {
    return (struct strobe_slice){data, len};
}

static inline bool strobe_slice_equal(struct strobe_slice a, struct strobe_slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Lowers A-Z and nothing else, whatever the locale. */
static inline unsigned char strobe_ascii_lower(char c) {
    unsigned char u = (unsigned char)c;

    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + ('a' - 'A')) : u;
}

/* Equal but for the case of ASCII letters. */
static inline bool strobe_slice_equal_nocase(struct strobe_slice a, struct strobe_slice b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (a.data[i] != b.data[i] && strobe_ascii_lower(a.data[i]) != strobe_ascii_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

/* A begins with PREFIX, but for the case of ASCII letters. */
static inline bool strobe_slice_starts_nocase(struct strobe_slice a, struct strobe_slice prefix) {
    return a.len >= prefix.len && strobe_slice_equal_nocase(strobe_slice_make(a.data, prefix.len), prefix);
}

#endif

/* glob.c - matching by going on, and never back to an earlier star.
 *
 * A pattern is a row of runs between stars. When the run after a star has matched, where it matched first is as good
 * a place as any for all that follows, so an earlier star is never asked again:
 *
 *     a*bc*d    a, then the first bc, then the last d
 *
 * The first run and the last have one place each. A run between two stars is tried at most once at each byte of the
 * key, which makes the bound (its length x key): a billion steps, if both have 65,535 bytes. So one of plain bytes is
 * searched by libc, in linear time, and one with more than that in it may not be long (strobe_glob_is_bounded).
 *
 * The odd cases are as redis-server 7's KEYS has them: `[z-a]` is `[a-z]`, an
 * unclosed `[` closes at the end of the pattern, a backslash at the end means itself, ranges compare signed
 * bytes, an escaped byte in a class ignores nocase, and an empty key matches the empty pattern only. */

#include "protocol/glob.h"

#include <assert.h>
#include <string.h>

static_assert(STROBE_GLOB_MAX == 131072 && STROBE_GLOB_RUN_MAX == 128, "STROBE_GLOB_REFUSED says so");

/* A lowered byte as the signed number that ranges compare. */
static int glob_fold(char c, bool nocase) {
    return (signed char)(nocase ? strobe_ascii_lower(c) : (unsigned char)c);
}

static bool glob_same(char a, char b, bool nocase) {
    return glob_fold(a, nocase) == glob_fold(b, nocase);
}

static bool glob_in_range(char from, char to, char c, bool nocase) {
    int low = glob_fold(from, nocase);
    int high = glob_fold(to, nocase);
    int it = glob_fold(c, nocase);

    /* Ends swap before they are lowered, so `[Z-a]` with nocase stays the empty range z-a. */
    if ((signed char)from > (signed char)to) {
        return it >= high && it <= low;
    }
    return it >= low && it <= high;
}

/* Is C in the class whose `[` is at *AT? Moves *AT behind the class. */
static bool glob_class(struct strobe_slice pattern, size_t *at, char c, bool nocase) {
    size_t p = *at + 1;
    bool negated = p < pattern.len && pattern.data[p] == '^';
    bool found = false;

    p += negated;
    while (p < pattern.len && pattern.data[p] != ']') {
        const char *q = pattern.data + p;

        if (*q == '\\' && pattern.len - p >= 2) {
            found |= q[1] == c;
            p += 2;
        } else if (pattern.len - p >= 3 && q[1] == '-') {
            found |= glob_in_range(q[0], q[2], c, nocase);
            p += 3;
        } else {
            found |= glob_same(*q, c, nocase);
            p += 1;
        }
    }
    *at = p < pattern.len ? p + 1 : p;
    return found != negated;
}

/* Does the one-byte element at *AT, which is no star, match C? Moves *AT behind it. */
static bool glob_one(struct strobe_slice pattern, size_t *at, char c, bool nocase) {
    switch (pattern.data[*at]) {
    case '?': *at += 1; return true;
    case '[': return glob_class(pattern, at, c, nocase);
    case '\\': *at += pattern.len - *at >= 2; break;
    default: break;
    }
    *at += 1;
    return glob_same(pattern.data[*at - 1], c, nocase);
}

static bool glob_is_plain(char c) {
    return c != '?' && c != '[' && c != '\\' && c != '*';
}

/* A run of elements without a star. */
struct glob_run {
    size_t start, end; /* in the pattern */
    size_t len;        /* elements: bytes of a key */
    bool is_plain;     /* every element is a byte that means itself */
};

/* The run that begins at AT, up to the next star or the end. */
static struct glob_run glob_run(struct strobe_slice pattern, size_t at) {
    struct glob_run run = {.start = at, .end = at, .is_plain = true};

    while (run.end < pattern.len && pattern.data[run.end] != '*') {
        run.is_plain = run.is_plain && glob_is_plain(pattern.data[run.end]);
        (void)glob_one(pattern, &run.end, '\0', false);
        run.len++;
    }
    return run;
}

/* Do the bytes from AT on, of which KEY has enough, match RUN? */
static bool glob_here(struct strobe_slice pattern, const struct glob_run *run, const char *at, bool nocase) {
    for (size_t p = run->start; p < run->end; at++) {
        if (pattern.data[p] == *at && glob_is_plain(*at)) {
            p++;
        } else if (!glob_one(pattern, &p, *at, nocase)) {
            return false;
        }
    }
    return true;
}

/* Moves *K to where RUN first matches in KEY from *K on. */
static bool glob_find(struct strobe_slice pattern, const struct glob_run *run, struct strobe_slice key, size_t *k,
                      bool nocase) {
    if (run->is_plain && !nocase) {
        const char *found = memmem(key.data + *k, key.len - *k, pattern.data + run->start, run->len);
        if (found != NULL) *k = (size_t)(found - key.data);
        return found != NULL;
    }
    for (; key.len - *k >= run->len; ++*k) {
        if (glob_here(pattern, run, key.data + *k, nocase)) return true;
    }
    return false;
}

/* What is from the star at AT on, and KEY from K on. */
static bool glob_match_starred(struct strobe_slice pattern, size_t at, struct strobe_slice key, size_t k, bool nocase) {
    for (;;) {
        while (at < pattern.len && pattern.data[at] == '*') at++;
        if (at == pattern.len) return true;
        struct glob_run run = glob_run(pattern, at);
        if (key.len - k < run.len) return false;
        if (run.end == pattern.len) return glob_here(pattern, &run, key.data + key.len - run.len, nocase);
        if (!glob_find(pattern, &run, key, &k, nocase)) return false;
        k += run.len;
        at = run.end;
    }
}

static bool glob_match(struct strobe_slice pattern, struct strobe_slice key, bool nocase) {
    size_t p = 0, k = 0;

    if (key.len == 0) return pattern.len == 0;
    for (; p < pattern.len && pattern.data[p] != '*'; k++) {
        if (k == key.len || !glob_one(pattern, &p, key.data[k], nocase)) return false;
    }
    return p == pattern.len ? k == key.len : glob_match_starred(pattern, p, key, k, nocase);
}

bool strobe_glob_is_bounded(struct strobe_slice pattern) {
    bool starred = false;

    if (pattern.len > STROBE_GLOB_MAX) return false;
    for (size_t at = 0; at < pattern.len;) {
        struct glob_run run = glob_run(pattern, at);
        bool is_tried = starred && run.end < pattern.len; /* at many places */
        if (is_tried && !run.is_plain && run.end - run.start > STROBE_GLOB_RUN_MAX) return false;
        starred = true;
        at = run.end + 1;
    }
    return true;
}

bool strobe_glob_match(struct strobe_slice pattern, struct strobe_slice key) {
    return glob_match(pattern, key, false);
}

bool strobe_glob_match_nocase(struct strobe_slice pattern, struct strobe_slice key) {
    return glob_match(pattern, key, true);
}

/* glob.c - matching by going on, and going back to the last star only.
 *
 * A pattern is a row of runs between stars. When the run after a star has matched, where it matched first is as good
 * a place as any for all that follows, so an earlier star is never asked again:
 *
 *     a*bc*d    a, then the first bc, then the last d
 *
 * A run is tried at most once at each byte of the key, which makes the bound pattern x key.
 *
 * The odd cases are as redis-server 7's KEYS has them: `[z-a]` is `[a-z]`, an
 * unclosed `[` closes at the end of the pattern, a backslash at the end means itself, ranges compare signed
 * bytes, an escaped byte in a class ignores nocase, and an empty key matches the empty pattern only. */

#include "protocol/glob.h"

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

static bool glob_match(struct strobe_slice pattern, struct strobe_slice key, bool nocase) {
    size_t p = 0;
    size_t k = 0;
    bool starred = false;
    size_t run = 0;  /* the pattern after the last star */
    size_t from = 0; /* where in the key that run is being tried */

    if (key.len == 0) {
        return pattern.len == 0;
    }
    while (k < key.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            p++;
            starred = true;
            run = p;
            from = k;
        } else if (p < pattern.len && glob_one(pattern, &p, key.data[k], nocase)) {
            k++;
        } else if (starred && run < pattern.len) {
            p = run;
            k = ++from;
        } else {
            return starred && run == pattern.len;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

bool strobe_glob_match(struct strobe_slice pattern, struct strobe_slice key) {
    return glob_match(pattern, key, false);
}

bool strobe_glob_match_nocase(struct strobe_slice pattern, struct strobe_slice key) {
    return glob_match(pattern, key, true);
}

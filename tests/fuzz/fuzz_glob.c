/* fuzz_glob.c - any pattern against any key: the matcher must agree with a table that tries everything.
 *
 * The first byte of an input is the pattern's length. The truth is dynamic programming over (element of the pattern,
 * byte of the key), which has no backtracking to get wrong. libFuzzer's entry point, see tests/fuzz/run. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LEN_MAX 256

/* The length of the element of PATTERN that begins at AT: a star, a class, an escaped byte or a byte. */
static size_t element_len(struct strobe_slice pattern, size_t at) {
    size_t end = at + 1;

    if (pattern.data[at] == '\\' && end < pattern.len) {
        return 2;
    }
    if (pattern.data[at] != '[') {
        return 1;
    }
    end += end < pattern.len && pattern.data[end] == '^';
    while (end < pattern.len && pattern.data[end] != ']') {
        size_t left = pattern.len - end;

        end += pattern.data[end] == '\\' && left >= 2 ? 2u : left >= 3 && pattern.data[end + 1] == '-' ? 3u : 1u;
    }
    return (end < pattern.len ? end + 1 : end) - at;
}

/* Does PATTERN, element by element, match KEY? Single elements against single bytes are the matcher's own. */
static bool truth(struct strobe_slice pattern, struct strobe_slice key) {
    bool reached[LEN_MAX + 1] = {true}; /* the elements so far match the first k bytes */

    if (key.len == 0) {
        return pattern.len == 0;
    }
    for (size_t at = 0; at < pattern.len;) {
        size_t len = element_len(pattern, at);
        struct strobe_slice element = strobe_slice_make(pattern.data + at, len);

        if (*element.data == '*') {
            for (size_t k = 1; k <= key.len; k++) {
                reached[k] = reached[k] || reached[k - 1];
            }
        } else {
            for (size_t k = key.len; k >= 1; k--) {
                reached[k] = reached[k - 1] && strobe_glob_match(element, strobe_slice_make(key.data + k - 1, 1));
            }
            reached[0] = false;
        }
        at += len;
    }
    return reached[key.len];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct strobe_slice pattern, key;
    char *copies[2];

    if (size < 1 || size > LEN_MAX || data[0] > size - 1) {
        return 0;
    }
    pattern.len = data[0];
    key.len = size - 1 - data[0];
    /* Each in an allocation that ends with it, so that a step too far is seen. */
    copies[0] = malloc(pattern.len + 1);
    copies[1] = malloc(key.len + 1);
    if (copies[0] == NULL || copies[1] == NULL) {
        abort();
    }
    pattern.data = (char *)memcpy(copies[0] + 1, data + 1, pattern.len);
    key.data = (char *)memcpy(copies[1] + 1, data + 1 + pattern.len, key.len);
    if (strobe_glob_match(pattern, key) != truth(pattern, key)) {
        (void)fprintf(stderr, "fuzz_glob: '%.*s' and '%.*s' disagree\n", (int)pattern.len, pattern.data, (int)key.len,
                      key.data);
        abort();
    }
    (void)strobe_glob_match_nocase(pattern, key);
    free(copies[0]);
    free(copies[1]);
    return 0;
}

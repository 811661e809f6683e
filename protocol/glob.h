/* glob.h - Redis's glob patterns over bytes: * ? [abc] [a-z] [^a] and \ before a byte that means itself.
 *
 * Costs at most pattern x key steps, and strobe_glob_steps() for a pattern that is bounded; no memory. Any thread. */
#ifndef STROBE_PROTOCOL_GLOB_H
#define STROBE_PROTOCOL_GLOB_H

#include <stdbool.h>

#include "protocol/limits.h"
#include "protocol/slice.h"

/* Does all of KEY match PATTERN? Both borrowed until return; any bytes. */
bool strobe_glob_match(struct strobe_slice pattern, struct strobe_slice key);

/* The same with ASCII letters of either case alike. */
bool strobe_glob_match_nocase(struct strobe_slice pattern, struct strobe_slice key);

/* Is a match of PATTERN with any key a matter of milliseconds? Ask before many keys, or long ones, are matched: no for
 * more than STROBE_GLOB_MAX bytes, and for more than STROBE_GLOB_RUN_MAX between two stars with a ?, [ or \ in them. */
bool strobe_glob_is_bounded(struct strobe_slice pattern);

/* The steps of a match at its worst, for a bounded PATTERN. */
static inline size_t strobe_glob_steps(struct strobe_slice pattern, struct strobe_slice key) {
    return pattern.len + key.len * (pattern.len < STROBE_GLOB_RUN_MAX ? pattern.len : STROBE_GLOB_RUN_MAX);
}

/* Why a pattern is refused that is not bounded. */
#define STROBE_GLOB_REFUSED \
    "the pattern is too long: 131072 bytes at most, and 128 between two stars if there is a ?, [ or \\ in them"

#endif

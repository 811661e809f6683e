/* glob.h - Redis's glob patterns over bytes: * ? [abc] [a-z] [^a] and \ before a byte that means itself.
 *
 * Costs at most pattern x key steps, and no memory. Any thread. */
#ifndef STROBE_PROTOCOL_GLOB_H
#define STROBE_PROTOCOL_GLOB_H

#include <stdbool.h>

#include "protocol/slice.h"

/* Does all of KEY match PATTERN? Both borrowed until return; any bytes. */
bool strobe_glob_match(struct strobe_slice pattern, struct strobe_slice key);

/* The same with ASCII letters of either case alike. */
bool strobe_glob_match_nocase(struct strobe_slice pattern, struct strobe_slice key);

#endif

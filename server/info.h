/* info.h - the page of INFO, in the sections and field names that Redis's clients and dashboards look for. */
#ifndef STROBE_SERVER_INFO_H
#define STROBE_SERVER_INFO_H

#include "protocol/slice.h"

struct services;
struct text;

/* What clients that ask are told: our replies are those of this version. */
#define INFO_REDIS_VERSION "7.2.0"

/* Adds to TEXT the sections that are named in the COUNT WORDS (whatever the case; "default", "all" and
 * "everything" too), or the default ones when there are no words. Names that are none add nothing. Any
 * thread. */
void info_write(struct services *services, const struct strobe_slice *words, size_t count, struct text *text);

/* Makes the figures of INFO that count what has happened begin at 0 again. Any thread. */
void info_reset(struct services *services);

#endif

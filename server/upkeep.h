/* upkeep.h - what has to be done now and then: taking back expired entries, closing idle scans and those
 * that pass the limit. On worker 0's loop. */
#ifndef STROBE_SERVER_UPKEEP_H
#define STROBE_SERVER_UPKEEP_H

struct services;
struct upkeep;

/* Starts. Owned by the caller; NULL without memory. */
struct upkeep *upkeep_start(struct services *services);

/* Stops; the memory goes when the loop has let go. */
void upkeep_stop(struct upkeep *upkeep);

#endif

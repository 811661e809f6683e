/* clock.h - the time of day, for showing: logs, INFO, the wall clock of a loop. What is decided by time asks the map's
 * clock or the loop's, which never run backwards. */
#ifndef STROBE_SERVER_CLOCK_H
#define STROBE_SERVER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since 1970. Any thread. */
static inline uint64_t clock_wall_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif

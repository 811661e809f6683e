/* pause.h - CLIENT PAUSE: whether commands are to wait now, and until when. Any thread. */
#ifndef STROBE_SERVER_PAUSE_H
#define STROBE_SERVER_PAUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attention;
struct pause;

/* What waits, in the order of growing strictness. */
enum pause_mode { PAUSE_NONE, PAUSE_WRITES, PAUSE_ALL };

/* Tells ATTENTION (borrowed) while there is one. Owned by the caller; NULL without memory. */
struct pause *pause_new(struct attention *attention);
void pause_free(struct pause *pause);

/* From now on what MODE says waits, for DURATION_MS. Beside a pause that goes on, the longer and the stricter hold. */
void pause_begin(struct pause *pause, enum pause_mode mode, uint64_t duration_ms);

/* Nothing waits any more. The caller wakes those who did. */
void pause_end(struct pause *pause);

/* Does a command wait at NOW_MS, which IS_WRITE or not? Then *UNTIL_MS is when to look again at the latest. */
bool pause_holds(struct pause *pause, bool is_write, uint64_t now_ms, uint64_t *until_ms);

/* One more connection waits, or one less (DELTA: 1, -1), and how many do. */
void pause_count(struct pause *pause, int delta);
size_t pause_waiting(const struct pause *pause);

/* The server stops: what waits is answered, and nothing waits again. */
void pause_close(struct pause *pause);

#endif

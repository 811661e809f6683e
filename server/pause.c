/* pause.c - a mode and an end, under a lock that is taken only while there is a pause.
 *
 *     CLIENT PAUSE -> pause_begin -> attention -> a door about to execute asks pause_holds -> its connection sleeps
 *     CLIENT UNPAUSE, the end of the time, the server's stop -> it wakes, asks again, and goes on
 *
 * Nobody keeps a timer here: a connection that waits wakes by itself at the end, and who first asks after it takes the
 * pause away. Not here: holding (resp_door.c, http_door.c), and making sure that no loop is still in the middle of a
 * command that should have waited (rollcall.h). */
#include "server/pause.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#include "server/attention.h"

struct pause {
    struct attention *attention;
    pthread_mutex_t lock;
    enum pause_mode mode;
    uint64_t until_ms;
    bool is_closed;
    _Atomic size_t waiting; /* relaxed: for INFO */
};

struct pause *pause_new(struct attention *attention) {
    struct pause *pause = calloc(1, sizeof *pause);

    if (pause == NULL) return NULL;
    pause->attention = attention;
    pthread_mutex_init(&pause->lock, NULL);
    return pause;
}

void pause_free(struct pause *pause) {
    if (pause == NULL) return;
    pthread_mutex_destroy(&pause->lock);
    free(pause);
}

/* Milliseconds of the clock that pauses and the loops (uv_now) have in common. */
static uint64_t clock_ms(void) {
    return uv_hrtime() / 1000000;
}

/* Under the lock. */
static void end(struct pause *pause) {
    pause->mode = PAUSE_NONE;
    attention_end(pause->attention, ATTENTION_PAUSE);
}

void pause_begin(struct pause *pause, enum pause_mode mode, uint64_t duration_ms) {
    uint64_t now = clock_ms();
    uint64_t until = duration_ms < UINT64_MAX - now ? now + duration_ms : UINT64_MAX;

    pthread_mutex_lock(&pause->lock);
    if (pause->mode != PAUSE_NONE && pause->until_ms <= now) end(pause);
    if (!pause->is_closed) {
        if (pause->mode == PAUSE_NONE || until > pause->until_ms) pause->until_ms = until;
        if (mode > pause->mode) pause->mode = mode;
        attention_call(pause->attention, ATTENTION_PAUSE);
    }
    pthread_mutex_unlock(&pause->lock);
}

void pause_end(struct pause *pause) {
    pthread_mutex_lock(&pause->lock);
    end(pause);
    pthread_mutex_unlock(&pause->lock);
}

bool pause_holds(struct pause *pause, bool is_write, uint64_t now_ms, uint64_t *until_ms) {
    pthread_mutex_lock(&pause->lock);
    if (pause->mode != PAUSE_NONE && pause->until_ms <= now_ms) end(pause);
    bool holds = pause->mode == PAUSE_ALL || (pause->mode == PAUSE_WRITES && is_write);
    *until_ms = pause->until_ms;
    pthread_mutex_unlock(&pause->lock);
    return holds;
}

void pause_count(struct pause *pause, int delta) {
    atomic_fetch_add_explicit(&pause->waiting, (size_t)delta, memory_order_relaxed);
}

size_t pause_waiting(const struct pause *pause) {
    return atomic_load_explicit(&pause->waiting, memory_order_relaxed);
}

void pause_close(struct pause *pause) {
    pthread_mutex_lock(&pause->lock);
    end(pause);
    pause->is_closed = true;
    pthread_mutex_unlock(&pause->lock);
}

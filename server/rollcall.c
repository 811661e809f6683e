/* rollcall.c - a number for each call, and for each loop the latest one that it has answered.
 *
 *     begin -> 7      seen  7 6 7   ->  done 6     loop 1 answers  ->  7 7 7  ->  done 7, wake
 *
 * Always: a loop's number only grows, and is that of a call which was begun before the loop did what is asked; so all
 * calls up to the smallest number are done. One lock that no request takes. Not here: asking the loops, and waking
 * those who wait (worker.c). */
#include "server/rollcall.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct rollcall {
    pthread_mutex_t lock;
    uint64_t begun, done; /* the latest calls */
    bool is_closed;
    unsigned loops;
    uint64_t seen[]; /* by loop */
};

struct rollcall *rollcall_new(unsigned loops) {
    struct rollcall *rollcall = calloc(1, sizeof *rollcall + loops * sizeof rollcall->seen[0]);

    if (rollcall == NULL) return NULL;
    pthread_mutex_init(&rollcall->lock, NULL);
    rollcall->loops = loops;
    return rollcall;
}

void rollcall_free(struct rollcall *rollcall) {
    if (rollcall == NULL) return;
    pthread_mutex_destroy(&rollcall->lock);
    free(rollcall);
}

uint64_t rollcall_begin(struct rollcall *rollcall) {
    pthread_mutex_lock(&rollcall->lock);
    uint64_t number = ++rollcall->begun;
    pthread_mutex_unlock(&rollcall->lock);
    return number;
}

uint64_t rollcall_latest(struct rollcall *rollcall) {
    pthread_mutex_lock(&rollcall->lock);
    uint64_t number = rollcall->begun;
    pthread_mutex_unlock(&rollcall->lock);
    return number;
}

bool rollcall_answer(struct rollcall *rollcall, unsigned loop, uint64_t number) {
    assert(loop < rollcall->loops);
    pthread_mutex_lock(&rollcall->lock);
    rollcall->seen[loop] = number;
    uint64_t least = rollcall->begun;
    for (unsigned i = 0; i < rollcall->loops; i++) {
        if (rollcall->seen[i] < least) least = rollcall->seen[i];
    }
    bool more = least > rollcall->done;
    rollcall->done = least;
    pthread_mutex_unlock(&rollcall->lock);
    return more;
}

bool rollcall_is_done(struct rollcall *rollcall, uint64_t number) {
    pthread_mutex_lock(&rollcall->lock);
    bool is_done = rollcall->is_closed || rollcall->done >= number;
    pthread_mutex_unlock(&rollcall->lock);
    return is_done;
}

bool rollcall_is_answered(struct rollcall *rollcall, uint64_t number) {
    pthread_mutex_lock(&rollcall->lock);
    bool is_answered = rollcall->done >= number;
    pthread_mutex_unlock(&rollcall->lock);
    return is_answered;
}

void rollcall_close(struct rollcall *rollcall) {
    pthread_mutex_lock(&rollcall->lock);
    rollcall->is_closed = true;
    pthread_mutex_unlock(&rollcall->lock);
}

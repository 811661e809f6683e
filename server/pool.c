/* pool.c - starts the thread pool while there is memory for it.
 *
 * libuv starts its pool with the first uv_queue_work, and ends the process when a thread of it cannot be had. The first
 * work here is what FLUSHALL or a closed scan leaves behind, and that comes just when memory is short: a server with a
 * limit on its memory (ulimit -v) that was full, and was flushed, was gone. So each thread of the pool has a job before
 * anybody is listened to.
 *
 *     try as many threads at once, end them      a work for each: what malloc needs for a thread
 *
 * On failure: libuv does not say that there is no room, so threads of the same size are tried first; then nothing is
 * started. Not here: what the pool is given to do (services.c). */
#include "server/pool.h"

#include <stdlib.h>
#include <uv.h>

#include "server/memory.h"

/* As in libuv 1.44's threadpool.c: how many there are when nobody says, at most, and the stack of each. */
enum { THREADS_DEFAULT = 4, THREADS_MAX = 1024, STACK = 8 << 20 };

static size_t threads_wanted(void) {
    const char *text = getenv("UV_THREADPOOL_SIZE");
    long count = text == NULL ? THREADS_DEFAULT : strtol(text, NULL, 10); /* libuv has atoi: the same */
    if (count == 0) return 1;
    return count < 0 || count > THREADS_MAX ? THREADS_MAX : (size_t)count;
}

static void wait_for_end(void *end) {
    uv_sem_wait(end);
}

/* Is there room for COUNT threads beside each other? */
static bool is_room(size_t count) {
    const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK};
    uv_thread_t *threads = calloc(count, sizeof threads[0]);
    size_t started = 0;
    uv_sem_t end;

    if (threads == NULL) return false;
    if (uv_sem_init(&end, 0) != 0) {
        free(threads);
        return false;
    }
    while (started < count && uv_thread_create_ex(&threads[started], &options, wait_for_end, &end) == 0) started++;
    for (size_t i = 0; i < started; i++) uv_sem_post(&end);
    for (size_t i = 0; i < started; i++) uv_thread_join(&threads[i]);
    uv_sem_destroy(&end);
    free(threads);
    return started == count;
}

struct first_work {
    uv_work_t work; /* first, so that a work is a first_work */
    uv_barrier_t *all;
};

/* Waits for the others, so that each thread has one. */
static void prepare(uv_work_t *work) {
    const struct first_work *first = (const struct first_work *)(const void *)work;

    memory_prepare_thread();
    uv_barrier_wait(first->all);
}

/* One work for each of COUNT threads. */
static bool prepare_all(struct first_work *works, size_t count) {
    uv_barrier_t all;
    uv_loop_t loop;

    if (uv_loop_init(&loop) != 0) return false;
    bool ready = uv_barrier_init(&all, (unsigned)count) == 0;
    if (ready) {
        for (size_t i = 0; i < count; i++) {
            works[i].all = &all;
            (void)uv_queue_work(&loop, &works[i].work, prepare, NULL); /* refuses only what has no function */
        }
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_barrier_destroy(&all);
    }
    uv_loop_close(&loop);
    return ready;
}

bool pool_start(void) {
    size_t count = threads_wanted();
    struct first_work *works = calloc(count, sizeof works[0]);
    bool started = works != NULL && is_room(count) && prepare_all(works, count);

    free(works);
    return started;
}

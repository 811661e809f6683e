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
    int count = text == NULL ? THREADS_DEFAULT : (int)strtol(text, NULL, 10); /* as libuv's atoi, which wraps round */
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

/* What the first works of all threads share. */
struct start {
    uv_mutex_t one; /* prepares itself at a time */
    uv_barrier_t all;
};

/* Waits for the others, so that each thread has one such work. */
static void prepare(uv_work_t *work) {
    struct start *start = work->data;

    uv_mutex_lock(&start->one);
    memory_prepare_helper();
    uv_mutex_unlock(&start->one);
    uv_barrier_wait(&start->all);
}

/* WORKS has room for one for each of COUNT threads. */
static bool prepare_all(uv_work_t *works, size_t count) {
    struct start start;
    uv_loop_t loop;

    if (uv_loop_init(&loop) != 0) return false;
    bool ready = uv_mutex_init(&start.one) == 0;
    if (ready && uv_barrier_init(&start.all, (unsigned)count) != 0) {
        uv_mutex_destroy(&start.one);
        ready = false;
    }
    if (ready) {
        for (size_t i = 0; i < count; i++) {
            works[i].data = &start;
            (void)uv_queue_work(&loop, &works[i], prepare, NULL); /* refuses only what has no function */
        }
        uv_run(&loop, UV_RUN_DEFAULT);
        uv_barrier_destroy(&start.all);
        uv_mutex_destroy(&start.one);
    }
    uv_loop_close(&loop);
    return ready;
}

bool pool_start(void) {
    size_t count = threads_wanted();
    uv_work_t *works = calloc(count, sizeof works[0]);
    bool started = works != NULL && is_room(count) && prepare_all(works, count);

    free(works);
    return started;
}

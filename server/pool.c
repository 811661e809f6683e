/* pool.c - starts the thread pool while there is memory for it.
 *
 * libuv starts its pool with the first uv_queue_work, and ends the process when a thread of it cannot be had. The first
 * work here is what FLUSHALL or a closed scan leaves behind, and that comes just when memory is short: a server with a
 * limit on its memory (ulimit -v) that was full, and was flushed, was gone. So the pool has a job before anybody is
 * listened to.
 *
 *     try as many threads at once, end them      work: nothing      wait until it is done
 *
 * On failure: libuv does not say that there is no room, so threads of the same size are tried first; then nothing is
 * started. Not here: what the pool is given to do (services.c). */
#include "server/pool.h"

#include <stdlib.h>
#include <uv.h>

/* As in libuv 1.44's threadpool.c: how many there are when nobody says, at most, and the stack of each. */
enum { THREADS_DEFAULT = 4, THREADS_MAX = 1024, STACK = 8 << 20 };

static size_t threads_wanted(void) {
    const char *text = getenv("UV_THREADPOOL_SIZE");
    int count = text == NULL ? THREADS_DEFAULT : atoi(text);
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

static void do_nothing(uv_work_t *work) {
    (void)work;
}

bool pool_start(void) {
    uv_loop_t loop;
    uv_work_t work;

    if (!is_room(threads_wanted()) || uv_loop_init(&loop) != 0) return false;
    bool works = uv_queue_work(&loop, &work, do_nothing, NULL) == 0;
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return works;
}

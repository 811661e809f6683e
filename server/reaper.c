/* reaper.c - gives large blocks back on a thread of its own, so that no loop waits while the system takes their pages.
 *
 *     release -> large? -> list, kept in the dead blocks themselves -> thread -> inner release, one at a time
 *                '-> no, or too much waits: inner release, here
 *
 * Whoever lets go last of a value of 200 MB would stop for 40 ms: the loop of the client that said DEL, that of one
 * that overwrote it, or of one whose reply ends, and the lock of a shard in the worst case. All of them end in the
 * map's allocator, so this is the one place for it.
 * Always: releasing waits for nobody, and needs no memory: a block that waits holds its own link. What waits is
 * bounded, though hardly reached: giving memory back is several times faster than filling it.
 * On failure: when an allocation fails, all that waits is freed first, and it is tried again. Without a thread
 * everything is freed where it is released. Not here: how the allocator works (memory.c).
 */
#include "server/reaper.h"

#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

/* What a dead block begins with. */
struct dead {
    struct dead *next;
    size_t size, align;
};

struct reaper {
    struct strobe_allocator allocator; /* ours, for the map */
    const struct strobe_allocator *inner;
    uint64_t most;
    uv_thread_t thread;
    bool has_thread;
    uv_mutex_t lock; /* of what follows */
    uv_cond_t work;  /* there is some, or the end */
    uv_cond_t idle;  /* nothing waits, and nothing is being freed by the thread */
    struct dead *waiting;
    uint64_t bytes; /* that wait */
    bool is_busy;   /* the thread frees one */
    bool is_ending;
};

static void bury(struct reaper *reaper, struct dead *dead) {
    reaper->inner->release(reaper->inner->context, dead, dead->size, dead->align);
}

/* The next that waits, or NULL. The lock is held. */
static struct dead *take(struct reaper *reaper) {
    struct dead *dead = reaper->waiting;

    if (dead == NULL) return NULL;
    reaper->waiting = dead->next;
    reaper->bytes -= dead->size;
    return dead;
}

static void run(void *context) {
    struct reaper *reaper = context;

    uv_mutex_lock(&reaper->lock);
    for (;;) {
        struct dead *dead = take(reaper);
        if (dead != NULL) {
            reaper->is_busy = true;
            uv_mutex_unlock(&reaper->lock);
            bury(reaper, dead);
            uv_mutex_lock(&reaper->lock);
            reaper->is_busy = false;
            continue;
        }
        uv_cond_broadcast(&reaper->idle);
        if (reaper->is_ending) break;
        uv_cond_wait(&reaper->work, &reaper->lock);
    }
    uv_mutex_unlock(&reaper->lock);
}

void reaper_settle(struct reaper *reaper) {
    uv_mutex_lock(&reaper->lock);
    while (reaper->waiting != NULL || reaper->is_busy) {
        struct dead *dead = take(reaper);
        if (dead == NULL) {
            uv_cond_wait(&reaper->idle, &reaper->lock);
            continue;
        }
        uv_mutex_unlock(&reaper->lock);
        bury(reaper, dead);
        uv_mutex_lock(&reaper->lock);
    }
    uv_mutex_unlock(&reaper->lock);
}

static void *reaper_alloc(void *context, size_t size, size_t align) {
    struct reaper *reaper = context;
    void *memory = reaper->inner->alloc(reaper->inner->context, size, align);

    if (memory != NULL) return memory;
    reaper_settle(reaper);
    return reaper->inner->alloc(reaper->inner->context, size, align);
}

static void reaper_release(void *context, void *memory, size_t size, size_t align) {
    struct reaper *reaper = context;
    struct dead *dead = memory;
    bool waits = false;

    if (size >= REAPER_MIN && reaper->has_thread) {
        uv_mutex_lock(&reaper->lock);
        waits = size <= reaper->most && reaper->bytes <= reaper->most - size;
        if (waits) {
            *dead = (struct dead){.next = reaper->waiting, .size = size, .align = align};
            reaper->waiting = dead;
            reaper->bytes += size;
            uv_cond_signal(&reaper->work);
        }
        uv_mutex_unlock(&reaper->lock);
    }
    if (!waits) reaper->inner->release(reaper->inner->context, memory, size, align);
}

static bool reaper_shrink(void *context, void *memory, size_t size, size_t smaller, size_t align) {
    const struct reaper *reaper = context;

    return reaper->inner->shrink(reaper->inner->context, memory, size, smaller, align);
}

const struct strobe_allocator *reaper_allocator(const struct reaper *reaper) {
    return &reaper->allocator;
}

struct reaper *reaper_new(const struct strobe_allocator *inner, uint64_t most) {
    struct reaper *reaper = calloc(1, sizeof *reaper);

    if (reaper == NULL) return NULL;
    reaper->inner = inner;
    reaper->most = most;
    reaper->allocator = (struct strobe_allocator){.alloc = reaper_alloc, .release = reaper_release, .context = reaper};
    if (inner->shrink != NULL) reaper->allocator.shrink = reaper_shrink;
    if (uv_mutex_init(&reaper->lock) != 0) goto no_lock;
    if (uv_cond_init(&reaper->work) != 0) goto no_work;
    if (uv_cond_init(&reaper->idle) != 0) goto no_idle;
    reaper->has_thread = uv_thread_create(&reaper->thread, run, reaper) == 0;
    return reaper;

no_idle:
    uv_cond_destroy(&reaper->work);
no_work:
    uv_mutex_destroy(&reaper->lock);
no_lock:
    free(reaper);
    return NULL;
}

void reaper_free(struct reaper *reaper) {
    if (reaper == NULL) return;
    uv_mutex_lock(&reaper->lock);
    reaper->is_ending = true;
    uv_cond_signal(&reaper->work);
    uv_mutex_unlock(&reaper->lock);
    if (reaper->has_thread) uv_thread_join(&reaper->thread);
    uv_cond_destroy(&reaper->idle);
    uv_cond_destroy(&reaper->work);
    uv_mutex_destroy(&reaper->lock);
    free(reaper);
}

/* sender.c - io_uring, used as a send() for many sockets.
 *
 *      entries   [fd, bytes] [fd, bytes] ...        ours to fill, at `tail`
 *                     one io_uring_enter
 *      results   [number, sent] ...                 the kernel's, from `done_head` to `done_tail`
 *
 * Without pipelining a reply is forty bytes and a system call of its own, and entering and leaving the kernel is a
 * good part of that. Replies that become ready in the same turn of a loop share one.
 *
 * Always: each send is MSG_DONTWAIT, so the kernel does it while it takes it and never puts one aside; sender_go()
 * asks for all results nevertheless before it returns. No thread of the kernel polls: it looks at `tail` only inside
 * of the call, so what it did not take is taken back by setting `tail`.
 * On failure: a call that the kernel refuses sends nothing, and each send says EAGAIN.
 * Not here: what to do about a socket that took less (conn.c), when to go (worker.c). */
#include "server/sender.h"

#include <assert.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sender {
    int ring; /* descriptor */
    unsigned count;
    void *rings; /* mapped: both rings */
    size_t rings_size;
    struct io_uring_sqe *entries; /* mapped */
    size_t entries_size;
    _Atomic unsigned *head, *tail; /* of the entries; the kernel moves head */
    unsigned mask;
    _Atomic unsigned *done_head, *done_tail; /* of the results; the kernel moves tail */
    unsigned done_mask;
    const struct io_uring_cqe *done;
};

static int set_up(struct io_uring_params *params) {
    return (int)syscall(SYS_io_uring_setup, SENDER_MAX, params);
}

/* Submits COUNT entries and waits for RESULTS. Results: how many were submitted, or -1. */
static long enter(const struct sender *sender, unsigned count, unsigned results) {
    return syscall(SYS_io_uring_enter, sender->ring, count, results, IORING_ENTER_GETEVENTS, NULL, 0);
}

static void *map(const struct sender *sender, size_t size, off_t what) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, sender->ring, what);

    return memory != MAP_FAILED ? memory : NULL;
}

static void *at(const struct sender *sender, uint32_t offset) {
    return (char *)sender->rings + offset;
}

/* Finds everything in the rings, where PARAMS says. */
static void locate(struct sender *sender, const struct io_uring_params *params) {
    unsigned *order = at(sender, params->sq_off.array);

    sender->head = at(sender, params->sq_off.head);
    sender->tail = at(sender, params->sq_off.tail);
    sender->mask = *(const unsigned *)at(sender, params->sq_off.ring_mask);
    sender->done_head = at(sender, params->cq_off.head);
    sender->done_tail = at(sender, params->cq_off.tail);
    sender->done_mask = *(const unsigned *)at(sender, params->cq_off.ring_mask);
    sender->done = at(sender, params->cq_off.cqes);
    for (unsigned i = 0; i < params->sq_entries; i++) order[i] = i; /* entries are used in the order they lie in */
}

static bool open_rings(struct sender *sender) {
    struct io_uring_params params = {.flags = IORING_SETUP_SUBMIT_ALL};
    size_t entries_end, results_end;

    sender->ring = set_up(&params);
    if (sender->ring < 0 || (params.features & IORING_FEAT_SINGLE_MMAP) == 0) return false;
    entries_end = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    results_end = params.cq_off.cqes + params.cq_entries * sizeof *sender->done;
    sender->rings_size = entries_end > results_end ? entries_end : results_end;
    sender->entries_size = params.sq_entries * sizeof *sender->entries;
    sender->rings = map(sender, sender->rings_size, IORING_OFF_SQ_RING);
    sender->entries = map(sender, sender->entries_size, (off_t)IORING_OFF_SQES);
    if (sender->rings == NULL || sender->entries == NULL) return false;
    locate(sender, &params);
    return true;
}

struct sender *sender_new(void) {
    struct sender *sender = calloc(1, sizeof *sender);

    if (sender == NULL) return NULL;
    if (open_rings(sender)) return sender;
    sender_free(sender);
    return NULL;
}

void sender_free(struct sender *sender) {
    if (sender == NULL) return;
    if (sender->entries != NULL) munmap(sender->entries, sender->entries_size);
    if (sender->rings != NULL) munmap(sender->rings, sender->rings_size);
    if (sender->ring >= 0) close(sender->ring);
    free(sender);
}

void sender_add(struct sender *sender, int fd, struct strobe_slice bytes) {
    unsigned tail = atomic_load_explicit(sender->tail, memory_order_relaxed);

    assert(sender->count < SENDER_MAX);
    sender->entries[tail & sender->mask] = (struct io_uring_sqe){
        .opcode = IORING_OP_SEND,
        .fd = fd,
        .addr = (uintptr_t)bytes.data,
        .len = bytes.len < INT32_MAX ? (uint32_t)bytes.len : INT32_MAX,
        .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL,
        .user_data = sender->count++,
    };
    /* Release: pairs with the kernel's acquire, which reads the entry after it. */
    atomic_store_explicit(sender->tail, tail + 1, memory_order_release);
}

/* Takes what is done into SENT. Gives how many that were. */
static unsigned collect(struct sender *sender, int sent[SENDER_MAX]) {
    unsigned head = atomic_load_explicit(sender->done_head, memory_order_relaxed), from = head;
    /* Acquire: pairs with the kernel's release behind each result. */
    unsigned tail = atomic_load_explicit(sender->done_tail, memory_order_acquire);

    for (; head != tail; head++) {
        const struct io_uring_cqe *result = &sender->done[head & sender->done_mask];
        assert(result->user_data < SENDER_MAX);
        sent[result->user_data] = result->res;
    }
    /* Release: the kernel may overwrite them from here on. */
    atomic_store_explicit(sender->done_head, tail, memory_order_release);
    return tail - from;
}

void sender_go(struct sender *sender, int sent[SENDER_MAX]) {
    long begun;
    unsigned done;

    for (int i = 0; i < SENDER_MAX; i++) sent[i] = -EAGAIN;
    begun = enter(sender, sender->count, sender->count);
    for (done = collect(sender, sent); (long)done < begun; done += collect(sender, sent)) {
        enter(sender, 0, (unsigned)begun - done);
    }
    atomic_store_explicit(sender->tail, atomic_load_explicit(sender->head, memory_order_acquire), memory_order_relaxed);
    sender->count = 0;
}

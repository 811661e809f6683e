/* attention.h - one word that says whether anything is out of the ordinary for all connections: somebody monitors, or
 * commands are to wait. A batch of requests looks at it once; while it is 0, neither costs anything.
 *
 * Any thread. Relaxed: it only says that it is worth looking; what is seen then is behind locks. Who set a bit and
 * answered a peer is ahead of whatever is received after that answer. */
#ifndef STROBE_SERVER_ATTENTION_H
#define STROBE_SERVER_ATTENTION_H

#include <stdatomic.h>

enum attention_bit {
    ATTENTION_MONITORS = 1, /* monitors.h */
    ATTENTION_PAUSE = 2     /* pause.h */
};

struct attention {
    _Atomic unsigned bits;
};

static inline unsigned attention_now(const struct attention *attention) {
    return atomic_load_explicit(&attention->bits, memory_order_relaxed);
}

static inline void attention_call(struct attention *attention, enum attention_bit bit) {
    atomic_fetch_or_explicit(&attention->bits, (unsigned)bit, memory_order_relaxed);
}

static inline void attention_end(struct attention *attention, enum attention_bit bit) {
    atomic_fetch_and_explicit(&attention->bits, ~(unsigned)bit, memory_order_relaxed);
}

#endif

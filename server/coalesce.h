/* coalesce.h - when a loop that has little to do should sleep for a moment before it asks for more.
 *
 * What interrupt coalescing is to a network card: a loop that is faster than its clients sleeps after nearly every
 * request, and each of these sleeps has to be ended by a client's send, at the client's cost. If it sleeps for
 * COALESCE_NS where no send wakes it, it finds several requests at once.
 *
 * It makes whoever sends in that time wait, so it must bring much: it goes on only while sleeps find so many reads
 * that the loop is at its limit, or its clients are. Clients that send at a rate far below that limit, and a few
 * threads that use a pool of connections in turn, would only wait. And there is none after reads of many bytes, nor
 * where others want this processor. For the loop's thread alone. */
#ifndef STROBE_SERVER_COALESCE_H
#define STROBE_SERVER_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COALESCE_NS = 80000,       /* the sleep asked for */
    COALESCE_ACTIVE = 16,      /* connections that must have been read from in a millisecond */
    COALESCE_FEW = 8,          /* after this many reads in a turn, or more, there is no sleep */
    COALESCE_BYTES = 512,      /* a read of more is worth being woken for: it makes a turn of one that found many */
    COALESCE_ENOUGH = 12,      /* reads that make a sleep worth it: some 130 us of work, what a sleep takes in all */
    COALESCE_USELESS = 4,      /* sleeps in a row that found fewer, and there are none for a while */
    COALESCE_LATE_NS = 200000, /* nor after one that took so long: it had to wait for the processor */
    COALESCE_REST_MS = 20      /* that while */
};

/* Zeros at first. Times in milliseconds are of the loop's clock. */
struct coalesce {
    uint64_t since;   /* `active` are of the time from there on */
    uint64_t rest;    /* no sleeps before */
    unsigned active;  /* connections read from, each counted once a millisecond */
    unsigned reads;   /* since the last poll */
    unsigned useless; /* sleeps in a row that were of no use */
    bool slept;       /* before that poll */
    bool busy;        /* COALESCE_ACTIVE or more a millisecond, when last looked at */
};

/* LEN bytes of a connection were read; FIRST: and none earlier in this millisecond. */
static inline void coalesce_read(struct coalesce *coalesce, size_t len, bool first) {
    if (len > COALESCE_BYTES) {
        coalesce->reads += COALESCE_FEW;
        return;
    }
    coalesce->reads++;
    coalesce->active += first;
}

/* Before each poll, at NOW: whether to sleep. */
bool coalesce_wanted(struct coalesce *coalesce, uint64_t now);

/* The sleep that was wanted at NOW took NS nanoseconds. */
void coalesce_slept(struct coalesce *coalesce, uint64_t now, uint64_t ns);

#endif

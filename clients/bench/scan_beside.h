/* scan_beside.h - a connection that scans all the time, one scan after the other, and looks whether each was whole. */
#ifndef STROBE_CLIENTS_BENCH_SCAN_BESIDE_H
#define STROBE_CLIENTS_BENCH_SCAN_BESIDE_H

#include "clients/bench/load.h"

/* One thread's; the counts may be read when it has ended. */
struct scan {
    struct plan *plan;          /* borrowed */
    const atomic_uint *at_work; /* borrowed: workers that load; acquire: 0 ends the scan */
    uint64_t time;              /* nanoseconds after which it ends by itself; 0: by at_work */
    uint64_t scans, whole;      /* finished; of these with each key once */
    uint64_t keys, pages;       /* read, those of the unfinished scan too */
    uint64_t repeated, missing; /* keys, over all finished scans */
    struct histogram page;      /* nanoseconds for a page; empty over HTTP, which streams */
    struct tally tally;         /* times, bytes, faults */

    /* While it runs. */
    int fd;
    char *in; /* owned: CONN_IN bytes; [from, to) are unread */
    size_t from, to;
    uint64_t *seen; /* owned: a bit for each key of ours */
    uint64_t distinct, repeated_now;
    bool told; /* the fault that ends it was counted */
};

/* Makes SCAN (zeroed memory), connected. False: ERROR (OPTIONS_ERROR_TEXT) says why. scan_fini() in any case. */
bool scan_init(struct scan *scan, struct plan *plan, const atomic_uint *at_work, char *error);
void scan_fini(struct scan *scan);

/* Scans until the load is over, or until something is wrong. */
void scan_run(struct scan *scan);

#endif

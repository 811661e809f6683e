/* run.h - a whole run: threads, phases one after the other, the progress line, Ctrl-C. */
#ifndef STROBE_CLIENTS_BENCH_RUN_H
#define STROBE_CLIENTS_BENCH_RUN_H

#include <stdbool.h>

#include "clients/bench/load.h"
#include "clients/bench/options.h"
#include "clients/bench/scan_beside.h"

/* What came out. */
struct outcome {
    const struct bench_options *options; /* borrowed */
    struct tally prefill;                /* empty without one */
    struct tally load;                   /* its faults are those of all phases and of the scan */
    struct scan scan;                    /* its counts, when scanned */
    bool scanned;
    bool all_set;     /* each key was there all the time: a scan that lacks one was not whole */
    bool interrupted; /* by Ctrl-C */
};

/* REFUSED: the door cannot make requests of such options; FAILED: it could not begin. */
enum run_result { RUN_DONE, RUN_REFUSED, RUN_FAILED };

/* Does what OPTIONS (borrowed as long as OUTCOME) ask for. Blocks SIGINT and SIGTERM in the calling thread, and takes
 * them: the first ends the load, the second the process. Results: DONE; REFUSED, FAILED, and ERROR (OPTIONS_ERROR_TEXT)
 * says why. */
enum run_result run(const struct bench_options *options, struct outcome *outcome, char *error);

#endif

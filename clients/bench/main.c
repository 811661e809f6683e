/* main.c - the program strobe-bench: reads the options, runs the load, prints what came out. */
#include <stdio.h>
#include <stdlib.h>

#include "clients/bench/options.h"
#include "clients/bench/report.h"
#include "clients/bench/run.h"

enum { EXIT_FAULTS = 1, EXIT_OPTIONS = 2, EXIT_INTERRUPTED = 130 };

static int load(const struct bench_options *options) {
    char error[OPTIONS_ERROR_TEXT];
    struct outcome *outcome = malloc(sizeof *outcome); /* histograms are too large for the stack */

    enum run_result result = outcome == NULL ? RUN_FAILED : run(options, outcome, error);
    if (result != RUN_DONE) {
        fprintf(stderr, "strobe-bench: %s\n", outcome == NULL ? "out of memory" : error);
        free(outcome);
        return result == RUN_REFUSED ? EXIT_OPTIONS : EXIT_FAULTS;
    }
    bool good = report(outcome, stdout, stderr) && tally_faults(&outcome->load) == 0;
    bool interrupted = outcome->interrupted;
    free(outcome);
    if (!good) return EXIT_FAULTS;
    return interrupted ? EXIT_INTERRUPTED : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    char error[OPTIONS_ERROR_TEXT];
    enum options_action action;
    struct bench_options options;

    if (!options_read(argc, argv, &action, &options, error)) {
        fprintf(stderr, "strobe-bench: %s\n", error);
        return EXIT_OPTIONS;
    }
    switch (action) {
    case OPTIONS_HELP: options_print_help(stdout); return EXIT_SUCCESS;
    case OPTIONS_VERSION: puts("strobe-bench " STROBE_VERSION); return EXIT_SUCCESS;
    case OPTIONS_RUN: break;
    }
    return load(&options);
}

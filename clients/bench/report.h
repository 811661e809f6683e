/* report.h - what came out, for people and for programs. */
#ifndef STROBE_CLIENTS_BENCH_REPORT_H
#define STROBE_CLIENTS_BENCH_REPORT_H

#include <stdio.h>

#include "clients/bench/run.h"

/* As OUTCOME's options ask for: text, one line, or JSON (man/strobe-bench.1 has its shape). Faults of a text go to
 * ERRORS. False: FILE could not be written. */
bool report(const struct outcome *outcome, FILE *file, FILE *errors);

#endif

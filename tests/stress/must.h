/* must.h - a check for tests of several threads; cmocka's asserts are for one. */
#ifndef STROBE_TESTS_STRESS_MUST_H
#define STROBE_TESTS_STRESS_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                                     \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            (void)fprintf(stderr, "%s:%d: violated: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

#endif

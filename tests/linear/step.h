/* step.h - a step as the words of a command, and what its reply says. */
#ifndef TESTS_LINEAR_STEP_H
#define TESTS_LINEAR_STEP_H

#include "tests/linear/player.h"

/* The command of a step: its name, whether a value follows the key, whether a version, and what else. */
struct step_command {
    const char *name;
    bool has_value;
    const char *option;
    bool has_version;
    const char *last;
};

extern const struct step_command step_commands[HISTORY_VERBS];

/* A value as bytes: decimal digits, or, with HISTORY_BIG, those digits a thousand times over, so that a value put
 * together from two is seen. Bytes that are no value end the program. */
size_t step_value_len(int64_t value);
void step_add_value(struct wire *w, int64_t value);
int64_t step_parse_value(const char *bytes, size_t len);

/* Notes in STEP, and in P, what a reply has shown. */
void step_saw_value(struct history_step *step, const char *bytes, size_t len);
void step_saw_version(struct player *p, struct history_step *step, uint64_t version);

#endif

/* step.c - see step.h. */
#include "tests/linear/step.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BIG_DIGITS 20u
#define BIG_TIMES  1000u

const struct step_command step_commands[HISTORY_VERBS] = {
    [HISTORY_GET] = {.name = "GET"},
    [HISTORY_GETVER] = {.name = "GETVER"},
    [HISTORY_SET] = {.name = "SET", .has_value = true},
    [HISTORY_SETVER] = {.name = "SET", .has_value = true, .last = "RETVER"},
    [HISTORY_CAS] = {.name = "SET", .has_value = true, .option = "IFVER", .has_version = true, .last = "RETVER"},
    [HISTORY_SETNX] = {.name = "SETNX", .has_value = true},
    [HISTORY_GETSET] = {.name = "GETSET", .has_value = true},
    [HISTORY_GETDEL] = {.name = "GETDEL"},
    [HISTORY_INCR] = {.name = "INCR"},
    [HISTORY_DEL] = {.name = "DEL"},
    [HISTORY_DELIFVER] = {.name = "DELIFVER", .has_version = true},
};

void step_add_value(struct wire *w, int64_t value) {
    if ((value & HISTORY_BIG) == 0) {
        wire_addf(w, "%" PRId64, value);
        return;
    }
    for (unsigned i = 0; i < BIG_TIMES; i++) wire_addf(w, "%020" PRId64, value & ~HISTORY_BIG);
}

size_t step_value_len(int64_t value) {
    return (value & HISTORY_BIG) != 0 ? (size_t)BIG_DIGITS * BIG_TIMES : (size_t)snprintf(NULL, 0, "%" PRId64, value);
}

int64_t step_parse_value(const char *bytes, size_t len) {
    char digits[BIG_DIGITS + 1] = {0};
    char *end;

    if (len != 0 && len != (size_t)BIG_DIGITS * BIG_TIMES && len >= BIG_DIGITS)
        wire_wrong("a value of %zu bytes, that nobody wrote", len);
    memcpy(digits, bytes, len < BIG_DIGITS ? len : BIG_DIGITS);
    int64_t value = strtoll(digits, &end, 10);
    if (len == 0 || *end != '\0') wire_wrong("a value that nobody wrote: \"%s\"", digits);
    if (len < BIG_DIGITS) return value;
    for (size_t i = BIG_DIGITS; i < len; i += BIG_DIGITS)
        if (memcmp(bytes, bytes + i, BIG_DIGITS) != 0)
            wire_wrong("a value of two writes: \"%s\" and \"%.20s\"", digits, bytes + i);
    return value | HISTORY_BIG;
}

void step_saw_value(struct history_step *step, const char *bytes, size_t len) {
    step->result = HISTORY_VALUE;
    step->seen = step_parse_value(bytes, len);
}

void step_saw_version(struct player *p, struct history_step *step, uint64_t version) {
    if (version == 0) wire_wrong("%s tells a version of 0", step_commands[step->verb].name);
    step->seen_version = p->versions[step->key] = version;
}

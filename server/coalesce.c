/* coalesce.c - the decision to sleep, from two counts and the loop's clock, which is there already.
 *
 *     this turn:              2 reads         few   \
 *     the last millisecond:   20 connections  busy  / sleep, and the next turn finds 12: go on; 2: of no use
 *
 * The mean is of whole milliseconds, and of all that passed, so that nobody is kept waiting after a silence.
 * Not here: the sleep (worker.c), figures (DESIGN.md, "The server").
 */
#include "server/coalesce.h"

bool coalesce_wanted(struct coalesce *coalesce, uint64_t now) {
    unsigned reads = coalesce->reads;

    coalesce->reads = 0;
    if (coalesce->slept) {
        coalesce->slept = false;
        coalesce->useless = reads >= COALESCE_ENOUGH ? 0 : coalesce->useless + 1;
        if (coalesce->useless >= COALESCE_USELESS) coalesce->rest = now + COALESCE_REST_MS;
    }
    if (now != coalesce->since) {
        coalesce->busy = coalesce->active >= COALESCE_ACTIVE * (now - coalesce->since);
        coalesce->since = now;
        coalesce->active = 0;
    }
    return coalesce->busy && reads > 0 && reads < COALESCE_FEW && now >= coalesce->rest;
}

void coalesce_slept(struct coalesce *coalesce, uint64_t now, uint64_t ns) {
    coalesce->slept = true;
    if (ns > COALESCE_LATE_NS) coalesce->rest = now + COALESCE_REST_MS;
}

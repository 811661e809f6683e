/* scans.h - the open scans: what SCAN and the HTTP listing continue by a cursor.
 *
 * A cursor names a scan and a page of it; it is good on any connection and either door. The pages of one
 * scan together are exactly the entries alive at one instant, each once. Asking again for the last page
 * gives the same entries. All functions: any thread.
 */
#ifndef STROBE_SERVER_SCANS_H
#define STROBE_SERVER_SCANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "protocol/slice.h"

struct scans;

/* Zero means the default. */
struct scans_options {
    unsigned max_scans;                /* open at once, 1 to SCANS_MAX; default 1024 */
    uint64_t idle_ms;                  /* a scan that nobody asks for is closed after it; default 60 s */
    uint64_t (*now_ms)(void *context); /* any clock that never runs backwards; default CLOCK_MONOTONIC */
    void *now_context;
    /* Runs WORK(ARGUMENT) elsewhere soon, because it may take long (closing a snapshot); default: at once,
     * here. */
    void (*defer)(void *context, void (*work)(void *argument), void *argument);
    void *defer_context;
};

#define SCANS_MAX           65536u /* what max-scans may be set to */
#define SCANS_CURSOR_BITS   53     /* cursors are below 2^53: JavaScript reads them as numbers */
#define SCANS_COUNT_DEFAULT 10u    /* keys of a page when COUNT does not say */
#define SCANS_COUNT_MAX     10000u /* keys of a page at most, whatever COUNT says */
#define SCANS_FINAL_MS      5000u  /* so long the final page can be asked for again */
#define SCANS_ACTIVE_MS     5000u  /* so long after its last page a scan is never closed for another */

/* What of a page is wanted. All is borrowed until scans_page returns. */
struct scans_query {
    struct strobe_slice prefix; /* empty: any */
    struct strobe_slice match;  /* a glob that strobe_glob_is_bounded; see HAS_MATCH */
    bool has_match;
    bool values;    /* TAKE uses values too, so they count for the page's size */
    bool nothing;   /* no entry is wanted (SCAN ... TYPE list); the scan goes on all the same */
    uint64_t count; /* a hint; 0 = default */
    /* Gets each wanted entry, shared until it returns. Results: OK, NO_MEMORY (the page can be asked for
     * again). */
    enum strobe_status (*take)(void *context, const struct strobe_entry *entry);
    void *context;
};

/* Makes a registry over MAP, which outlives it; OPTIONS (borrowed until return) may be NULL. Owned by the
 * caller; NULL without memory. The map must allow max_scans + 64 snapshots or more. */
struct scans *scans_new(struct strobe_map *map, const struct scans_options *options);

/* Closes all scans and frees. No thread may be using it, nor may deferred work be under way. */
void scans_free(struct scans *scans);

/* One page. CURSOR 0 opens a scan and gives its first page; else it must be what an earlier page gave in
 * *NEXT. *NEXT is 0 when this was the last page. A page may be empty and not the last. Bounded work: see
 * scans.c. Results: OK, CLOSED (no such cursor any more: NOSCAN), TOO_MANY, NO_MEMORY (ask again), TOO_BIG (MATCH costs
 * too much for a page that was made with another). What TAKE got in a page that was not OK is void. */
enum strobe_status scans_page(struct scans *scans, uint64_t cursor, const struct scans_query *query, uint64_t *next);

/* The same for SCAN 0 over SNAPSHOT (taken), which was opened elsewhere. */
enum strobe_status scans_first_page(struct scans *scans, struct strobe_snapshot *snapshot,
                                    const struct scans_query *query, uint64_t *next);

/* Closes the scan that can best be spared, because the map will have no more snapshots. Outside of an access. false:
 * there is none. */
bool scans_spare(struct scans *scans);

/* Closes what has been idle too long and the final pages that need not be kept any more. Call it about
 * once a second while scans_open is not 0; one call costs as many steps as there are open scans. */
void scans_reap(struct scans *scans);

/* Scans open now, final pages included. One atomic load. */
unsigned scans_open(const struct scans *scans);

/* New limits at run time (SIGHUP). What is over them is closed as it comes to be closed. 0 leaves one as
 * it is. */
void scans_limit(struct scans *scans, unsigned max_scans, uint64_t idle_ms);

struct scans_stats {
    uint64_t open, finished;           /* now; FINISHED are those whose last page was given */
    uint64_t opened, expired, evicted; /* since the start: by SCAN 0 and listings; idle too long; for another */
};
void scans_stats(struct scans *scans, struct scans_stats *stats);

#endif

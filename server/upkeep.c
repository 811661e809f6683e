/* upkeep.c - one timer on worker 0 for what nobody asks for.
 *
 * Expired entries: while there are entries that expire, all segments of the map are swept once a second, in a round for
 * every ROUND_SEGMENTS of them, but at most ROUNDS_MAX. A round is swept in slices, which end with the segment that is
 * swept when SLICE_US are over. Behind each the loop has a turn, and rests for up to a millisecond if it has nothing to
 * do. So worker 0's connections wait no longer than a slice, and when millions expire at once, it takes seconds.
 * Snapshots: idle scans are closed, and those that could not be closed for the limit while they were in use. What any
 * loop closes for the limit is given back by a thread of the pool, which is asked before that loop sleeps (worker.c).
 * A timer that comes is dear where a processor must wake for it. So there are no more rounds than the sweep has work
 * for, and when there is nothing of all this it comes once a second and looks at some counters.
 */
#include "server/upkeep.h"

#include <stdlib.h>
#include <uv.h>

#include "map/map.h"
#include "server/config.h"
#include "server/latency.h"
#include "server/scans.h"
#include "server/services.h"
#include "server/worker.h"

enum { IDLE_MS = 1000, ROUNDS_MAX = 10, ROUND_SEGMENTS = 1000, PAUSE_MS = 1, SLICE_US = 500 };

struct upkeep {
    struct services *services;
    uv_timer_t timer;
    uint64_t place;   /* of the sweep in the map */
    uint64_t left;    /* segments still to sweep in this round */
    uint64_t next_at; /* when the next round is due; this and the next in ms of the loop's clock */
    uint64_t closed_at;
};

/* Sweeps for SLICE_US, or what is left of the round. */
static void sweep(struct upkeep *upkeep) {
    struct strobe_map *map = services_map(upkeep->services);
    uint64_t began = uv_hrtime(), now = began;

    strobe_map_tick(map);
    while (upkeep->left > 0 && now < began + SLICE_US * UINT64_C(1000)) {
        strobe_sweep(map, &upkeep->place, 1);
        upkeep->left = upkeep->place == 0 ? 0 : upkeep->left - 1; /* shards without such entries were one step each */
        now = uv_hrtime();
    }
    uint64_t ms = (now - began) / 1000000;
    if (ms >= services_config(upkeep->services)->slowlog_threshold) {
        latency_event_add(services_latency(upkeep->services), LATENCY_EVENT_EXPIRE_CYCLE, ms);
    }
}

static void begin_round(struct upkeep *upkeep, const struct strobe_stats *stats) {
    uint64_t segments = stats->expiring > 0 ? stats->segments : 0;
    uint64_t rounds = segments > 0 ? (segments - 1) / ROUND_SEGMENTS + 1 : 1; /* a second */

    if (rounds > ROUNDS_MAX) rounds = ROUNDS_MAX;
    upkeep->left = (segments + rounds - 1) / rounds;
    upkeep->next_at = uv_now(upkeep->timer.loop) + IDLE_MS / rounds;
}

static void on_timer(uv_timer_t *timer) {
    struct upkeep *upkeep = timer->data;
    struct scans *scans = services_scans(upkeep->services);
    struct strobe_stats stats;
    uint64_t now = uv_now(timer->loop);

    if (upkeep->left == 0) {
        strobe_map_stats(services_map(upkeep->services), &stats);
        begin_round(upkeep, &stats);
    }
    if (now - upkeep->closed_at >= IDLE_MS) {
        upkeep->closed_at = now;
        strobe_map_enforce(services_map(upkeep->services));
        if (scans_open(scans) > 0) scans_reap(scans);
    }
    if (upkeep->left > 0) sweep(upkeep);
    uv_update_time(timer->loop); /* the pause begins now */
    now = uv_now(timer->loop);
    uv_timer_start(timer, on_timer, upkeep->left == 0 && upkeep->next_at > now ? upkeep->next_at - now : PAUSE_MS, 0);
}

struct upkeep *upkeep_start(struct services *services) {
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);

    if (upkeep == NULL) return NULL;
    upkeep->services = services;
    uv_timer_init(worker_loop(services_worker(services, 0)), &upkeep->timer);
    upkeep->timer.data = upkeep;
    uv_timer_start(&upkeep->timer, on_timer, IDLE_MS, 0);
    return upkeep;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void upkeep_stop(struct upkeep *upkeep) {
    if (upkeep != NULL) uv_close((uv_handle_t *)&upkeep->timer, on_closed);
}

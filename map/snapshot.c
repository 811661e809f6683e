/* snapshot.c - photographs: the whole map at one instant, read while writers write.
 *
 * One atomic clock orders everything. Opening a snapshot advances it, and the new value is the snapshot's number S
 * and, in milliseconds, its instant T. A command takes all its locks first and then looks at the clock once.
 *
 *      writer, under its locks                    scan, at a segment, under its lock
 *      looks at the clock: newest open = n        is there a copy with after < S <= mark? read that
 *      segment->mark < n ?                        else the segment itself is as it was at S:
 *        copy it for (mark, n], mark = n            copy it for (mark, n], mark = n, read the copy
 *      then changes it
 *
 * Invariant: for a live segment with mark m, every open snapshot s <= m that has not passed its range finds
 * that range in copies, whose intervals (after, mark] hold s once for each place; and for s > m there is no copy, and
 * nothing in the segment has changed since s.
 *
 * Why a scan is exact. Let W be a command that writes, c the clock value it looks at under its locks, S a snapshot.
 *   c >= S: S was open when W looked (or had closed: then nobody asks), so W froze each segment it changed for S or
 *   a newer
 *     one first: W is in no copy that serves S. W is out of S, in all its segments.
 *   c < S: W holds its locks until it is done. The scan of S, and every writer that freezes for S, takes those
 *     locks after S was opened, hence after W: they see all that W did. W is in S, whole.
 * So S divides the commands by c. The clock only grows, and a command that begins after another ended looks at it
 * later: if the second is in S, so is the first. Expiry obeys the same number: W took as alive what expires after
 * c's milliseconds, and S shows what expires after T. A command with several locks looks once, so it is in or out
 * as one.
 *
 * A command can open S itself (strobe_snapshot_open_inside: SCAN inside EXEC). It holds its locks, moves the clock to
 * S, and takes S as what it looked at: c = S, newest = S, and it is out of S by the first case. That is a look like any
 * other, at the moment of the step: all its locks were held, no newer snapshot was open, and what opens later has a
 * larger number and takes it in, whole, once it lets go. What it had looked at before S it must look at again, since
 * its time has moved: so it opens first. Several snapshots of one instant (strobe_snapshot_twin) have one number:
 * what is kept for one is kept for all that have not passed, and the second is there before the first can pass.
 *
 * The look (snapshots_instant) needs two numbers that belong together, the clock and the newest open snapshot. The
 * opener announces its number as `pending` before it moves the clock and as `newest` after that; whoever sees
 * the moved clock sees one of the two. Whoever sees a `newest` beyond its clock value looks again.
 *
 * A copy goes when no open snapshot in (after, mark] may still read there: it was closed, or it has passed, which
 * means that its owner has *forgotten* (strobe_snapshot_forget) what lies before a place behind the copy.
 * The memory of snapshots is bounded by closing (revoking) those that matter least; that takes them off the list
 * at once, so that nothing more is kept for them, and strobe_map_maintain gives back what was. Where a write finds no
 * memory for a copy, those that need it are closed if all are idle: no write fails for a scan that nobody reads.
 *
 * On failure: a scan that cannot copy stays where it is and can go on later; it closes no other.
 * Not here: who owns an entry that a copy names (copies.c).
 */
#include "map/snapshot.h"

#include <assert.h>

#include "map/entry.h"
#include "map/map_private.h"
#include "map/memory.h"

#define IDLE_BEFORE_REVOKED_MS 5000 /* a snapshot read within this time is not closed for memory */

SNAPSHOTS_ENTERS LOCK_UNCHECKED static void list_enter(struct snapshots *snapshots) {
    lock_enter(&snapshots->lock);
}

SNAPSHOTS_LEAVES LOCK_UNCHECKED static void list_leave(struct snapshots *snapshots) {
    lock_leave(&snapshots->lock);
}

uint64_t snapshots_tick(struct snapshots *snapshots) {
    uint64_t now = snapshots->now_ms(snapshots->now_context) << CLOCK_COUNT_BITS;
    uint64_t clock = atomic_load_explicit(&snapshots->clock, memory_order_acquire);

    /* Acquire and release: the clock also says which snapshots are open (snapshots_instant). */
    while (clock < now && !atomic_compare_exchange_weak_explicit(&snapshots->clock, &clock, now, memory_order_acq_rel,
                                                                 memory_order_acquire))
        ;
    return (clock < now ? now : clock) >> CLOCK_COUNT_BITS;
}

static bool passed(const struct strobe_snapshot *snapshot, uint64_t end) SNAPSHOTS_INSIDE;

static bool passed(const struct strobe_snapshot *snapshot, uint64_t end) {
    return snapshot->kept.end || (end != 0 && end <= snapshot->kept.prefix);
}

/* The newest snapshot from S on, back in time, that needs a copy for (AFTER, MARK] before END; or NULL. */
SNAPSHOTS_INSIDE static struct strobe_snapshot *next_needing(struct strobe_snapshot *s, uint64_t after, uint64_t mark,
                                                             uint64_t end) {
    while (s && s->number > after && (s->number > mark || passed(s, end))) s = s->older;
    return s && s->number > after ? s : NULL;
}

bool snapshots_need(struct snapshots *snapshots, uint64_t after, uint64_t mark, uint64_t end) {
    bool need;

    list_enter(snapshots);
    need = next_needing(snapshots->last, after, mark, end) != NULL;
    list_leave(snapshots);
    return need;
}

SNAPSHOTS_INSIDE static void unlist(struct snapshots *snapshots, struct strobe_snapshot *snapshot) {
    if (snapshot->older)
        snapshot->older->newer = snapshot->newer;
    else
        snapshots->first = snapshot->newer;
    if (snapshot->newer)
        snapshot->newer->older = snapshot->older;
    else
        snapshots->last = snapshot->older;
    snapshot->listed = false;
    snapshots->count--;
    /* Release: pairs with snapshots_instant. A reader of the old value makes a copy too many at most. */
    atomic_store_explicit(&snapshots->newest, snapshots->last ? snapshots->last->number : 0, memory_order_release);
}

/* At NOW, in milliseconds: whether SNAPSHOT was idle for IDLE_MS, or has been read to its end. */
SNAPSHOTS_INSIDE static bool may_close(const struct strobe_snapshot *snapshot, uint64_t now, uint64_t idle_ms) {
    return !snapshot->keep && (snapshot->finished || snapshot->used_ms + idle_ms <= now);
}

SNAPSHOTS_INSIDE static void revoke(struct snapshots *snapshots, struct strobe_snapshot *victim) {
    /* Before it leaves the list, whose release then shows it: a writer who sees the list without it no longer
     * copies for it, and its reader, who takes the shard's lock after that writer, must know. */
    atomic_store_explicit(&victim->revoked, true, memory_order_relaxed);
    unlist(snapshots, victim);
    atomic_fetch_add_explicit(&snapshots->revoked, 1, memory_order_relaxed);
}

/* Closes the snapshot that matters least of those idle for IDLE_MS; false: there is none that may be closed. */
SNAPSHOTS_INSIDE static bool revoke_one(struct snapshots *snapshots, uint64_t idle_ms) {
    uint64_t now = snapshots_tick(snapshots);
    struct strobe_snapshot *victim = NULL;

    for (struct strobe_snapshot *s = snapshots->first; s; s = s->newer) {
        bool better = !victim || (s->finished && !victim->finished) ||
                      (s->finished == victim->finished && s->used_ms < victim->used_ms);

        if (better && may_close(s, now, idle_ms)) victim = s;
    }
    if (victim) revoke(snapshots, victim);
    return victim != NULL;
}

static bool fits(const struct snapshots *snapshots, uint64_t more) {
    return snapshots->memory_max == 0 ||
           atomic_load_explicit(&snapshots->held, memory_order_relaxed) + more <= snapshots->memory_max;
}

/* Whether memory of revoked ones is still to come back. Acquire: what has come back is in `held` no more. */
static bool owes(const struct snapshots *snapshots) {
    return atomic_load_explicit(&snapshots->reaped, memory_order_acquire) !=
           atomic_load_explicit(&snapshots->revoked, memory_order_relaxed);
}

/* Whether one has to be closed for the limit: one at a time. When giving its memory back was not enough, that closes
 * the next. */
static bool is_over(const struct snapshots *snapshots) {
    return !owes(snapshots) && !fits(snapshots, 0);
}

static void close_for_limit(struct snapshots *snapshots) {
    if (!is_over(snapshots)) return;
    list_enter(snapshots);
    if (is_over(snapshots)) (void)revoke_one(snapshots, IDLE_BEFORE_REVOKED_MS); /* nobody was faster */
    list_leave(snapshots);
}

void snapshots_hold(struct snapshots *snapshots, uint64_t bytes) {
    atomic_fetch_add_explicit(&snapshots->held, bytes, memory_order_relaxed);
    if ((int64_t)bytes > 0) close_for_limit(snapshots);
}

bool snapshots_make_room(struct snapshots *snapshots, uint64_t bytes) {
    bool closed;

    if (fits(snapshots, bytes)) return false;
    list_enter(snapshots);
    closed = revoke_one(snapshots, 0);
    list_leave(snapshots);
    return closed;
}

bool snapshots_close_needing(struct snapshots *snapshots, uint64_t after, uint64_t mark, uint64_t end) {
    struct strobe_snapshot *s;
    bool all = true;

    list_enter(snapshots);
    uint64_t now = snapshots_tick(snapshots);

    for (s = snapshots->last; all && (s = next_needing(s, after, mark, end)); s = s->older)
        all = may_close(s, now, IDLE_BEFORE_REVOKED_MS);
    while (all && (s = next_needing(snapshots->last, after, mark, end))) revoke(snapshots, s);
    list_leave(snapshots);
    return all;
}

/* Moves the clock to a number of its own for SNAPSHOT. */
SNAPSHOTS_INSIDE static void take_number(struct snapshots *snapshots, struct strobe_snapshot *snapshot) {
    uint64_t now = snapshots->now_ms(snapshots->now_context) << CLOCK_COUNT_BITS;
    uint64_t clock = atomic_load_explicit(&snapshots->clock, memory_order_acquire);

    do {
        snapshot->number = (clock < now ? now : clock) + 1;
        /* Release: announced before the clock moves. */
        atomic_store_explicit(&snapshots->pending, snapshot->number, memory_order_release);
    } while (!atomic_compare_exchange_weak_explicit(&snapshots->clock, &clock, snapshot->number, memory_order_acq_rel,
                                                    memory_order_acquire));
}

/* A snapshot that is on no list yet, or NULL. */
static struct strobe_snapshot *snapshot_new(struct strobe_map *map, bool keep) {
    struct strobe_snapshot *snapshot = memory_alloc(map->world.allocator, sizeof *snapshot, MEMORY_WORD);

    if (snapshot) {
        memset(snapshot, 0, sizeof *snapshot);
        snapshot->map = map;
        snapshot->keep = keep;
    }
    return snapshot;
}

/* May one more be opened? Closes one for it if need be. Results: OK, TOO_MANY. */
SNAPSHOTS_INSIDE static enum strobe_status make_room(struct snapshots *snapshots, bool keep) {
    if (snapshots->count < snapshots->max && !is_over(snapshots)) return STROBE_OK;
    return revoke_one(snapshots, IDLE_BEFORE_REVOKED_MS) || keep ? STROBE_OK : STROBE_TOO_MANY;
}

/* Puts SNAPSHOT, which has its number, on the list: behind BEFORE, which is not younger (NULL: at the front). */
SNAPSHOTS_INSIDE static void enlist(struct snapshots *snapshots, struct strobe_snapshot *snapshot,
                                    struct strobe_snapshot *before) {
    snapshot->used_ms = snapshot->number >> CLOCK_COUNT_BITS;
    snapshot->listed = true;
    snapshot->older = before;
    snapshot->newer = before ? before->newer : snapshots->first;
    if (snapshot->newer)
        snapshot->newer->older = snapshot;
    else
        snapshots->last = snapshot;
    if (before)
        before->newer = snapshot;
    else
        snapshots->first = snapshot;
    snapshots->count++;
}

static enum strobe_status open_snapshot(struct strobe_map *map, bool keep, struct strobe_snapshot **out) {
    struct snapshots *snapshots = &map->snapshots;
    struct strobe_snapshot *snapshot = snapshot_new(map, keep);
    enum strobe_status status;

    if (!snapshot) return STROBE_NO_MEMORY;
    list_enter(snapshots);
    status = make_room(snapshots, keep);
    if (status == STROBE_OK) {
        take_number(snapshots, snapshot);
        enlist(snapshots, snapshot, snapshots->last);
        /* Release, in this order: newest before pending goes (snapshots_instant). */
        atomic_store_explicit(&snapshots->newest, snapshot->number, memory_order_release);
        atomic_store_explicit(&snapshots->pending, 0, memory_order_release);
    }
    list_leave(snapshots);
    if (status != STROBE_OK) {
        memory_release(map->world.allocator, snapshot, sizeof *snapshot, MEMORY_WORD);
        return status;
    }
    *out = snapshot;
    return STROBE_OK;
}

enum strobe_status strobe_snapshot_open(struct strobe_map *map, bool keep, struct strobe_snapshot **out) {
    return open_snapshot(map, keep, out);
}

enum strobe_status strobe_snapshot_open_inside(struct strobe_access *access, bool keep, struct strobe_snapshot **out) {
    enum strobe_status status = open_snapshot(access->map, keep, out);

    if (status == STROBE_OK) access->instant = access->newest = (*out)->number;
    return status;
}

enum strobe_status strobe_snapshot_twin(const struct strobe_snapshot *snapshot, struct strobe_snapshot **out) {
    struct strobe_map *map = snapshot->map;
    struct snapshots *snapshots = &map->snapshots;
    struct strobe_snapshot *twin = snapshot_new(map, snapshot->keep);
    enum strobe_status status = STROBE_CLOSED;

    if (!twin) return STROBE_NO_MEMORY;
    list_enter(snapshots);
    assert(!snapshot->kept.end && snapshot->kept.prefix == 0 && snapshot->kept.slot == 0);
    if (snapshot->listed) status = make_room(snapshots, snapshot->keep);
    if (status == STROBE_OK && !snapshot->listed) status = STROBE_TOO_MANY; /* the room was made of it */
    if (status == STROBE_OK) {
        twin->number = snapshot->number;
        enlist(snapshots, twin, snapshot->older);
    }
    list_leave(snapshots);
    if (status != STROBE_OK) {
        memory_release(map->world.allocator, twin, sizeof *twin, MEMORY_WORD);
        return status;
    }
    *out = twin;
    return STROBE_OK;
}

uint64_t strobe_snapshot_time(const struct strobe_snapshot *snapshot) {
    return snapshot->number >> CLOCK_COUNT_BITS;
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* The table that shows SNAPSHOT this shard: one that was flushed since, or the live one. */
STROBE_INSIDE static struct table *table_for(struct strobe_shard *shard, const struct strobe_snapshot *snapshot) {
    for (struct table *table = shard->flushed; table; table = table->next) {
        if (table->born < snapshot->number && snapshot->number <= table->until) return table;
    }
    return &shard->live;
}

/* What a reader holds while it is outside of the lock. */
struct held {
    struct strobe_shard *shard;
    struct copy *copy; /* NULL: a segment of a flushed table, which nobody changes */
    const struct segment *image;
    uint64_t next; /* prefix behind it, 0 = the end of all */
};

/* Finds and pins what shows SNAPSHOT the place PREFIX. Results: OK, NO_MEMORY, CLOSED. */
STROBE_OUTSIDE static enum strobe_status pin(struct strobe_snapshot *snapshot, uint64_t prefix, struct held *held) {
    struct strobe_map *map = snapshot->map;
    struct strobe_shard *shard = map_shard(map, prefix);
    enum strobe_status status = STROBE_OK;
    struct table *table;
    uint64_t instant, newest;

    memset(held, 0, sizeof *held);
    shard_enter(shard);
    if (atomic_load_explicit(&snapshot->revoked, memory_order_relaxed)) {
        shard_leave(shard);
        return STROBE_CLOSED;
    }
    held->shard = shard;
    table = table_for(shard, snapshot);
    held->copy = copies_find(&table->copies, prefix, snapshot->number);
    if (!held->copy) {
        struct segment *segment = table_segment(table, prefix);

        held->image = segment;
        held->next = range_end(segment->prefix, segment->bits);
        if (table == &shard->live) {
            snapshots_instant(&map->snapshots, &instant, &newest);
            status = table_freeze(table, &map->world, segment, newest, shard->version);
            held->copy = copies_find(&table->copies, prefix, snapshot->number);
            if (status == STROBE_OK && !held->copy) status = STROBE_CLOSED; /* revoked a moment ago */
        }
    }
    if (status == STROBE_OK) {
        table->pins++;
        if (held->copy) {
            held->copy->pins++;
            held->image = held->copy->image;
            held->next = range_end(held->copy->prefix, held->copy->bits);
        }
    }
    shard_leave(shard);
    return status;
}

/* ---- Giving memory back ---------------------------------------------------------------------- */

/* What was taken out under a lock and is freed outside. */
struct dead {
    struct strobe_map *map;
    struct table *table; /* whose copies are looked at */
    uint32_t budget;     /* entries to be looked at, and copies, under this hold of the lock */
    struct copy *copies;
    struct history **chains; /* of a table without copies, CHAINS_COUNT of them */
    uint32_t chains_count;
    struct table *tables;
};

static uint64_t hash_of(const void *context, const struct strobe_entry *entry) {
    const struct strobe_map *map = context;
    size_t len;
    const char *key = strobe_entry_key(entry, &len);

    return hash_bytes(&map->world.hash, key, len);
}

/* The budget of a hold: some tens of microseconds. */
#define REAP_BUDGET 64u

/* Takes COPY out if nobody needs it. False: enough for one hold of the lock. */
STROBE_INSIDE static bool reap_copy(void *context, struct copy *copy) {
    struct dead *dead = context;
    struct strobe_map *map = dead->map;

    if (copy->pins || snapshots_need(&map->snapshots, copy->after, copy->mark, range_end(copy->prefix, copy->bits)))
        return true;
    if (!copies_remove(&dead->table->copies, copy, hash_of, map, &dead->budget)) return false;
    copy->next = dead->copies;
    dead->copies = copy;
    if (dead->table->copies.count == 0) {
        dead->chains = copies_take_chains(&dead->table->copies, &dead->chains_count);
        return false;
    }
    if (dead->budget > 0) dead->budget--;
    return dead->budget > 0;
}

/* Takes out the flushed tables of SHARD that nobody needs any more. */
STROBE_INSIDE static void reap_tables(struct strobe_shard *shard, struct dead *dead) {
    struct table **at = &shard->flushed;

    while (*at) {
        struct table *table = *at;

        if (table->pins || snapshots_need(&dead->map->snapshots, table->born, table->until,
                                          range_end(table->prefix, dead->map->world.shard_bits))) {
            at = &table->next;
            continue;
        }
        *at = table->next;
        table->next = dead->tables;
        dead->tables = table;
    }
}

STROBE_OUTSIDE static void bury(struct dead *dead) {
    struct strobe_map *map = dead->map;

    for (struct copy *copy = dead->copies, *next; copy; copy = next) {
        next = copy->next;
        snapshots_hold(&map->snapshots, 0 - copy_free(map->world.allocator, copy));
    }
    memory_release(map->world.allocator, dead->chains, dead->chains_count * sizeof(struct history *), MEMORY_WORD);
    map_free_tables(map, dead->tables);
}

/* What one hold of the lock allows of reap_shard. True: nothing is left to do. */
STROBE_OUTSIDE static bool reap_some(struct strobe_map *map, struct strobe_shard *shard, uint64_t lowest,
                                     uint64_t highest) {
    struct dead dead = {.map = map, .budget = REAP_BUDGET};
    bool whole;

    shard_enter(shard);
    dead.table = &shard->live;
    whole = copies_each(&shard->live.copies, lowest, highest, reap_copy, &dead);
    for (struct table *table = shard->flushed; table && whole; table = table->next) {
        dead.table = table;
        whole = copies_each(&table->copies, lowest, highest, reap_copy, &dead);
    }
    if (whole) reap_tables(shard, &dead);
    shard_leave(shard);
    bury(&dead);
    return whole;
}

/* Frees what SHARD kept for snapshots with numbers from LOWEST to HIGHEST, and nobody needs. The lock is let go
 * after every few copies, and within one that owns much, so that writers get in between. */
STROBE_OUTSIDE static void reap_shard(struct strobe_map *map, struct strobe_shard *shard, uint64_t lowest,
                                      uint64_t highest) {
    while (!reap_some(map, shard, lowest, highest))
        ;
}

STROBE_OUTSIDE static void unpin(struct strobe_snapshot *snapshot, struct held *held) {
    shard_enter(held->shard);
    table_for(held->shard, snapshot)->pins--; /* a flush may have moved the table, but not its place in time */
    if (held->copy) held->copy->pins--;
    shard_leave(held->shard);
    /* Whoever revoked us could not free what we had pinned. */
    if (atomic_load_explicit(&snapshot->revoked, memory_order_relaxed))
        reap_shard(snapshot->map, held->shard, snapshot->number, snapshot->number);
}

/* ---- The public reader ------------------------------------------------------------------------- */

/* How far visit_image came. */
enum came { CAME_BEHIND, CAME_STOPPED, CAME_OUT_OF_BUDGET };

#define SCAN_LOOK_AHEAD 16 /* slots asked for before they are read */

/* Visits the entries of IMAGE from position->slot to LAST, and moves position->slot behind what was taken. */
static enum came visit_image(const struct strobe_snapshot *snapshot, const struct segment *image,
                             struct strobe_position *position, uint32_t last, size_t *budget,
                             enum strobe_visit (*visit)(void *, const struct strobe_entry *), void *context) {
    uint64_t time = strobe_snapshot_time(snapshot);

    for (uint32_t slot = position->slot; slot < last; slot++) {
        const struct strobe_entry *entry = segment_entry(image, (segment_slot)slot);
        enum strobe_visit want;

        if (slot + SCAN_LOOK_AHEAD < last)
            __builtin_prefetch(segment_entry(image, (segment_slot)(slot + SCAN_LOOK_AHEAD)));
        position->slot = slot;
        if (*budget == 0) return CAME_OUT_OF_BUDGET;
        --*budget;
        if (!entry || entry_dead(entry, time)) continue;
        want = visit(context, entry);
        if (want == STROBE_VISIT_REFUSE) return CAME_STOPPED;
        position->slot = slot + 1;
        if (want == STROBE_VISIT_STOP) return CAME_STOPPED;
    }
    position->slot = last;
    return CAME_BEHIND;
}

static bool reached(const struct strobe_position *position, const struct strobe_position *until) {
    if (position->end || !until) return position->end;
    if (until->end) return false;
    return position->prefix > until->prefix || (position->prefix == until->prefix && position->slot >= until->slot);
}

STROBE_OUTSIDE static void note_use(struct strobe_snapshot *snapshot, bool finished) {
    struct snapshots *snapshots = &snapshot->map->snapshots;

    list_enter(snapshots);
    snapshot->used_ms = snapshots_tick(snapshots);
    snapshot->finished = finished;
    list_leave(snapshots);
}

enum strobe_status strobe_snapshot_read(struct strobe_snapshot *snapshot, struct strobe_position *position,
                                        const struct strobe_position *until, size_t budget,
                                        enum strobe_visit (*visit)(void *context, const struct strobe_entry *entry),
                                        void *context) {
    enum strobe_status status = STROBE_OK;
    enum came came = CAME_BEHIND;

    if (budget == 0) budget = SIZE_MAX;
    note_use(snapshot, false);
    while (came == CAME_BEHIND && !reached(position, until)) {
        struct held held;
        uint32_t slots, last;

        status = pin(snapshot, position->prefix, &held);
        if (status != STROBE_OK) break;
        slots = segment_slots(held.image->class);
        last = until && !until->end && until->prefix == position->prefix && until->slot < slots ? until->slot : slots;
        came = visit_image(snapshot, held.image, position, last, &budget, visit, context);
        if (position->slot == slots) {
            position->prefix = held.next;
            position->slot = 0;
            position->end = held.next == 0;
        }
        unpin(snapshot, &held);
    }
    note_use(snapshot, position->end);
    return status;
}

/* What lies before AT will not be read again. */
static void keep_from(struct strobe_snapshot *snapshot, const struct strobe_position *at) {
    list_enter(&snapshot->map->snapshots);
    snapshot->kept = *at;
    list_leave(&snapshot->map->snapshots);
}

/* What SNAPSHOT, which needs less now, may let go under one hold of the lock. */
static struct dead dead_of(const struct strobe_snapshot *snapshot) {
    return (struct dead){.map = snapshot->map, .budget = REAP_BUDGET};
}

/* The end of that hold: takes out COPY (NULL: there is none) of DEAD's table if nobody needs it, lets the lock go, and
 * frees. False: there is more to do for it. */
STROBE_LEAVES static bool reap_one(struct dead *dead, struct strobe_shard *shard, struct copy *copy) {
    bool whole = !copy || reap_copy(dead, copy);

    if (whole) reap_tables(shard, dead);
    shard_leave(shard);
    bury(dead);
    return whole;
}

/* Goes on with the copy that showed SNAPSHOT the place PREFIX of SHARD, until it is gone. */
STROBE_OUTSIDE static void reap_rest(struct strobe_snapshot *snapshot, struct strobe_shard *shard, uint64_t prefix) {
    bool whole = false;

    while (!whole) {
        struct dead dead = dead_of(snapshot);

        shard_enter(shard);
        dead.table = table_for(shard, snapshot);
        whole = reap_one(&dead, shard, copies_find_leaving(&dead.table->copies, prefix, snapshot->number));
    }
}

void strobe_snapshot_forget(struct strobe_snapshot *snapshot, const struct strobe_position *position) {
    struct strobe_map *map = snapshot->map;
    struct strobe_position at;

    list_enter(&map->snapshots);
    at = snapshot->kept;
    list_leave(&map->snapshots);
    /* Step by step, so that the copy which shows the way to the next is there until we have come to it: another
     * snapshot that shares it could else take it away, and we would pass over what only we hold. */
    while (!at.end && (position->end || at.prefix < position->prefix)) {
        struct strobe_shard *shard = map_shard(map, at.prefix);
        struct dead dead = dead_of(snapshot);
        uint64_t place = at.prefix;
        struct copy *copy;

        shard_enter(shard);
        dead.table = table_for(shard, snapshot);
        copy = copies_find(&dead.table->copies, at.prefix, snapshot->number);
        if (copy) {
            at.prefix = range_end(copy->prefix, copy->bits);
        } else {
            const struct segment *segment = table_segment(dead.table, at.prefix);

            at.prefix = range_end(segment->prefix, segment->bits);
        }
        at.end = at.prefix == 0;
        if (!position->end && (at.end || at.prefix > position->prefix)) at = *position;
        keep_from(snapshot, &at);
        if (!reap_one(&dead, shard, copy)) reap_rest(snapshot, shard, place);
    }
}

void strobe_snapshot_close(struct strobe_snapshot *snapshot) {
    strobe_snapshot_close_many(&snapshot, 1);
}

void strobe_snapshot_close_many(struct strobe_snapshot *const *snapshots, size_t count) {
    struct strobe_map *map = count > 0 ? snapshots[0]->map : NULL;
    uint64_t lowest = UINT64_MAX, highest = 0;

    if (!map) return;
    list_enter(&map->snapshots);
    for (size_t i = 0; i < count; i++) {
        struct strobe_snapshot *snapshot = snapshots[i];

        if (snapshot->listed) unlist(&map->snapshots, snapshot);
        if (snapshot->kept.end) continue; /* nothing is held for it */
        lowest = snapshot->number < lowest ? snapshot->number : lowest;
        highest = snapshot->number > highest ? snapshot->number : highest;
    }
    list_leave(&map->snapshots);
    for (uint32_t i = 0; lowest <= highest && i < map->shard_count; i++)
        reap_shard(map, &map->shards[i], lowest, highest);
    for (size_t i = 0; i < count; i++)
        memory_release(map->world.allocator, snapshots[i], sizeof *snapshots[i], MEMORY_WORD);
}

bool strobe_map_owes(const struct strobe_map *map) {
    return owes(&map->snapshots);
}

void strobe_map_enforce(struct strobe_map *map) {
    close_for_limit(&map->snapshots);
}

void strobe_map_maintain(struct strobe_map *map) {
    /* One after the other, until what is left fits: what one held may be needed by others, too. */
    for (;;) {
        strobe_map_enforce(map);
        /* The counts only say that looking is worth it, the locks order the rest. Where two threads do this, the one
         * that knew of fewer may come last: then it is done once more. */
        uint64_t revoked = atomic_load_explicit(&map->snapshots.revoked, memory_order_relaxed);

        if (!owes(&map->snapshots)) return;
        for (uint32_t i = 0; i < map->shard_count; i++) reap_shard(map, &map->shards[i], 0, UINT64_MAX);
        atomic_store_explicit(&map->snapshots.reaped, revoked, memory_order_release); /* for owes */
    }
}

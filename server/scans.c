/* scans.c - the registry of open scans: cursors, pages that can be asked for again, and when a scan is
 * closed.
 *
 *     snapshot   |--- gone ---|--- last page ---|------- to come -------|
 *                             start             end
 *     cursors                 last              next
 *
 * A scan answers to two cursors: `next` builds the next page and moves both marks; `last` reads start..end
 * again, whatever COUNT says now. What lies before `start` is forgotten, and its cursors with it. A page
 * is committed only when it was built whole, so that one that ran out of memory can be asked for again.
 *
 * Cursor: a random tag above the scan's slot. 37 random bits a page, from the system's generator, are what
 * makes it unguessable; a slot that is used again has other tags.
 *
 * Locks: `scans.lock` guards the slots and what they say about use; `scan.lock` is held while one page of
 * that scan is built, so two clients with the same cursor get the same page one after the other. scan.lock
 * is taken with no other lock held, and scans.lock never waits for it. A scan that has users is not freed.
 *
 * Bounded work: a new page ends after COUNT entries taken, ENTRIES_MAX (or COUNT) met, PLACES_MAX places
 * of the map, STROBE_SCAN_PAGE_MAX bytes, or GLOB_STEPS_MAX of matching at its worst, whichever comes
 * first; but it meets at least one entry, or PLACES_MAX places without any. A full page looks ahead to the
 * next entry, so that a cursor other than 0 mostly means that there is more. A page that is asked for again
 * cannot end elsewhere; with a dearer pattern than it was made with it may be refused.
 *
 * Not here: exactness (map/snapshot.c), the limit on snapshots' memory (the map's; we learn it as CLOSED
 * or TOO_MANY), the words of SCAN (cmd_scan.c) and of the listing (http_list.c). */
#include "server/scans.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "protocol/glob.h"
#include "protocol/limits.h"

enum {
    SLOT_BITS = 16,
    TAG_BITS = SCANS_CURSOR_BITS - SLOT_BITS,
    TAGS_KEPT = 32,
    ENTRIES_MAX = 2048,         /* entries met in one page when COUNT asks for fewer */
    PLACES_MAX = 65536,         /* places of the map, empty ones included */
    GLOB_STEPS_MAX = 1 << 22,   /* of matching, at its worst: some milliseconds */
    GLOB_STEPS_AGAIN = 1 << 24, /* the same in a page that was given before, maybe with a cheaper pattern */
    OPEN_TRIES = 4,             /* snapshots closed to make room for a new one */
    CLOSED_TOGETHER = 256       /* snapshots closed with one look at the map */
};
static_assert(SCANS_MAX == 1u << SLOT_BITS, "every slot has its number in a cursor");

struct scan {
    pthread_mutex_t lock; /* guards the next six */
    struct strobe_snapshot *snapshot;
    struct strobe_position start, end; /* of the last page */
    uint64_t last;                     /* cursor that gave the last page; 0: that page was SCAN 0's */
    uint64_t next;                     /* cursor of the page to come; 0: there is none */
    bool closed;                       /* the map has closed the snapshot */
    /* guarded by the registry's lock */
    unsigned slot;
    unsigned users;    /* threads that hold or wait for `lock` */
    uint64_t used_ms;  /* when the last page was given */
    bool finished;     /* that page was the final one */
    struct scan *then; /* in a list of scans to be freed */
};

struct scans {
    struct strobe_map *map;
    struct scans_options options;
    _Atomic unsigned open; /* written under the lock; relaxed loads elsewhere are a hint */
    pthread_mutex_t lock;  /* guards the rest */
    struct scan *slots[SCANS_MAX];
    unsigned high; /* no slot from here on is used */
    uint64_t tags[TAGS_KEPT];
    unsigned tags_left;
    uint64_t opened, expired, evicted;
};

/* ---- small parts ---------------------------------------------------------------------------------------- */

static uint64_t monotonic_ms(void *context) {
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void work_here(void *context, void (*work)(void *argument), void *argument) {
    (void)context;
    work(argument);
}

static uint64_t now_ms(const struct scans *scans) {
    return scans->options.now_ms(scans->options.now_context);
}

/* A tag that nobody can foresee; never 0. The registry's lock is held. false: the system has no
 * randomness. */
static bool draw_tag(struct scans *scans, uint64_t *tag) {
    do {
        if (scans->tags_left == 0) {
            ssize_t got = getrandom(scans->tags, sizeof scans->tags, 0);
            if (got != (ssize_t)sizeof scans->tags) return false;
            scans->tags_left = TAGS_KEPT;
        }
        *tag = scans->tags[--scans->tags_left] >> (64 - TAG_BITS);
    } while (*tag == 0);
    return true;
}

/* Frees a list of scans that are in no slot any more, their snapshots many at a time. No lock is held. */
static void free_list(void *argument) {
    struct scan *list = argument;
    while (list != NULL) {
        struct strobe_snapshot *snapshots[CLOSED_TOGETHER];
        size_t count = 0;
        while (list != NULL && count < CLOSED_TOGETHER) {
            struct scan *scan = list;
            list = scan->then;
            snapshots[count++] = scan->snapshot;
            pthread_mutex_destroy(&scan->lock);
            free(scan);
        }
        strobe_snapshot_close_many(snapshots, count);
    }
}

/* The same, where it may take long. */
static void discard(struct scans *scans, struct scan *list) {
    if (list != NULL) scans->options.defer(scans->options.defer_context, free_list, list);
}

/* Takes a scan without users out of its slot, to the front of *LIST. The registry's lock is held. */
static void unlink_scan(struct scans *scans, struct scan *scan, struct scan **list) {
    assert(scan->users == 0 && scans->slots[scan->slot] == scan);
    scans->slots[scan->slot] = NULL;
    while (scans->high > 0 && scans->slots[scans->high - 1] == NULL) scans->high--;
    atomic_fetch_sub_explicit(&scans->open, 1, memory_order_relaxed);
    scan->then = *list;
    *list = scan;
}

static uint64_t idle_for(const struct scan *scan, uint64_t now) {
    return now > scan->used_ms ? now - scan->used_ms : 0;
}

static bool is_stale(const struct scans *scans, const struct scan *scan, uint64_t now) {
    uint64_t limit = scan->finished ? SCANS_FINAL_MS : scans->options.idle_ms;
    return scan->users == 0 && idle_for(scan, now) >= limit;
}

/* ---- one page ------------------------------------------------------------------------------------------- */

struct page {
    const struct scans_query *query;
    bool again; /* a page given before: it ends where it ended */
    uint64_t count, entries_max;
    uint64_t met, taken, bytes, steps;
    enum strobe_status status;
};

static bool is_full(const struct page *page) {
    return page->taken >= page->count || page->met >= page->entries_max || page->bytes >= STROBE_SCAN_PAGE_MAX ||
           page->steps >= GLOB_STEPS_MAX;
}

static bool is_wanted(struct page *page, struct strobe_slice key) {
    const struct scans_query *query = page->query;
    if (query->nothing) return false;
    if (query->prefix.len > 0 &&
        (key.len < query->prefix.len || memcmp(key.data, query->prefix.data, query->prefix.len) != 0)) {
        return false;
    }
    if (!query->has_match) return true;
    page->steps += strobe_glob_steps(query->match, key);
    return strobe_glob_match(query->match, key);
}

static enum strobe_visit meet(void *context, const struct strobe_entry *entry) {
    struct page *page = context;
    if (!page->again && is_full(page)) return STROBE_VISIT_REFUSE;
    if (page->steps >= GLOB_STEPS_AGAIN) {
        page->status = STROBE_TOO_BIG;
        return STROBE_VISIT_REFUSE;
    }
    struct strobe_slice key;
    key.data = strobe_entry_key(entry, &key.len);
    if (is_wanted(page, key)) {
        size_t value_len = 0;
        if (page->query->values) (void)strobe_entry_value(entry, &value_len);
        uint64_t size = (uint64_t)key.len + value_len;
        if (!page->again && page->taken > 0 && page->bytes + size > STROBE_SCAN_PAGE_MAX) return STROBE_VISIT_REFUSE;
        page->status = page->query->take(page->query->context, entry);
        if (page->status != STROBE_OK) return STROBE_VISIT_REFUSE;
        page->taken++;
        page->bytes += size;
    }
    page->met++;
    return STROBE_VISIT_NEXT;
}

/* Reads a new page from *POSITION on, or with UNTIL the page that ended there, and moves *POSITION to its
 * end. Results: OK, NO_MEMORY, CLOSED, TOO_BIG. */
static enum strobe_status read_page(struct strobe_snapshot *snapshot, const struct scans_query *query,
                                    struct strobe_position *position, const struct strobe_position *until) {
    struct page page = {.query = query, .again = until != NULL, .status = STROBE_OK};
    page.count = query->count == 0 ? SCANS_COUNT_DEFAULT : query->count;
    if (page.count > SCANS_COUNT_MAX) page.count = SCANS_COUNT_MAX;
    page.entries_max = page.count > ENTRIES_MAX ? page.count : ENTRIES_MAX;
    if (until != NULL && until->end != 0) until = NULL;
    enum strobe_status status =
        strobe_snapshot_read(snapshot, position, until, page.again ? 0 : PLACES_MAX, meet, &page);
    return page.status != STROBE_OK ? page.status : status;
}

/* ---- SCAN 0 --------------------------------------------------------------------------------------------- */

/* Takes out the scan that can best be spared for a new one: a finished one, else the one idle longest.
 * false: all are active. The registry's lock is held. */
static bool spare_one(struct scans *scans, uint64_t now, struct scan **list) {
    struct scan *best = NULL;
    for (unsigned i = 0; i < scans->high; i++) {
        struct scan *scan = scans->slots[i];
        if (scan == NULL || scan->users > 0) continue;
        if (!scan->finished && idle_for(scan, now) < SCANS_ACTIVE_MS) continue;
        if (best == NULL || scan->finished > best->finished ||
            (scan->finished == best->finished && scan->used_ms < best->used_ms)) {
            best = scan;
        }
    }
    if (best == NULL) return false;
    unlink_scan(scans, best, list);
    scans->evicted++;
    return true;
}

bool scans_spare(struct scans *scans) {
    struct scan *spared = NULL;
    pthread_mutex_lock(&scans->lock);
    bool found = spare_one(scans, now_ms(scans), &spared);
    pthread_mutex_unlock(&scans->lock);
    if (found) free_list(spared);
    return found;
}

/* Opens a snapshot. When the map will have no more of them, scans are closed for it, here and now, because
 * their room is needed at once. */
static enum strobe_status open_snapshot(struct scans *scans, struct strobe_snapshot **snapshot) {
    for (unsigned tries = 0;; tries++) {
        enum strobe_status status = strobe_snapshot_open(scans->map, false, snapshot);
        if (status != STROBE_TOO_MANY || tries == OPEN_TRIES || !scans_spare(scans)) return status;
    }
}

/* Gives SCAN a slot and its first cursor. Results: OK, TOO_MANY, NO_MEMORY. */
static enum strobe_status enroll(struct scans *scans, struct scan *scan) {
    struct scan *spared = NULL;
    enum strobe_status status = STROBE_OK;
    pthread_mutex_lock(&scans->lock);
    uint64_t now = now_ms(scans), tag = 0;
    while (status == STROBE_OK &&
           atomic_load_explicit(&scans->open, memory_order_relaxed) >= scans->options.max_scans) {
        if (!spare_one(scans, now, &spared)) status = STROBE_TOO_MANY;
    }
    if (status == STROBE_OK && !draw_tag(scans, &tag)) status = STROBE_NO_MEMORY;
    if (status == STROBE_OK) {
        unsigned slot = 0;
        while (scans->slots[slot] != NULL) slot++;
        scans->slots[slot] = scan;
        if (slot >= scans->high) scans->high = slot + 1;
        atomic_fetch_add_explicit(&scans->open, 1, memory_order_relaxed);
        scan->slot = slot;
        scan->next = tag << SLOT_BITS | slot;
        scan->used_ms = now;
    }
    pthread_mutex_unlock(&scans->lock);
    discard(scans, spared);
    return status;
}

static struct scan *scan_new(struct strobe_snapshot *snapshot, const struct strobe_position *end) {
    struct scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL) return NULL;
    if (pthread_mutex_init(&scan->lock, NULL) != 0) {
        free(scan);
        return NULL;
    }
    scan->snapshot = snapshot;
    scan->end = *end;
    return scan;
}

enum strobe_status scans_first_page(struct scans *scans, struct strobe_snapshot *snapshot,
                                    const struct scans_query *query, uint64_t *next) {
    struct strobe_position position = {0};
    enum strobe_status status = read_page(snapshot, query, &position, NULL);
    if (status == STROBE_CLOSED) status = STROBE_TOO_MANY; /* closed while it was opened: there is no room */
    if (status != STROBE_OK || position.end != 0) {
        *next = 0;
        strobe_snapshot_close(snapshot);
    } else {
        struct scan *scan = scan_new(snapshot, &position);
        if (scan == NULL) {
            strobe_snapshot_close(snapshot);
            return STROBE_NO_MEMORY;
        }
        status = enroll(scans, scan);
        if (status != STROBE_OK) {
            free_list(scan);
            return status;
        }
        *next = scan->next; /* nobody else knows the cursor yet */
    }
    if (status == STROBE_OK) {
        pthread_mutex_lock(&scans->lock);
        scans->opened++;
        pthread_mutex_unlock(&scans->lock);
    }
    return status;
}

static enum strobe_status first_page(struct scans *scans, const struct scans_query *query, uint64_t *next) {
    struct strobe_snapshot *snapshot;
    enum strobe_status status = open_snapshot(scans, &snapshot);
    return status == STROBE_OK ? scans_first_page(scans, snapshot, query, next) : status;
}

/* ---- the pages after it --------------------------------------------------------------------------------- */

/* The scan in CURSOR's slot, with one user more, and a cursor in case that another page is to come; or
 * NULL. */
static struct scan *seize(struct scans *scans, uint64_t cursor, uint64_t *fresh) {
    uint64_t slot = cursor & (SCANS_MAX - 1), tag;
    struct scan *stale = NULL, *scan = NULL;
    pthread_mutex_lock(&scans->lock);
    if (cursor >> SCANS_CURSOR_BITS == 0) scan = scans->slots[slot];
    if (scan != NULL && is_stale(scans, scan, now_ms(scans))) {
        unlink_scan(scans, scan, &stale);
        scans->expired += !scan->finished;
        scan = NULL;
    }
    if (scan != NULL && !draw_tag(scans, &tag)) scan = NULL;
    if (scan != NULL) {
        scan->users++;
        *fresh = tag << SLOT_BITS | slot;
    }
    pthread_mutex_unlock(&scans->lock);
    discard(scans, stale);
    return scan;
}

/* The page of CURSOR, which may be this scan's or not. The scan's lock is held. */
static enum strobe_status turn_page(struct scan *scan, uint64_t cursor, uint64_t fresh,
                                    const struct scans_query *query) {
    if (scan->closed) return STROBE_CLOSED;
    if (scan->next != 0 && cursor == scan->next) {
        struct strobe_position start = scan->end, end = start;
        enum strobe_status status = read_page(scan->snapshot, query, &end, NULL);
        if (status != STROBE_OK) return status;
        strobe_snapshot_forget(scan->snapshot, &start);
        scan->start = start;
        scan->end = end;
        scan->last = cursor;
        scan->next = end.end != 0 ? 0 : fresh;
        return STROBE_OK;
    }
    if (scan->last != 0 && cursor == scan->last) {
        struct strobe_position position = scan->start;
        return read_page(scan->snapshot, query, &position, &scan->end);
    }
    return STROBE_CLOSED;
}

static enum strobe_status later_page(struct scans *scans, uint64_t cursor, const struct scans_query *query,
                                     uint64_t *next) {
    uint64_t fresh;
    struct scan *scan = seize(scans, cursor, &fresh);
    if (scan == NULL) return STROBE_CLOSED;

    pthread_mutex_lock(&scan->lock);
    bool ours = cursor == scan->next || cursor == scan->last;
    enum strobe_status status = turn_page(scan, cursor, fresh, query);
    if (status == STROBE_CLOSED && ours) scan->closed = true;
    bool closed = scan->closed, finished = scan->next == 0;
    *next = scan->next;
    pthread_mutex_unlock(&scan->lock);

    struct scan *gone = NULL;
    pthread_mutex_lock(&scans->lock);
    scan->users--;
    if (status == STROBE_OK) {
        scan->used_ms = now_ms(scans);
        if (finished) scan->finished = true;
    }
    if (closed && scan->users == 0) {
        unlink_scan(scans, scan, &gone);
        scans->evicted++;
    }
    pthread_mutex_unlock(&scans->lock);
    discard(scans, gone);
    return status;
}

enum strobe_status scans_page(struct scans *scans, uint64_t cursor, const struct scans_query *query, uint64_t *next) {
    return cursor == 0 ? first_page(scans, query, next) : later_page(scans, cursor, query, next);
}

/* ---- the registry --------------------------------------------------------------------------------------- */

struct scans *scans_new(struct strobe_map *map, const struct scans_options *options) {
    struct scans *scans = calloc(1, sizeof *scans);
    if (scans == NULL) return NULL;
    if (options != NULL) scans->options = *options;
    if (scans->options.max_scans == 0) scans->options.max_scans = 1024;
    if (scans->options.max_scans > SCANS_MAX) scans->options.max_scans = SCANS_MAX;
    if (scans->options.idle_ms == 0) scans->options.idle_ms = 60000;
    if (scans->options.now_ms == NULL) scans->options.now_ms = monotonic_ms;
    if (scans->options.defer == NULL) scans->options.defer = work_here;
    scans->map = map;
    if (pthread_mutex_init(&scans->lock, NULL) != 0) {
        free(scans);
        return NULL;
    }
    return scans;
}

void scans_free(struct scans *scans) {
    if (scans == NULL) return;
    struct scan *list = NULL;
    for (unsigned i = scans->high; i-- > 0;) {
        if (scans->slots[i] != NULL) unlink_scan(scans, scans->slots[i], &list);
    }
    free_list(list);
    pthread_mutex_destroy(&scans->lock);
    free(scans);
}

void scans_reap(struct scans *scans) {
    struct scan *stale = NULL;
    pthread_mutex_lock(&scans->lock);
    uint64_t now = now_ms(scans);
    for (unsigned i = scans->high; i-- > 0;) {
        struct scan *scan = scans->slots[i];
        if (scan == NULL || !is_stale(scans, scan, now)) continue;
        scans->expired += !scan->finished;
        unlink_scan(scans, scan, &stale);
    }
    pthread_mutex_unlock(&scans->lock);
    discard(scans, stale);
}

unsigned scans_open(const struct scans *scans) {
    return atomic_load_explicit(&scans->open, memory_order_relaxed);
}

void scans_limit(struct scans *scans, unsigned max_scans, uint64_t idle_ms) {
    pthread_mutex_lock(&scans->lock);
    if (max_scans != 0) scans->options.max_scans = max_scans < SCANS_MAX ? max_scans : SCANS_MAX;
    if (idle_ms != 0) scans->options.idle_ms = idle_ms;
    pthread_mutex_unlock(&scans->lock);
}

void scans_stats(struct scans *scans, struct scans_stats *stats) {
    *stats = (struct scans_stats){0};
    pthread_mutex_lock(&scans->lock);
    for (unsigned i = 0; i < scans->high; i++) {
        if (scans->slots[i] == NULL) continue;
        stats->open++;
        stats->finished += scans->slots[i]->finished;
    }
    stats->opened = scans->opened;
    stats->expired = scans->expired;
    stats->evicted = scans->evicted;
    pthread_mutex_unlock(&scans->lock);
}

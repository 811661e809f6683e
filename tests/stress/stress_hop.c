/* stress_hop.c - threads write, move, expire and flush while up to 64 scans overlap; each scan must be one instant.
 *
 *      hops      a family's one key moves on: SET f7:13, then DEL f7:12 (or both in one access). Each writer takes
 *      its
 *                families in turn, so what a scan sees must be the first so many operations of each writer, no more
 *                and no fewer: one or two neighbouring names a family, never none, never three; no less than had been
 *                answered when the scan began to open, no more than one beyond what had been when it was open
 *      tokens    accesses to several keys move tokens between them: their sum is the same in every snapshot, in every
 *                access
 *      witness   two threads count, each in a key of its own; a third looks at one and then at the other. If it saw
 *      the
 *                first at 7 and after that the second at 3, no scan may show the second past 3 and the first before 7
 *      noise     keys come and go in waves, so that segments split and merge
 *      leases    keys with an expiry time, by a clock that the writers move: in a scan exactly if alive at its
 *      instant heirs     who finds a key expired writes that down: no scan shows the key alive and the note
 *      flushes   take all keys at once: of the tokens all are in a scan or none
 *      closing   a small limit on the memory of snapshots: a scan may be closed, but what it has shown was exact
 *
 * Bounded by the writers' operations: the argument is hops for each writer in each test (default 40,000;
 * 6,000 under the thread sanitizer, which is some ten times slower).
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map/map.h"
#include "tests/map/checked_alloc.h"
#include "tests/stress/must.h"

#if defined(__SANITIZE_THREAD__)
#define HOPS_DEFAULT 6000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOPS_DEFAULT 6000u
#endif
#endif
#ifndef HOPS_DEFAULT
#define HOPS_DEFAULT 40000u
#endif

#define FAMILIES    1200u
#define WRITERS     2u
#define OWN         (FAMILIES / WRITERS) /* families of one writer */
#define TOKENS      24u
#define TOKENS_EACH 1000u
#define NOISE       5000u
#define LEASES      300u
#define HEIRS       40u
#define SIGHTINGS   256u /* kept of each order of looking */
#define SCANNERS    4u
#define SCANS_EACH  16u
#define BIG_EVERY   100u /* one family in so many has values that are kept in blobs */
#define BIG_BYTES   17000u

struct plan {
    uint64_t hops;
    unsigned shards;
    uint64_t snapshot_memory;
    bool flushes, leases, stalls;
};

struct world {
    struct checked_alloc memory;
    struct strobe_map *map;
    struct plan plan;
    _Atomic uint64_t now;
    atomic_bool stop;
    /* What was answered. A family's: 2 * step, and one more while its next name is there as well. */
    _Atomic uint32_t answered[FAMILIES];
    /* What the witness saw: the count of key I in the upper half, then that of the other key in the lower. */
    _Atomic uint64_t sighting[2][SIGHTINGS];
    _Atomic uint32_t lease_turn[LEASES]; /* odd while it is being written */
    _Atomic uint64_t lease_expiry[LEASES];
    _Atomic uint64_t scans_done, scans_closed, pages_again, moves, flushes, waves;
};

static uint64_t world_now(void *context) {
    struct world *w = context;

    return atomic_load(&w->now);
}

static uint32_t below(uint64_t *random, uint32_t n) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (uint32_t)((*random >> 20) % n);
}

static struct strobe_key key_of(const struct world *w, char text[32], char kind, uint32_t number, uint32_t step) {
    int len = kind == 'f' ? snprintf(text, 32, "f%u:%u", number, step) : snprintf(text, 32, "%c%u", kind, number);

    return strobe_key(w->map, text, (size_t)len);
}

/* ---- Hops ---------------------------------------------------------------------------------------- */

struct writer {
    struct world *w;
    uint32_t id;
    char big[BIG_BYTES];
};

static struct strobe_entry *named_after(struct writer *writer, const struct strobe_key *key, uint32_t family) {
    struct strobe_entry *entry;
    struct strobe_entry_spec spec = {.key = key, .value = key->data, .len = key->len};

    if (family % BIG_EVERY == 0) { /* the name, and a lot behind it */
        memcpy(writer->big, key->data, key->len);
        spec.value = writer->big;
        spec.len = BIG_BYTES;
    }
    MUST(strobe_entry_new(writer->w->map, &spec, &entry) == STROBE_OK);
    return entry;
}

static void hop_in_two(struct writer *writer, uint32_t family, uint32_t step) {
    struct world *w = writer->w;
    struct strobe_access access;
    struct strobe_entry *entry;
    enum strobe_status status;
    char text[32];
    struct strobe_key key = key_of(w, text, 'f', family, step);

    entry = named_after(writer, &key, family);
    (void)strobe_map_tick(w->map);
    strobe_enter(w->map, &key, &access);
    MUST(strobe_find(&access, &key) == NULL);
    MUST(strobe_put(&access, &key, &entry) == STROBE_OK && entry == NULL);
    strobe_leave(&access);
    atomic_store(&w->answered[family], 2 * step - 1);
    key = key_of(w, text, 'f', family, step - 1);
    status = strobe_del(w->map, key.data, key.len);
    MUST(status == STROBE_OK || (w->plan.flushes && status == STROBE_MISSING));
    atomic_store(&w->answered[family], 2 * step);
}

static void hop_at_once(struct writer *writer, uint32_t family, uint32_t step) {
    struct world *w = writer->w;
    struct strobe_access access;
    struct strobe_entry *entry, *old;
    char texts[2][32];
    struct strobe_key keys[2] = {key_of(w, texts[0], 'f', family, step), key_of(w, texts[1], 'f', family, step - 1)};
    enum strobe_status status;

    entry = named_after(writer, &keys[0], family);
    (void)strobe_map_tick(w->map);
    strobe_enter_many(w->map, keys, 2, &access);
    MUST(strobe_put(&access, &keys[0], &entry) == STROBE_OK && entry == NULL);
    status = strobe_erase(&access, &keys[1], &old);
    strobe_leave(&access);
    MUST(status == STROBE_OK || (w->plan.flushes && status == STROBE_MISSING));
    strobe_entry_free(w->map, old);
    atomic_store(&w->answered[family], 2 * step);
}

static bool hops_at_once(uint32_t family) {
    return family % 3 == 0;
}

static void *hop(void *context) {
    struct writer *writer = context;
    struct world *w = writer->w;

    for (uint64_t i = 0; i < w->plan.hops; i++) {
        uint32_t family = (uint32_t)(i % OWN) * WRITERS + writer->id, step = (uint32_t)(i / OWN) + 1;

        if (hops_at_once(family))
            hop_at_once(writer, family, step);
        else
            hop_in_two(writer, family, step);
        if (w->plan.stalls || i % 8 == 0) atomic_fetch_add(&w->now, w->plan.stalls ? 4 : 1);
    }
    return NULL;
}

/* ---- Tokens -------------------------------------------------------------------------------------- */

static uint64_t amount_of(const struct strobe_entry *entry) {
    size_t len;
    const char *value = strobe_entry_value(entry, &len);
    uint64_t amount;

    MUST(len == sizeof amount);
    memcpy(&amount, value, sizeof amount);
    return amount;
}

static struct strobe_entry *token_entry(struct world *w, const struct strobe_key *key) {
    struct strobe_entry *entry;
    struct strobe_entry_spec spec = {.key = key, .len = sizeof(uint64_t)};

    MUST(strobe_entry_new(w->map, &spec, &entry) == STROBE_OK);
    return entry;
}

/* Moves some tokens between three keys, which are all there or all gone. */
static void move_tokens(struct world *w, uint64_t *random) {
    struct strobe_access access;
    struct strobe_key keys[3];
    struct strobe_entry *entries[3];
    uint64_t amounts[3], moved;
    uint32_t first = below(random, TOKENS), found = 0;
    char texts[3][32];

    for (uint32_t i = 0; i < 3; i++) {
        keys[i] = key_of(w, texts[i], 't', (first + 7 * i) % TOKENS, 0);
        entries[i] = token_entry(w, &keys[i]);
    }
    strobe_enter_many(w->map, keys, 3, &access);
    for (uint32_t i = 0; i < 3; i++) {
        const struct strobe_entry *entry = strobe_find(&access, &keys[i]);

        amounts[i] = entry ? amount_of(entry) : 0;
        found += entry != NULL;
    }
    MUST(found == 3 || (w->plan.flushes && found == 0));
    if (found) {
        moved = amounts[0] ? below(random, (uint32_t)amounts[0] + 1) : 0;
        amounts[0] -= moved;
        amounts[1] += moved / 2;
        amounts[2] += moved - moved / 2;
        for (uint32_t i = 0; i < 3; i++) memcpy(strobe_entry_fill(entries[i]), &amounts[i], sizeof amounts[i]);
        MUST(strobe_put_many(&access, keys, entries, 3) == STROBE_OK);
    }
    strobe_leave(&access);
    for (uint32_t i = 0; i < 3; i++) strobe_entry_free(w->map, entries[i]);
    atomic_fetch_add(&w->moves, 1);
}

/* One access to all tokens: to count them, or to put them all there at once. */
static void all_tokens(struct world *w, bool put) {
    struct strobe_access access;
    struct strobe_key keys[TOKENS];
    struct strobe_entry *entries[TOKENS] = {NULL};
    uint64_t sum = 0, each = TOKENS_EACH;
    uint32_t found = 0;
    char texts[TOKENS][32];

    for (uint32_t i = 0; i < TOKENS; i++) {
        keys[i] = key_of(w, texts[i], 't', i, 0);
        if (put) {
            entries[i] = token_entry(w, &keys[i]);
            memcpy(strobe_entry_fill(entries[i]), &each, sizeof each);
        }
    }
    strobe_enter_many(w->map, keys, TOKENS, &access);
    for (uint32_t i = 0; i < TOKENS; i++) {
        const struct strobe_entry *entry = strobe_find(&access, &keys[i]);

        found += entry != NULL;
        sum += entry ? amount_of(entry) : 0;
    }
    MUST((found == TOKENS && sum == TOKENS * TOKENS_EACH) || (found == 0 && (put || w->plan.flushes)));
    if (put) MUST(strobe_put_many(&access, keys, entries, TOKENS) == STROBE_OK);
    strobe_leave(&access);
    for (uint32_t i = 0; i < TOKENS; i++) strobe_entry_free(w->map, entries[i]);
}

static void *move(void *context) {
    struct world *w = context;
    uint64_t random = 77;

    while (!atomic_load(&w->stop)) {
        for (unsigned i = 0; i < 20; i++) move_tokens(w, &random);
        all_tokens(w, false);
    }
    return NULL;
}

/* ---- Witness ------------------------------------------------------------------------------------- */

struct counter {
    struct world *w;
    uint32_t which;
};

static void *count_up(void *context) {
    const struct counter *counter = context;
    struct world *w = counter->w;
    char text[32];
    struct strobe_key key = key_of(w, text, 'c', counter->which, 0);

    for (uint32_t count = 1; !atomic_load(&w->stop); count++)
        MUST(strobe_set(w->map, key.data, key.len, &count, sizeof count, 0) == STROBE_OK);
    return NULL;
}

static uint32_t count_of(struct world *w, uint32_t which) {
    char text[32];
    struct strobe_key key = key_of(w, text, 'c', which, 0);
    uint32_t count = 0;
    size_t len = sizeof count;

    return strobe_get(w->map, key.data, key.len, &count, &len) == STROBE_OK ? count : 0;
}

static void *witness(void *context) {
    struct world *w = context;

    for (uint32_t i = 0; !atomic_load(&w->stop); i++) {
        uint64_t first = count_of(w, i % 2), second = count_of(w, 1 - i % 2);

        atomic_store(&w->sighting[i % 2][i / 2 % SIGHTINGS], first << 32 | second);
    }
    return NULL;
}

/* ---- Noise, leases, flushes, closing --------------------------------------------------------------- */

static void *make_noise(void *context) {
    struct world *w = context;
    char text[32];

    for (bool fill = true; !atomic_load(&w->stop); fill = !fill) {
        for (uint32_t i = 0; i < NOISE && !atomic_load(&w->stop); i++) {
            struct strobe_key key = key_of(w, text, 'n', i, 0);

            if (fill)
                MUST(strobe_set(w->map, key.data, key.len, text, key.len, 0) == STROBE_OK);
            else
                (void)strobe_del(w->map, key.data, key.len);
        }
        atomic_fetch_add(&w->waves, 1);
    }
    return NULL;
}

/* Two keys: one lives for some milliseconds and holds a number, the other gets that number when the first is dead. */
static void inherit(struct world *w, uint32_t i, uint32_t *numbers) {
    struct strobe_access access;
    char texts[2][32];
    struct strobe_key keys[2] = {key_of(w, texts[0], 'a', i, 0), key_of(w, texts[1], 'b', i, 0)};
    struct strobe_entry *heir;
    struct strobe_entry_spec spec = {.key = &keys[1], .value = &numbers[i], .len = sizeof numbers[i]};
    uint64_t expiry;
    bool dead;

    MUST(strobe_entry_new(w->map, &spec, &heir) == STROBE_OK);
    (void)strobe_map_tick(w->map);
    strobe_enter_many(w->map, keys, 2, &access);
    dead = strobe_find(&access, &keys[0]) == NULL;
    if (dead) MUST(strobe_put(&access, &keys[1], &heir) == STROBE_OK);
    strobe_leave(&access);
    strobe_entry_free(w->map, heir);
    if (!dead) return;
    numbers[i]++;
    expiry = atomic_load(&w->now) + 1 + i % 4;
    MUST(strobe_set(w->map, keys[0].data, keys[0].len, &numbers[i], sizeof numbers[i], expiry) == STROBE_OK);
}

static void *keep_leases(void *context) {
    struct world *w = context;
    uint64_t random = 99, place = 0;
    uint32_t numbers[HEIRS] = {0};
    char text[32];

    while (!atomic_load(&w->stop)) {
        uint32_t i = below(&random, LEASES);
        struct strobe_key key = key_of(w, text, 'e', i, 0);
        uint64_t expiry = atomic_load(&w->now) + 1 + below(&random, 200);

        if (w->plan.leases) {
            atomic_fetch_add(&w->lease_turn[i], 1);
            MUST(strobe_set(w->map, key.data, key.len, text, key.len, expiry) == STROBE_OK);
            atomic_store(&w->lease_expiry[i], expiry);
            atomic_fetch_add(&w->lease_turn[i], 1);
            inherit(w, i % HEIRS, numbers);
        }
        if (w->plan.stalls) atomic_fetch_add(&w->now, 1);
        (void)strobe_sweep(w->map, &place, 2);
        strobe_map_maintain(w->map);
    }
    return NULL;
}

static void *flush_now_and_then(void *context) {
    struct world *w = context;
    uint64_t last = 0;

    while (!atomic_load(&w->stop)) {
        uint64_t moves = atomic_load(&w->moves);
        struct strobe_garbage *garbage;

        if (moves < last + 30) {
            all_tokens(w, false);
            continue;
        }
        last = moves;
        MUST(strobe_flush(w->map, &garbage) == STROBE_OK);
        atomic_fetch_add(&w->flushes, 1);
        all_tokens(w, true);
        strobe_garbage_free(garbage);
    }
    return NULL;
}

/* ---- Scans --------------------------------------------------------------------------------------- */

struct scan {
    struct world *w;
    struct strobe_snapshot *snapshot;
    struct strobe_position last, next;
    uint64_t page_sum, again_sum; /* of what the last page showed */
    uint32_t page_want, page_count;
    uint32_t before[FAMILIES], after[FAMILIES]; /* what was answered before it was opened, and when it was open */
    uint32_t low[FAMILIES], count[FAMILIES];    /* the names it saw */
    uint32_t lease_before[LEASES], lease_after[LEASES];
    uint64_t lease_due[LEASES];
    uint32_t counter[2];
    uint32_t living[HEIRS], inherited[HEIRS]; /* numbers, 0: none was seen */
    unsigned char lease_seen[LEASES], token_seen[TOKENS], noise_seen[NOISE];
    uint64_t tokens;
};

static uint32_t number_at(const char **at) {
    char *end;
    uint32_t number = (uint32_t)strtoul(*at, &end, 10);

    MUST(end != *at);
    *at = end + (*end == ':');
    return number;
}

static void see_family(struct scan *scan, const struct strobe_entry *entry, const char *text, size_t len) {
    const char *at = text + 1;
    uint32_t family = number_at(&at), step = number_at(&at);
    size_t value_len;
    const char *value = strobe_entry_value(entry, &value_len);

    MUST(family < FAMILIES && value_len == (family % BIG_EVERY ? len : BIG_BYTES));
    MUST(memcmp(value, text, len) == 0);
    if (scan->count[family]++ == 0) {
        scan->low[family] = step;
        return;
    }
    MUST(scan->count[family] == 2);
    MUST(step == scan->low[family] + 1 || step + 1 == scan->low[family]);
    if (step < scan->low[family]) scan->low[family] = step;
}

static void see(struct scan *scan, const struct strobe_entry *entry) {
    char text[32] = {0};
    size_t len;
    const char *key = strobe_entry_key(entry, &len), *at = text + 1, *value;
    uint32_t number;

    MUST(len < sizeof text);
    memcpy(text, key, len);
    MUST(strobe_entry_expiry(entry) == 0 || strobe_entry_expiry(entry) > strobe_snapshot_time(scan->snapshot));
    if (text[0] == 'f') {
        see_family(scan, entry, text, len);
        return;
    }
    number = number_at(&at);
    switch (text[0]) {
    case 't':
        MUST(scan->token_seen[number]++ == 0);
        scan->tokens += amount_of(entry);
        break;
    case 'c':
        value = strobe_entry_value(entry, &len);
        MUST(number < 2 && len == sizeof scan->counter[0]);
        memcpy(&scan->counter[number], value, len);
        break;
    case 'a':
    case 'b':
        value = strobe_entry_value(entry, &len);
        MUST(number < HEIRS && len == sizeof scan->living[0]);
        memcpy(text[0] == 'a' ? &scan->living[number] : &scan->inherited[number], value, len);
        break;
    case 'n': MUST(scan->noise_seen[number]++ == 0); break;
    default:
        MUST(text[0] == 'e' && scan->lease_seen[number]++ == 0);
        if (scan->lease_before[number] == scan->lease_after[number] && scan->lease_before[number] % 2 == 0)
            MUST(strobe_entry_expiry(entry) == scan->lease_due[number]);
    }
}

static uint64_t mix(uint64_t sum, const struct strobe_entry *entry) {
    size_t len;
    const char *key = strobe_entry_key(entry, &len);

    sum = (sum ^ strobe_entry_version(entry)) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < len; i++) sum = (sum ^ (unsigned char)key[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static enum strobe_visit visit(void *context, const struct strobe_entry *entry) {
    struct scan *scan = context;

    if (scan->page_count == scan->page_want) return STROBE_VISIT_REFUSE;
    scan->page_count++;
    scan->page_sum = mix(scan->page_sum, entry);
    see(scan, entry);
    return STROBE_VISIT_NEXT;
}

static enum strobe_visit visit_again(void *context, const struct strobe_entry *entry) {
    struct scan *scan = context;

    scan->again_sum = mix(scan->again_sum, entry);
    return STROBE_VISIT_NEXT;
}

static void scan_open(struct world *w, struct scan *scan) {
    enum strobe_status status;

    memset(scan, 0, sizeof *scan);
    scan->w = w;
    for (uint32_t i = 0; i < FAMILIES; i++) scan->before[i] = atomic_load(&w->answered[i]);
    for (uint32_t i = 0; i < LEASES; i++) {
        scan->lease_before[i] = atomic_load(&w->lease_turn[i]);
        scan->lease_due[i] = atomic_load(&w->lease_expiry[i]);
    }
    status = strobe_snapshot_open(w->map, false, &scan->snapshot);
    if (status != STROBE_OK) {
        MUST(status == STROBE_TOO_MANY && w->plan.snapshot_memory);
        scan->snapshot = NULL;
        return;
    }
    for (uint32_t i = 0; i < FAMILIES; i++) scan->after[i] = atomic_load(&w->answered[i]);
    for (uint32_t i = 0; i < LEASES; i++) scan->lease_after[i] = atomic_load(&w->lease_turn[i]);
}

/* What is true of each family by itself. */
static void check_families(const struct scan *scan) {
    for (uint32_t f = 0; f < FAMILIES; f++) {
        uint32_t high = scan->low[f] + scan->count[f] - 1, state = 2 * scan->low[f] + (scan->count[f] == 2);

        if (scan->count[f] == 0) {
            MUST(scan->w->plan.flushes);
            continue;
        }
        MUST(high >= (scan->before[f] + 1) / 2 && high <= (scan->after[f] + 1) / 2 + 1);
        if (scan->w->plan.flushes) continue;
        MUST(state >= scan->before[f] && state <= scan->after[f] + 1 + hops_at_once(f));
        MUST(state % 2 == 0 || !hops_at_once(f));
    }
}

/* A writer does one thing after the other: whole hops of its families in turn, and perhaps half of one more. */
static void check_order(const struct scan *scan, uint32_t writer) {
    uint64_t hops = 0, halves = 0, half_of = 0;

    for (uint32_t j = 0; j < OWN; j++) {
        uint32_t f = j * WRITERS + writer;

        hops += scan->low[f];
        if (scan->count[f] == 2) {
            halves++;
            half_of = j;
        }
    }
    MUST(halves == 0 || (halves == 1 && half_of == hops % OWN));
    for (uint32_t j = 0; j < OWN; j++) MUST(scan->low[j * WRITERS + writer] == hops / OWN + (j < hops % OWN));
}

/* A counter that a flush took shows nothing. */
static void check_sightings(const struct scan *scan) {
    for (uint32_t which = 0; which < 2 && scan->counter[0] && scan->counter[1]; which++) {
        for (uint32_t i = 0; i < SIGHTINGS; i++) {
            uint64_t sighting = atomic_load(&scan->w->sighting[which][i]);
            uint32_t first = (uint32_t)(sighting >> 32), second = (uint32_t)sighting;

            /* second is 0 also when a flush had taken it for a moment */
            MUST(second == 0 || scan->counter[1 - which] <= second || scan->counter[which] >= first);
        }
    }
}

static void check_whole(const struct scan *scan) {
    uint32_t tokens = 0;

    check_families(scan);
    check_sightings(scan);
    for (uint32_t writer = 0; writer < WRITERS && !scan->w->plan.flushes; writer++) check_order(scan, writer);
    for (uint32_t i = 0; i < TOKENS; i++) tokens += scan->token_seen[i];
    for (uint32_t i = 0; i < HEIRS; i++) MUST(scan->living[i] == 0 || scan->inherited[i] < scan->living[i]);
    MUST((tokens == TOKENS && scan->tokens == TOKENS * TOKENS_EACH) || (tokens == 0 && scan->w->plan.flushes));
    for (uint32_t i = 0; i < LEASES && !scan->w->plan.flushes; i++) {
        if (scan->lease_before[i] == scan->lease_after[i] && scan->lease_before[i] % 2 == 0)
            MUST(scan->lease_seen[i] == (scan->lease_due[i] > strobe_snapshot_time(scan->snapshot)));
    }
}

static void scan_close(struct scan *scan) {
    strobe_snapshot_close(scan->snapshot);
    scan->snapshot = NULL;
}

/* False: it was closed. */
static bool read_page(struct scan *scan, size_t budget) {
    enum strobe_status status;

    scan->last = scan->next;
    scan->page_sum = scan->page_count = 0;
    status = strobe_snapshot_read(scan->snapshot, &scan->next, NULL, budget, visit, scan);
    MUST(status == STROBE_OK || (status == STROBE_CLOSED && scan->w->plan.snapshot_memory));
    if (status != STROBE_OK) return false;
    strobe_snapshot_forget(scan->snapshot, &scan->last);
    return true;
}

static bool read_again(struct scan *scan) {
    struct strobe_position position = scan->last;
    enum strobe_status status;

    scan->again_sum = 0;
    status = strobe_snapshot_read(scan->snapshot, &position, &scan->next, 0, visit_again, scan);
    MUST(status == STROBE_OK || (status == STROBE_CLOSED && scan->w->plan.snapshot_memory));
    if (status != STROBE_OK) return false;
    MUST(scan->again_sum == scan->page_sum && memcmp(&position, &scan->next, sizeof position) == 0);
    atomic_fetch_add(&scan->w->pages_again, 1);
    return true;
}

static void scan_step(struct world *w, struct scan *scan, uint64_t *random) {
    if (!scan->snapshot) {
        scan_open(w, scan);
        return;
    }
    if (below(random, 300) == 0) { /* abandoned */
        scan_close(scan);
        return;
    }
    scan->page_want = below(random, 4) ? UINT32_MAX : 1 + below(random, 500);
    if (!read_page(scan, 200 + below(random, 4000)) || (below(random, 3) == 0 && !read_again(scan))) {
        atomic_fetch_add(&w->scans_closed, 1);
        scan_close(scan);
        return;
    }
    if (!scan->next.end) return;
    check_whole(scan);
    if (below(random, 2)) strobe_snapshot_forget(scan->snapshot, &scan->next); /* all of it */
    scan_close(scan);
    atomic_fetch_add(&w->scans_done, 1);
}

struct scanner {
    struct world *w;
    uint64_t random;
    struct scan scans[SCANS_EACH];
};

static void *scan_all(void *context) {
    struct scanner *scanner = context;
    struct world *w = scanner->w;
    /* A stalling scanner comes back to its first scans rarely, so that they are idle by the map's clock. */
    uint32_t often = w->plan.stalls ? SCANS_EACH / 2 : SCANS_EACH;

    while (!atomic_load(&w->stop)) {
        uint32_t which = below(&scanner->random, below(&scanner->random, 200) ? often : SCANS_EACH);

        scan_step(w, &scanner->scans[SCANS_EACH - 1 - which], &scanner->random);
    }
    for (uint32_t i = 0; i < SCANS_EACH; i++) {
        if (scanner->scans[i].snapshot) scan_close(&scanner->scans[i]);
    }
    return NULL;
}

/* ---- The run ------------------------------------------------------------------------------------- */

static struct world *world_new(const struct plan *plan) {
    struct world *w = calloc(1, sizeof *w);
    char text[32];
    struct writer *writer = calloc(1, sizeof *writer);

    assert_non_null(w);
    assert_non_null(writer);
    w->plan = *plan;
    checked_alloc_init(&w->memory);
    atomic_init(&w->now, 1000);
    assert_int_equal(strobe_map_new(&(struct strobe_map_options){.shards = plan->shards,
                                                                 .allocator = &w->memory.allocator,
                                                                 .snapshot_memory = plan->snapshot_memory,
                                                                 .now_ms = world_now,
                                                                 .now_context = w},
                                    &w->map),
                     STROBE_OK);
    writer->w = w;
    for (uint32_t f = 0; f < FAMILIES; f++) {
        struct strobe_key key = key_of(w, text, 'f', f, 0);
        struct strobe_entry *entry = named_after(writer, &key, f);
        struct strobe_access access;

        strobe_enter(w->map, &key, &access);
        MUST(strobe_put(&access, &key, &entry) == STROBE_OK);
        strobe_leave(&access);
    }
    free(writer);
    all_tokens(w, true);
    return w;
}

static void world_close(struct world *w) {
    struct strobe_stats stats;

    strobe_map_maintain(w->map);
    strobe_map_stats(w->map, &stats);
    print_message("%llu scans (%llu closed), %llu pages again, %llu waves, %llu flushes, %llu splits, %llu merges,"
                  " %llu copies, %llu lock waits\n",
                  (unsigned long long)w->scans_done, (unsigned long long)w->scans_closed,
                  (unsigned long long)w->pages_again, (unsigned long long)w->waves, (unsigned long long)w->flushes,
                  (unsigned long long)stats.splits, (unsigned long long)stats.merges,
                  (unsigned long long)stats.copies_made, (unsigned long long)stats.lock_waits);
    assert_int_equal(stats.snapshots, 0);
    assert_int_equal(stats.copies, 0);
    assert_int_equal(stats.snapshot_bytes, 0);
    strobe_map_free(w->map);
    assert_int_equal(w->memory.live, 0);
    assert_int_equal(w->memory.bytes, 0);
    free(w);
}

#define HELPERS 4u

static void run(const struct plan *plan) {
    static void *(*const helpers[HELPERS])(void *) = {move, make_noise, keep_leases, flush_now_and_then};
    struct world *w = world_new(plan);
    struct writer *writers = calloc(WRITERS, sizeof *writers);
    struct scanner *scanners = calloc(SCANNERS, sizeof *scanners);
    struct counter counters[2] = {{w, 0}, {w, 1}};
    pthread_t hopping[WRITERS], scanning[SCANNERS], helping[HELPERS], counting[2], watching;
    uint32_t helper_count = plan->flushes ? HELPERS : HELPERS - 1;

    assert_non_null(writers);
    assert_non_null(scanners);
    for (uint32_t i = 0; i < SCANNERS; i++) {
        scanners[i].w = w;
        scanners[i].random = 1000 + i;
        MUST(pthread_create(&scanning[i], NULL, scan_all, &scanners[i]) == 0);
    }
    for (uint32_t i = 0; i < 2; i++) MUST(pthread_create(&counting[i], NULL, count_up, &counters[i]) == 0);
    MUST(pthread_create(&watching, NULL, witness, w) == 0);
    for (uint32_t i = 0; i < helper_count; i++) MUST(pthread_create(&helping[i], NULL, helpers[i], w) == 0);
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i].w = w;
        writers[i].id = i;
        MUST(pthread_create(&hopping[i], NULL, hop, &writers[i]) == 0);
    }
    for (uint32_t i = 0; i < WRITERS; i++) MUST(pthread_join(hopping[i], NULL) == 0);
    /* On a busy machine the writers may be done before the scanners have done anything. */
    while (atomic_load(&w->scans_done) < SCANNERS ||
           (plan->snapshot_memory && !plan->flushes && atomic_load(&w->scans_closed) == 0))
        (void)sched_yield();
    atomic_store(&w->stop, true);
    MUST(pthread_join(watching, NULL) == 0);
    for (uint32_t i = 0; i < 2; i++) MUST(pthread_join(counting[i], NULL) == 0);
    for (uint32_t i = 0; i < helper_count; i++) MUST(pthread_join(helping[i], NULL) == 0);
    for (uint32_t i = 0; i < SCANNERS; i++) MUST(pthread_join(scanning[i], NULL) == 0);
    free(writers);
    free(scanners);
    world_close(w);
}

static void test_every_scan_is_one_instant(void **state) {
    const uint64_t *hops = *state;

    run(&(struct plan){.hops = *hops, .shards = 1});
}

static void test_every_scan_of_many_shards_is_one_instant(void **state) {
    const uint64_t *hops = *state;

    run(&(struct plan){.hops = *hops, .shards = 16});
}

static void test_every_scan_beside_flushes_is_one_instant(void **state) {
    const uint64_t *hops = *state;

    run(&(struct plan){.hops = *hops, .shards = 64, .flushes = true});
}

static void test_every_scan_shows_what_is_alive_at_its_instant(void **state) {
    const uint64_t *hops = *state;

    run(&(struct plan){.hops = *hops, .shards = 2, .leases = true});
}

static void test_a_scan_that_is_closed_for_its_memory_was_exact(void **state) {
    const uint64_t *hops = *state;

    run(&(struct plan){.hops = *hops, .shards = 2, .snapshot_memory = 500000, .stalls = true});
}

static void test_all_of_it_at_once_keeps_every_scan_one_instant(void **state) {
    const uint64_t *hops = *state;

    run(&(struct plan){
        .hops = *hops, .shards = 2, .snapshot_memory = 1500000, .flushes = true, .leases = true, .stalls = true});
}

int main(int argc, char **argv) {
    uint64_t hops = argc > 1 ? strtoull(argv[1], NULL, 10) : HOPS_DEFAULT;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_every_scan_is_one_instant, &hops),
        cmocka_unit_test_prestate(test_every_scan_of_many_shards_is_one_instant, &hops),
        cmocka_unit_test_prestate(test_every_scan_beside_flushes_is_one_instant, &hops),
        cmocka_unit_test_prestate(test_every_scan_shows_what_is_alive_at_its_instant, &hops),
        cmocka_unit_test_prestate(test_a_scan_that_is_closed_for_its_memory_was_exact, &hops),
        cmocka_unit_test_prestate(test_all_of_it_at_once_keeps_every_scan_one_instant, &hops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

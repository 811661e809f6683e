/* lock_bench.c - how long locks are held, and what that means for more processors than this machine has.
 *
 * Built from the map's sources with STROBE_LOCK_TIMES, which notes each hold. An operation counts with the longest of
 * its holds; one during which the system took the processor away is set aside, since then the hold is not ours. The
 * model at the end takes the measured holds, operations and handing over of a cache line, and says what 16 and 64
 * processors would do: a processor's operation takes its own time, plus the lines it must fetch from the processor
 * that wrote them last, plus its wait for a lock that others use (holds come at random: M/D/1).
 *
 *     tests/bench/lock_bench [KEYS]       (1,000,000)
 *     tests/bench/lock_bench touch        one get and one set of few keys, for tests/bench/shared_lines
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "map/map_private.h"
#include "tests/bench/bench.h"

_Thread_local struct lock_times lock_times;

#define MANY       100u /* keys of a multi-key write */
#define OPS        1000000u
#define MANY_OPS   20000u
#define BESIDE_NS  2000000000u
#define HANDOVERS  400000u
#define GET_LINES  1u     /* shared lines that an operation writes: tests/bench/shared_lines counts them */
#define SET_LINES  2u     /* the lock's and the entry's; where it is not written over, the bucket's */
#define SUSPECT_NS 4000.0 /* a hold from which it is worth asking whether the processor was taken away */

struct holds {
    struct bench_histogram histogram;
    double ticks_per_ns;
    uint64_t holds, ticks, aside;
    long switches;
};

static double measure_ticks(void) {
    uint64_t ns = bench_now(), ticks = __builtin_ia32_rdtsc();

    bench_sleep(0.2);
    ticks = __builtin_ia32_rdtsc() - ticks;
    return (double)ticks / (double)(bench_now() - ns);
}

static long involuntary_switches(void) {
    struct rusage usage;

    (void)getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static struct holds *holds_new(double ticks_per_ns) {
    struct holds *holds = calloc(1, sizeof *holds);

    if (!holds) bench_die("no memory for a histogram");
    holds->ticks_per_ns = ticks_per_ns;
    holds->switches = involuntary_switches();
    lock_times = (struct lock_times){0, 0, 0};
    return holds;
}

/* After each operation of this thread. */
static void holds_note(struct holds *holds) {
    double ns = (double)lock_times.longest / holds->ticks_per_ns;
    long switches = ns < SUSPECT_NS ? holds->switches : involuntary_switches();

    if (switches == holds->switches) {
        bench_record(&holds->histogram, (uint64_t)ns);
        holds->holds += lock_times.holds;
        holds->ticks += lock_times.sum;
    } else {
        holds->switches = switches;
        holds->aside++;
    }
    lock_times = (struct lock_times){0, 0, 0};
}

static double holds_mean(const struct holds *holds) {
    return (double)holds->ticks / holds->ticks_per_ns / (double)holds->holds;
}

static void holds_print(struct bench *bench, const char *what, struct holds *holds) {
    const struct bench_histogram *h = &holds->histogram;

    BENCH_ROW(bench, "longest hold of a lock in an operation, us", BENCH_TEXT("operation           ", what),
              BENCH_NUMBER("ops", h->total, 0), BENCH_NUMBER("mean_hold", holds_mean(holds) / 1e3, 3),
              BENCH_NUMBER("p50", bench_quantile(h, 0.5) / 1e3, 3),
              BENCH_NUMBER("p99", bench_quantile(h, 0.99) / 1e3, 3),
              BENCH_NUMBER("p99.9", bench_quantile(h, 0.999) / 1e3, 2), BENCH_NUMBER("max", (double)h->max / 1e3, 1),
              BENCH_NUMBER("set_aside", holds->aside, 0));
    free(holds);
}

/* ---- One thread --------------------------------------------------------------------------------- */

struct mean {
    double op_ns, hold_ns;
};

static struct mean steady(struct bench *bench, struct strobe_map *map, uint64_t keys, double ticks, bool write) {
    char value[BENCH_VALUE_LEN] = {0}, out[BENCH_VALUE_LEN];
    struct holds *holds = holds_new(ticks);
    struct bench_text key;
    struct mean mean;
    uint64_t x = 88172645463325252u, start = bench_now();

    for (unsigned i = 0; i < OPS; i++) {
        size_t len = sizeof out;

        bench_key_write(key.data, bench_random(&x) % keys);
        if (write)
            (void)strobe_set(map, key.data, BENCH_KEY_LEN, value, sizeof value, 0);
        else
            (void)strobe_get(map, key.data, BENCH_KEY_LEN, out, &len);
        holds_note(holds);
    }
    mean = (struct mean){(double)(bench_now() - start) / OPS, holds_mean(holds)};
    holds_print(bench, write ? "set" : "get", holds);
    return mean;
}

static void write_many(struct bench *bench, struct strobe_map *map, uint64_t keys, double ticks) {
    struct holds *holds = holds_new(ticks);
    uint64_t x = 88172645463325253u;

    for (unsigned op = 0; op < MANY_OPS; op++) {
        struct bench_text text[MANY];
        struct strobe_key key[MANY];
        struct strobe_entry *entry[MANY];
        struct strobe_access access;

        for (unsigned i = 0; i < MANY; i++) {
            bench_key_write(text[i].data, bench_random(&x) % keys);
            key[i] = strobe_key(map, text[i].data, BENCH_KEY_LEN);
            if (strobe_entry_new(map, &(struct strobe_entry_spec){.key = &key[i], .value = "x", .len = 1}, &entry[i]) !=
                STROBE_OK)
                bench_die("no memory for an entry");
        }
        strobe_enter_many(map, key, MANY, &access);
        if (strobe_put_many(&access, key, entry, MANY) != STROBE_OK) bench_die("no memory for many");
        strobe_leave(&access);
        for (unsigned i = 0; i < MANY; i++) strobe_entry_free(map, entry[i]);
        holds_note(holds);
    }
    holds_print(bench, "set of 100 keys", holds);
}

/* Every key once, put or erased. SCANS snapshots are opened on the way and stay unread: each write copies for them. */
static void whole(struct bench *bench, struct strobe_map *map, uint64_t keys, double ticks, bool erase,
                  unsigned scans) {
    struct strobe_snapshot *snapshots[8];
    struct holds *holds = holds_new(ticks);
    char value[BENCH_VALUE_LEN] = {0}, name[64];
    struct bench_text key;
    unsigned opened = 0;

    for (uint64_t i = 0; i < keys; i++) {
        if (opened < scans && i >= opened * keys / scans &&
            strobe_snapshot_open(map, true, &snapshots[opened++]) != STROBE_OK)
            bench_die("cannot open a snapshot");
        bench_key_write(key.data, i * 2654435761u % keys);
        if (erase)
            (void)strobe_del(map, key.data, BENCH_KEY_LEN);
        else
            (void)strobe_set(map, key.data, BENCH_KEY_LEN, value, sizeof value, 0);
        holds_note(holds);
    }
    (void)snprintf(name, sizeof name, "%s, %u scans", erase ? "shrink" : "grow", scans);
    holds_print(bench, name, holds);
    holds = holds_new(ticks);
    for (unsigned i = 0; i < opened; i++) {
        strobe_snapshot_close(snapshots[i]);
        holds_note(holds);
    }
    if (opened) holds_print(bench, "close of those scans", holds);
}

/* ---- A scan and a writer -------------------------------------------------------------------------- */

struct scanner {
    struct strobe_map *map;
    struct holds *holds;
    double ticks;
    atomic_bool stop;
};

static enum strobe_visit take(void *context, const struct strobe_entry *entry) {
    *(uint64_t *)context += strobe_entry_version(entry);
    return STROBE_VISIT_NEXT;
}

static void *scan_on(void *context) {
    struct scanner *scanner = context;
    uint64_t sum = 0;

    scanner->holds = holds_new(scanner->ticks);
    while (!atomic_load(&scanner->stop)) {
        struct strobe_position position = {0, 0, 0};
        struct strobe_snapshot *snapshot;

        if (strobe_snapshot_open(scanner->map, false, &snapshot) != STROBE_OK) bench_die("cannot open a snapshot");
        while (!position.end) {
            (void)strobe_snapshot_read(snapshot, &position, NULL, 1000, take, &sum);
            strobe_snapshot_forget(snapshot, &position);
            holds_note(scanner->holds);
        }
        strobe_snapshot_close(snapshot);
        holds_note(scanner->holds);
    }
    return NULL;
}

static void beside(struct bench *bench, struct strobe_map *map, uint64_t keys, double ticks) {
    struct scanner scanner = {.map = map, .ticks = ticks};
    struct holds *holds = holds_new(ticks);
    char value[BENCH_VALUE_LEN] = {0};
    struct bench_text key;
    pthread_t thread;
    uint64_t x = 88172645463325254u, start = bench_now();

    if (pthread_create(&thread, NULL, scan_on, &scanner) != 0) bench_die("cannot start a thread");
    while (bench_now() - start < BESIDE_NS) {
        bench_key_write(key.data, bench_random(&x) % keys);
        (void)strobe_set(map, key.data, BENCH_KEY_LEN, value, sizeof value, 0);
        holds_note(holds);
    }
    atomic_store(&scanner.stop, true);
    (void)pthread_join(thread, NULL);
    holds_print(bench, "set beside a scan", holds);
    holds_print(bench, "the scan beside it", scanner.holds);
}

/* ---- The model ------------------------------------------------------------------------------------ */

struct ball {
    _Alignas(64) _Atomic uint64_t turn;
};

static void await(const struct ball *ball, uint64_t turn) {
    while (atomic_load_explicit(&ball->turn, memory_order_acquire) != turn) {
    }
}

static void *hit_back(void *context) {
    struct ball *ball = context;

    for (uint64_t i = 1; i < 2 * HANDOVERS; i += 2) {
        await(ball, i);
        atomic_store_explicit(&ball->turn, i + 1, memory_order_release);
    }
    return NULL;
}

/* From one processor's cache to the other's, ns: two threads that write one line in turn. The quickest thousand of
 * many: in the others one of the two did not have its processor. */
static double measure_handover(void) {
    struct ball ball = {0};
    pthread_t thread;
    uint64_t start, best = UINT64_MAX;

    if (pthread_create(&thread, NULL, hit_back, &ball) != 0) bench_die("cannot start a thread");
    start = bench_now();
    for (uint64_t i = 0; i < 2 * HANDOVERS; i += 2) {
        await(&ball, i);
        if (i && i % 1000 == 0) {
            uint64_t now = bench_now();

            if (now - start < best) best = now - start;
            start = now;
        }
        atomic_store_explicit(&ball.turn, i + 1, memory_order_release);
    }
    (void)pthread_join(thread, NULL);
    return (double)best / 1000;
}

/* LINES: shared lines that the operation writes. */
static void model(struct bench *bench, const char *what, struct mean mean, unsigned lines, double handover) {
    static const unsigned processors[] = {2, 16, 64}, shards[] = {64, 256, 1024};

    for (size_t p = 0; p < sizeof processors / sizeof *processors; p++) {
        for (size_t s = 0; s < sizeof shards / sizeof *shards; s++) {
            double n = processors[p], fetch = handover * lines * (n - 1) / n, hold = mean.hold_ns + fetch;
            double op = mean.op_ns + fetch, busy = 0, wait = 0;

            for (int i = 0; i < 50; i++) { /* to a fixed point: who waits asks for locks less often */
                busy = (n - 1) * hold / (op + wait) / shards[s];
                wait = busy < 1 ? busy * hold / (2 * (1 - busy)) : n * hold / shards[s];
            }
            BENCH_ROW(bench, "model", BENCH_TEXT("operation", what), BENCH_NUMBER("processors", n, 0),
                      BENCH_NUMBER("shards", shards[s], 0), BENCH_NUMBER("own_ns", mean.op_ns, 0),
                      BENCH_NUMBER("fetch_ns", fetch, 0), BENCH_NUMBER("lock_busy_%", busy * 100, 1),
                      BENCH_NUMBER("wait_ns", wait, 1), BENCH_NUMBER("Mops/s", n * 1e3 / (op + wait), 0),
                      BENCH_NUMBER("of_ideal_%", 100 * mean.op_ns / (op + wait), 0));
        }
    }
}

/* ---- For shared_lines ----------------------------------------------------------------------------- */

LOCK_UNCHECKED static void touch(void) {
    static volatile uint64_t marker;
    struct strobe_map *map = bench_map_new();
    struct bench_text *keys = bench_keys_new(1000);
    char value[BENCH_VALUE_LEN] = {0}, out[BENCH_VALUE_LEN];
    const struct strobe_entry *entry;
    struct strobe_access access;
    size_t len = sizeof out;
    struct strobe_key key;

    bench_fill(map, keys, 1000);
    key = strobe_key(map, keys[500].data, BENCH_KEY_LEN);
    strobe_enter(map, &key, &access);
    entry = strobe_find(&access, &key);
    strobe_leave(&access);
    (void)printf("entry %p 64\n", (const void *)entry);
    (void)printf("marker %p 8\nmap %p %zu\nsnapshots %p 64\n", (void *)&marker, (void *)map, sizeof *map,
                 (void *)&map->snapshots.clock);
    for (uint32_t i = 0; i < map->shard_count; i++) {
        const struct strobe_shard *shard = &map->shards[i];
        const struct directory *directory = atomic_load(&shard->live.directory);
        const struct segment *segment = directory_segment(directory_word(directory, 0));

        (void)printf("shard %p %zu\ndirectory %p %zu\nsegment %p %zu\n", (const void *)shard, sizeof *shard,
                     (const void *)directory, directory_bytes(directory), (const void *)segment,
                     segment_size(segment->class));
    }
    (void)fflush(stdout);
    marker = 1;
    (void)strobe_get(map, keys[500].data, BENCH_KEY_LEN, out, &len);
    marker = 2;
    (void)strobe_set(map, keys[500].data, BENCH_KEY_LEN, value, sizeof value, 0);
    marker = 3;
    strobe_map_free(map);
    bench_keys_free(keys);
}

int main(int argc, char **argv) {
    uint64_t keys = 1000000;
    struct bench bench = {.rounds = 1};
    struct strobe_map *map;
    struct mean get, set;
    double ticks, handover;

    bench_memory_setup();
    if (argc == 2 && strcmp(argv[1], "touch") == 0) {
        touch();
        return 0;
    }
    if (argc > 2 || (argc == 2 && (keys = strtoull(argv[1], NULL, 10)) == 0)) bench_die("lock_bench [KEYS | touch]");
    ticks = measure_ticks();
    map = bench_map_new();
    whole(&bench, map, keys, ticks, false, 0);
    get = steady(&bench, map, keys, ticks, false);
    set = steady(&bench, map, keys, ticks, true);
    write_many(&bench, map, keys, ticks);
    beside(&bench, map, keys, ticks);
    whole(&bench, map, keys, ticks, true, 0);
    whole(&bench, map, keys, ticks, false, 4);
    whole(&bench, map, keys, ticks, true, 4);
    strobe_map_free(map);
    handover = measure_handover();
    (void)printf("\na line from one processor's cache to the other's: %.0f ns\n", handover);
    model(&bench, "get", get, GET_LINES, handover);
    model(&bench, "set", set, SET_LINES, handover);
    return 0;
}

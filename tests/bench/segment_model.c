/* segment_model.c - the arithmetic behind map/segment.c: how many bytes a slot costs, and how many cache lines a look.
 *
 * A model, not the map: segments are lists of random 64-bit hashes that grow, split and are placed into buckets by
 * the rules under test. Rows are ways to grow and slots in a bucket of 64 bytes; columns are how full a segment may
 * get before it grows. All segments fill up at nearly the same pace, so a figure for one number of entries means
 * nothing: the mean is taken over 8 numbers from 500,000 to 1,000,000.
 *
 *     bytes   of segments (header of 64 and directory included) per entry
 *     hit     cache lines of buckets looked at to find a key that is there; miss: one that is not
 *     mov     how often an entry is copied by growing and splitting, per entry inserted
 *
 * Then what malloc takes for an entry, by resident size: this program runs itself with each malloc.
 *
 *     tests/bench/segment_model            everything, some 20 s
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE        64u
#define SHARD_BITS  6u
#define PREFIX_BITS 18u   /* of the model's flat directory: deeper than 1,000,000 entries ever get */
#define SLOTS_MAX   1200u /* of one segment */
#define BUCKETS_MAX 160u
#define STEPS       8u
#define FIRST       500000u
#define LAST        1000000u

/* A way to grow: segments of each of these sizes in turn, then a split into two of the first that fits. */
struct growth {
    const char *name;
    unsigned classes;
    unsigned bytes[4];
};

struct policy {
    const struct growth *growth;
    unsigned slots; /* in a bucket */
    double limit;   /* how full */
};

struct segment {
    uint64_t prefix;
    unsigned bits, class, count;
    uint64_t hash[SLOTS_MAX];
};

struct model {
    struct policy policy;
    uint64_t moves;
    struct segment **directory; /* by the first PREFIX_BITS bits of the hash */
};

struct figures {
    double bytes, hit, miss, moves;
};

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static void *need(void *memory) {
    if (!memory) {
        (void)fprintf(stderr, "segment_model: no memory\n");
        exit(1);
    }
    return memory;
}

static unsigned buckets_of(const struct policy *policy, unsigned class) {
    return policy->growth->bytes[class] / LINE - 1;
}

static unsigned limit_of(const struct policy *policy, unsigned class) {
    return (unsigned)(policy->limit * buckets_of(policy, class) * policy->slots);
}

static unsigned class_for(const struct policy *policy, unsigned count) {
    unsigned class = 0;

    while (class + 1 < policy->growth->classes && count > limit_of(policy, class)) class ++;
    return class;
}

static void point_to(struct model *model, struct segment *segment) {
    size_t count = (size_t)1 << (PREFIX_BITS - segment->bits);
    size_t first = (size_t)(segment->prefix >> 1 >> (63 - PREFIX_BITS));

    for (size_t i = 0; i < count; i++) model->directory[first + i] = segment;
}

static struct segment *segment_new(struct model *model, uint64_t prefix, unsigned bits) {
    struct segment *segment = need(malloc(sizeof *segment));

    segment->prefix = prefix;
    segment->bits = bits;
    segment->class = segment->count = 0;
    point_to(model, segment);
    return segment;
}

static void split(struct model *model, struct segment *old) {
    unsigned bits = old->bits + 1;
    struct segment *half[2];

    if (bits > PREFIX_BITS) {
        (void)fprintf(stderr, "segment_model: a segment lies deeper than the model's directory\n");
        exit(1);
    }
    half[0] = segment_new(model, old->prefix, bits);
    half[1] = segment_new(model, old->prefix | UINT64_C(1) << (64 - bits), bits);
    for (unsigned i = 0; i < old->count; i++) {
        struct segment *to = half[old->hash[i] >> (64 - bits) & 1];

        to->hash[to->count++] = old->hash[i];
    }
    half[0]->class = class_for(&model->policy, half[0]->count);
    half[1]->class = class_for(&model->policy, half[1]->count);
    model->moves += old->count;
    free(old);
}

static void insert(struct model *model, uint64_t hash) {
    struct segment *segment;

    for (;;) {
        segment = model->directory[hash >> 1 >> (63 - PREFIX_BITS)];
        if (segment->count < limit_of(&model->policy, segment->class)) break;
        if (segment->class + 1 < model->policy.growth->classes) {
            segment->class ++;
            model->moves += segment->count;
        } else {
            split(model, segment);
        }
    }
    segment->hash[segment->count++] = hash;
}

/* Places a segment's entries into buckets and adds up the lines that looks take. */
static void look(const struct policy *policy, const struct segment *segment, uint64_t *hit, double *miss) {
    unsigned used[BUCKETS_MAX] = {0}, passed[BUCKETS_MAX] = {0};
    unsigned buckets = buckets_of(policy, segment->class), lines = 0;

    for (unsigned i = 0; i < segment->count; i++) {
        unsigned b = (unsigned)((segment->hash[i] & 0xffffffffu) * buckets >> 32);

        for (++*hit; used[b] == policy->slots; ++*hit) {
            passed[b]++;
            b = b + 1 == buckets ? 0 : b + 1;
        }
        used[b]++;
    }
    for (unsigned home = 0; home < buckets; home++) {
        unsigned b = home;

        for (lines++; passed[b]; lines++) b = b + 1 == buckets ? 0 : b + 1;
    }
    *miss += (double)lines / buckets * segment->count;
}

static struct figures measure(const struct model *model, unsigned count) {
    const struct segment *last = NULL;
    unsigned deepest = 0;
    uint64_t hit = 0, bytes = 0;
    double miss = 0;

    for (size_t i = 0; i < (size_t)1 << PREFIX_BITS; i++) {
        const struct segment *segment = model->directory[i];

        if (segment->bits > deepest) deepest = segment->bits;
        if (segment != last) {
            bytes += model->policy.growth->bytes[segment->class];
            look(&model->policy, segment, &hit, &miss);
        }
        last = segment;
        if ((i + 1) % ((size_t)1 << (PREFIX_BITS - SHARD_BITS)) == 0) {
            bytes += (uint64_t)8 << (deepest - SHARD_BITS);
            deepest = 0;
        }
    }
    return (struct figures){(double)bytes / count, (double)hit / count, miss / count, (double)model->moves / count};
}

static void model_free(struct model *model) {
    struct segment *last = NULL;

    for (size_t i = 0; i < (size_t)1 << PREFIX_BITS; i++) {
        if (model->directory[i] != last) free(last);
        last = model->directory[i];
    }
    free(last);
    free(model->directory);
}

static struct figures run(const struct growth *growth, unsigned slots, double limit) {
    struct model model = {.policy = {growth, slots, limit}};
    struct figures sum = {0, 0, 0, 0};
    unsigned have = 0;

    model.directory = need(malloc(sizeof *model.directory << PREFIX_BITS));
    for (uint64_t i = 0; i < 1u << SHARD_BITS; i++) (void)segment_new(&model, i << (64 - SHARD_BITS), SHARD_BITS);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned count = FIRST + (LAST - FIRST) / (STEPS - 1) * step;
        struct figures figures;

        for (; have < count; have++) insert(&model, mix(have));
        figures = measure(&model, count);
        sum.bytes += figures.bytes / STEPS;
        sum.hit += figures.hit / STEPS;
        sum.miss += figures.miss / STEPS;
        sum.moves += figures.moves / STEPS;
    }
    model_free(&model);
    return sum;
}

static void print_model(void) {
    static const struct growth growths[] = {
        {"4, split", 1, {4096}},
        {"7, split", 1, {7168}},
        {"4 6, split", 2, {4096, 6144}},
        {"4 5 6 7, split", 4, {4096, 5120, 6144, 7168}},
    };
    static const double limits[] = {0.80, 0.85, 0.90, 0.92, 0.95};
    static const size_t limit_count = sizeof limits / sizeof limits[0];

    (void)printf("segments of KiB  slots   full:");
    for (size_t i = 0; i < limit_count; i++) (void)printf("%14.2f      ", limits[i]);
    (void)printf("\n                             ");
    for (size_t i = 0; i < limit_count; i++) (void)printf("  bytes  hit miss mov");
    (void)printf("\n");
    for (size_t g = 0; g < sizeof growths / sizeof growths[0]; g++) {
        for (unsigned slots = 7; slots <= 9; slots++) {
            (void)printf("%-16s %5u        ", growths[g].name, slots);
            for (size_t i = 0; i < limit_count; i++) {
                struct figures f = run(&growths[g], slots, limits[i]);

                (void)printf(" %6.2f %4.2f %4.2f %3.1f", f.bytes, f.hit, f.miss, f.moves);
            }
            (void)printf("\n");
            (void)fflush(stdout);
        }
    }
}

/* ---- What malloc takes ---- */

static uint64_t resident(void) {
    unsigned long size, pages;
    FILE *statm = need(fopen("/proc/self/statm", "re"));

    if (fscanf(statm, "%lu %lu", &size, &pages) != 2) pages = 0;
    (void)fclose(statm);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Resident bytes for each of COUNT blocks of SIZE, ALIGN 0: malloc's own. */
static double block_cost(size_t size, size_t align, size_t count) {
    void **blocks = need(malloc(count * sizeof *blocks));
    uint64_t before;
    double cost;

    memset(blocks, 1, count * sizeof *blocks);
    before = resident();
    for (size_t i = 0; i < count; i++) {
        blocks[i] = need(align ? aligned_alloc(align, size) : malloc(size));
        memset(blocks[i], 1, size);
    }
    cost = (double)(resident() - before) / (double)count;
    for (size_t i = 0; i < count; i++) free(blocks[i]);
    free(blocks);
    return cost;
}

/* In a child each, so that no block is given the place of a freed one. */
static void print_cost(size_t size, size_t align, size_t count) {
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        (void)printf(" %8.1f", block_cost(size, align, count));
        (void)fflush(stdout);
        _exit(0);
    }
    if (child < 0 || waitpid(child, NULL, 0) != child) exit(1);
}

#define ENTRIES  500000u
#define SEGMENTS 4000u

static void print_blocks(const char *name) {
    static const size_t entries[] = {46, 54, 56, 58, 62, 64};

    (void)printf("%-10s", name);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) print_cost(entries[i], 0, ENTRIES);
    for (size_t size = 4096; size <= 8192; size += 1024) print_cost(size, LINE, SEGMENTS);
    (void)printf("\n");
}

/* Runs this program again under the malloc in LIBRARY, NULL: libc's. */
static void with_malloc(const char *program, const char *name, const char *library) {
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        if (library) (void)setenv("LD_PRELOAD", library, 1);
        (void)execl(program, program, "blocks", name, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, NULL, 0) != child) exit(1);
}

int main(int argc, char **argv) {
    static const char *const places[] = {"/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
                                         "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2", "/usr/lib64/libjemalloc.so.2"};
    struct stat status;

    if (argc == 3 && strcmp(argv[1], "blocks") == 0) {
        print_blocks(argv[2]);
        return 0;
    }
    print_model();
    (void)printf("\nresident bytes of a block of\n%-10s", "malloc");
    (void)printf("       46       54       56       58       62       64"
                 "     4096     5120     6144     7168     8192\n");
    with_malloc("/proc/self/exe", "libc", NULL);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (stat(places[i], &status) == 0) {
            with_malloc("/proc/self/exe", "jemalloc", places[i]);
            break;
        }
    }
    return 0;
}

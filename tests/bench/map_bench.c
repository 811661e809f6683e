/* map_bench.c - measures libstrobemap by itself: speed, size, growth, scans, snapshots, hash, a lock held for long.
 *
 *     map_bench speed --keys 1000000 --threads 1,8 --writes 0,50 --rounds 5
 *     map_bench all
 *
 * Every number is wall or processor time of this machine; tests/bench/map_compare sets them beside Go's maps.
 */
#include "tests/bench/bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "map_bench COMMAND [options]\n"
    "\n"
    "  speed      ns per operation: keys x threads x writes x choice of keys\n"
    "  batch      strobe_get_many against single gets\n"
    "  size       bytes beyond key and value, by resident size, 500,000 to 1,000,000 entries\n"
    "  growth     from empty to full and back: slowest operations, memory\n"
    "  scan       keys per second, and a writer's times beside a scan\n"
    "  snapshot   opening and closing\n"
    "  hash       ns by length of key\n"
    "  lock       how often threads get a lock that each of them holds for long\n"
    "  all        each of these, briefly\n"
    "\n"
    "  --keys N,...     numbers of keys, at most 8 (10000,100000,1000000)\n"
    "  --threads N,...  (1,2,8)\n"
    "  --writes N,...   per cent of the operations (0,5,50,100)\n"
    "  --choice C,...   uniform, zipf (0.99), one (a single key) (uniform)\n"
    "  --seconds S      of a round (0.5)\n"
    "  --rounds N       of which the median is printed (3)\n"
    "  --scans N        growth: snapshots open meanwhile (0)\n"
    "  --large          10 million keys too\n"
    "  --purge          size: free pages go back to the system before each look\n"
    "  --access         speed: by strobe_enter, find or put, and leave, in place of strobe_get and strobe_set\n"
    "  --json           an object a line\n";

struct command {
    const char *name;
    void (*run)(struct bench *bench);
    struct bench_list keys; /* when not said */
};

static const struct command commands[] = {
    {"speed", bench_speed, {{10000, 100000, 1000000}, 3}},
    {"batch", bench_batch, {{10000, 1000000}, 2}},
    {"size", bench_size, {{0}, 0}},
    {"growth", bench_growth, {{1000000}, 1}},
    {"scan", bench_scan, {{1000000}, 1}},
    {"snapshot", bench_snapshot, {{1000, 1000000}, 2}},
    {"hash", bench_hash, {{0}, 0}},
    {"lock", bench_lock, {{0}, 0}},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static struct bench_list parse_list(const char *text) {
    struct bench_list list = {{0}, 0};
    char *end;

    do {
        if (list.count == BENCH_LIST_MAX || *text < '0' || *text > '9')
            bench_die("a list is up to 8 numbers with commas between them");
        list.at[list.count++] = strtoull(text, &end, 10);
        text = end + 1;
    } while (*end == ',');
    if (*end) bench_die("a list is up to 8 numbers with commas between them");
    return list;
}

static void parse_choice(struct bench *bench, const char *text) {
    bench->uniform = strstr(text, "uniform");
    bench->zipf = strstr(text, "zipf");
    bench->one = strstr(text, "one");
    if (!bench->uniform && !bench->zipf && !bench->one) bench_die("--choice knows uniform, zipf and one");
}

static void parse(struct bench *bench, int argc, char **argv) {
    static const struct option options[] = {
        {"keys", required_argument, NULL, 'k'},
        {"threads", required_argument, NULL, 't'},
        {"writes", required_argument, NULL, 'w'},
        {"choice", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"rounds", required_argument, NULL, 'r'},
        {"scans", required_argument, NULL, 'S'},
        {"large", no_argument, NULL, 'l'},
        {"purge", no_argument, NULL, 'p'},
        {"access", no_argument, NULL, 'C'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'k': bench->keys = parse_list(optarg); break;
        case 't': bench->threads = parse_list(optarg); break;
        case 'w': bench->writes = parse_list(optarg); break;
        case 'c': parse_choice(bench, optarg); break;
        case 's': bench->seconds = atof(optarg); break;
        case 'r': bench->rounds = parse_list(optarg).at[0]; break;
        case 'S': bench->scans = parse_list(optarg).at[0]; break;
        case 'l': bench->large = true; break;
        case 'p': bench->purge_each = true; break;
        case 'C': bench->access = true; break;
        case 'j': bench->json = true; break;
        case 'h': (void)fputs(help, stdout); exit(0);
        default: (void)fputs(help, stderr); exit(2);
        }
    }
    if (bench->seconds <= 0 || bench->rounds == 0) bench_die("--seconds and --rounds must be larger than 0");
    for (size_t i = 0; i < bench->keys.count; i++) {
        if (bench->keys.at[i] == 0 || bench->keys.at[i] > UINT32_MAX) bench_die("--keys are from 1 to 4294967295");
    }
    for (size_t i = 0; i < bench->threads.count; i++) {
        if (bench->threads.at[i] == 0 || bench->threads.at[i] > 64) bench_die("--threads are from 1 to 64");
    }
}

static void run(const struct command *command, const struct bench *said) {
    struct bench bench = *said;

    if (bench.keys.count == 0) {
        bench.keys = command->keys;
        if (bench.large && bench.keys.count) bench.keys.at[bench.keys.count++] = 10000000;
    }
    command->run(&bench);
}

int main(int argc, char **argv) {
    struct bench bench = {
        .seconds = 0.5, .rounds = 3, .uniform = true, .threads = {{1, 2, 8}, 3}, .writes = {{0, 5, 50, 100}, 4}};
    bool known = false;

    parse(&bench, argc, argv);
    if (optind + 1 != argc) {
        (void)fputs(help, stderr);
        return 2;
    }
    bench_memory_setup();
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[optind], commands[i].name) == 0 || strcmp(argv[optind], "all") == 0) {
            known = true;
            run(&commands[i], &bench);
        }
    }
    if (!known) {
        (void)fputs(help, stderr);
        return 2;
    }
    return 0;
}

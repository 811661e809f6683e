/* linear.c - plays short histories against a running server and judges each: is it linearizable?
 *
 *     linear --port P [--http-port P] [--rounds N] [--seed S] [--plan NAME]
 *
 * Five clients, one of them over HTTP if it has a port, play N rounds of each plan on a few keys that were absent.
 * Prints a line a plan. Status: 0 all histories are linearizable, 1 one is not (it is printed), 2 could not play, or a
 * history was too much to decide. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/linear/checker.h"
#include "tests/linear/player.h"

#define CLIENTS    5u
#define STATES_MAX 2000000u

static const struct player_plan plans[] = {
    {.name = "single", .keys = 2, .batches = 10, .depth = 1},
    {.name = "together", .keys = 3, .batches = 6, .depth = 3, .exec = 20, .many = 15, .watch = 15},
    {.name = "scan", .keys = 3, .batches = 8, .depth = 1, .exec = 10, .many = 10, .scan = 30, .filler = 400},
    {.name = "flush", .keys = 3, .batches = 8, .depth = 2, .exec = 10, .scan = 10, .flush = 8},
};

struct options {
    uint16_t port;
    uint16_t http_port;
    uint64_t rounds;
    uint64_t seed;
    const char *plan;
};

struct seat {
    struct player player;
    struct table *table;
    pthread_t thread;
};

/* Where the players sit: all begin a round together, and wait for each other at its end. */
struct table {
    pthread_barrier_t begin;
    pthread_barrier_t end;
    bool over; /* written before BEGIN, read after it */
    struct player_round round;
    struct seat seats[CLIENTS];
};

struct sums {
    uint64_t operations;
    uint64_t contended;
    uint64_t states;
};

static void *sit(void *context) {
    struct seat *seat = context;

    for (;;) {
        (void)pthread_barrier_wait(&seat->table->begin);
        if (seat->table->over) return NULL;
        player_play(&seat->player);
        (void)pthread_barrier_wait(&seat->table->end);
    }
}

static void play_round(struct table *t) {
    atomic_store(&t->round.tickets, 0);
    memset(t->round.history.counts, 0, sizeof(t->round.history.counts));
    t->round.history.clients = CLIENTS;
    (void)pthread_barrier_wait(&t->begin);
    (void)pthread_barrier_wait(&t->end);
}

/* The program's status. */
static int judge(struct checker *checker, struct table *t, uint64_t seed, struct sums *sums) {
    const struct history *h = &t->round.history;
    enum checker_verdict verdict = checker_judge(checker, h);

    sums->contended += history_contended(h);
    sums->states += checker_states(checker);
    for (unsigned i = 0; i < CLIENTS; i++) sums->operations += h->counts[i];
    if (verdict == CHECKER_LINEAR) return 0;
    (void)printf("linear: %s: plan %s, round %" PRIu64 ", seed %" PRIu64 "\n",
                 verdict == CHECKER_BROKEN ? "NOT linearizable" : "too much to decide", t->round.plan->name,
                 t->round.number, seed);
    checker_explain(stdout, checker);
    return verdict == CHECKER_BROKEN ? 1 : 2;
}

static int play_plan(struct table *t, const struct player_plan *plan, const struct options *options,
                     struct checker *checker) {
    struct sums sums = {0};
    struct player *first = &t->seats[0].player;

    t->round.plan = plan;
    player_fill(first, plan->filler);
    for (uint64_t i = 0; i < options->rounds; i++) {
        player_clear(first);
        t->round.number++;
        play_round(t);
        int status = judge(checker, t, options->seed, &sums);
        if (status != 0) return status;
    }
    (void)printf("%-9s %" PRIu64 " histories of %.1f operations, each with %.1f contended pairs, %.1f states: "
                 "all linearizable\n",
                 plan->name, options->rounds, (double)sums.operations / (double)options->rounds,
                 (double)sums.contended / (double)options->rounds, (double)sums.states / (double)options->rounds);
    (void)fflush(stdout);
    return 0;
}

static uint64_t number_of(const char *text, uint64_t most) {
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0' || number > most) wire_failed("not a number up to %" PRIu64 ": %s", most, text);
    return number;
}

static struct options parse(int argc, char **argv) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},   {"http-port", required_argument, NULL, 'h'},
        {"rounds", required_argument, NULL, 'r'}, {"seed", required_argument, NULL, 's'},
        {"plan", required_argument, NULL, 'n'},   {NULL, 0, NULL, 0},
    };
    struct options options = {.rounds = 100, .seed = 1};
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) >= 0) {
        switch (option) {
        case 'p': options.port = (uint16_t)number_of(optarg, UINT16_MAX); break;
        case 'h': options.http_port = (uint16_t)number_of(optarg, UINT16_MAX); break;
        case 'r': options.rounds = number_of(optarg, 10000000); break;
        case 's': options.seed = number_of(optarg, UINT64_MAX); break;
        case 'n': options.plan = optarg; break;
        default: wire_failed("usage: linear --port P [--http-port P] [--rounds N] [--seed S] [--plan NAME]");
        }
    }
    if (options.port == 0 || options.rounds == 0 || optind != argc)
        wire_failed("usage: linear --port P [--http-port P] [--rounds N] [--seed S] [--plan NAME]");
    return options;
}

static void open_table(struct table *t, const struct options *options) {
    if (pthread_barrier_init(&t->begin, NULL, CLIENTS + 1) != 0 ||
        pthread_barrier_init(&t->end, NULL, CLIENTS + 1) != 0)
        wire_failed("no barrier");
    for (unsigned i = 0; i < CLIENTS; i++) {
        bool is_http = options->http_port != 0 && i == CLIENTS - 1;

        t->seats[i].table = t;
        player_open(&t->seats[i].player, i, is_http, is_http ? options->http_port : options->port, options->seed,
                    &t->round);
        if (pthread_create(&t->seats[i].thread, NULL, sit, &t->seats[i]) != 0) wire_failed("no thread");
    }
}

static void close_table(struct table *t) {
    t->over = true;
    (void)pthread_barrier_wait(&t->begin);
    for (unsigned i = 0; i < CLIENTS; i++) {
        (void)pthread_join(t->seats[i].thread, NULL);
        player_close(&t->seats[i].player);
    }
    (void)pthread_barrier_destroy(&t->begin);
    (void)pthread_barrier_destroy(&t->end);
}

int main(int argc, char **argv) {
    const struct options options = parse(argc, argv);
    struct table *table = calloc(1, sizeof(*table));
    struct checker *checker = checker_new(STATES_MAX);
    unsigned played = 0;
    int status = 0;

    if (table == NULL) wire_failed("no memory");
    open_table(table, &options);
    for (unsigned i = 0; i < sizeof(plans) / sizeof(plans[0]) && status == 0; i++)
        if (options.plan == NULL || strcmp(options.plan, plans[i].name) == 0) {
            status = play_plan(table, &plans[i], &options, checker);
            played++;
        }
    close_table(table);
    checker_free(checker);
    free(table);
    if (played == 0) wire_failed("there is no plan %s", options.plan);
    return status;
}

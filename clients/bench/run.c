/* run.c - threads and phases.
 *
 *     connect, all | prefill | warmup | load, with the scan beside it | add up
 *                  ^ barrier ^ barrier ^ barrier
 *
 * All threads pass each barrier also after Ctrl-C, and then have nothing to do in the phase behind it; so none waits
 * for one that has gone. The main thread does not load: it waits for the end and for signals, and writes the progress
 * line. */
#include "clients/bench/run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "clients/bench/http_load.h"
#include "clients/bench/memcached_load.h"
#include "clients/bench/resp_load.h"

enum stage { STAGE_PREFILL, STAGE_WARMUP, STAGE_LOAD, STAGES };

static const char *const stage_names[STAGES] = {"prefill", "warmup", "load"};

/* A thread of load, and what it counted before the last stage. */
struct thread {
    struct run *run;
    pthread_t id;
    bool started;
    struct worker worker;
    struct tally before[STAGES - 1];
};

struct run {
    struct plan plan;
    struct thread *threads; /* owned */
    size_t thread_count;
    struct scan scan;
    pthread_t scan_id;
    bool scans, scan_started;
    bool wanted[STAGES];
    pthread_barrier_t barrier;
    bool has_barrier;
    _Atomic uint32_t stage; /* relaxed: for the progress line */
    atomic_uint at_work;    /* workers in the load; release: what they counted is for later, after join */
    bool refused;           /* the door's recipes: the options are not good */
    int ended;              /* eventfd: threads that have ended */
    int signals;            /* signalfd */
};

/* ---- what each thread does ---------------------------------------------------------------------------- */

static double interval_of(const struct bench_options *options) {
    return options->rate == 0 ? 0 : 1e9 / (double)options->rate;
}

/* The work of thread INDEX in STAGE. */
static struct phase phase_of(const struct run *run, enum stage stage, uint64_t index) {
    const struct bench_options *options = run->plan.options;
    const uint64_t threads = run->thread_count, millisecond = 1000000;
    struct phase phase = {
        .pipeline = options->pipeline,
        .first = load_share_begin(options->keys, threads, index),
        .interval = interval_of(options) * (double)threads,
        .offset = interval_of(options) * (double)index,
    };

    if (stage == STAGE_PREFILL) {
        phase.prefill = true;
        if (phase.pipeline < LOAD_PREFILL_DEPTH) phase.pipeline = LOAD_PREFILL_DEPTH;
        phase.requests = load_share(options->keys, threads, index);
        phase.interval = phase.offset = 0;
    } else if (stage == STAGE_WARMUP || options->requests == 0) {
        phase.requests = LOAD_ENDLESS;
        phase.time = (stage == STAGE_WARMUP ? options->warmup : options->time) * millisecond;
    } else {
        phase.requests = load_share(options->requests, threads, index);
    }
    if (phase.interval > 0 && phase.time != 0) phase.requests = phase_due(&phase, (double)(phase.time - 1));
    phase.owes = phase.interval > 0 && stage == STAGE_LOAD;
    return phase;
}

static void tell_ended(const struct run *run) {
    const uint64_t one = 1;

    if (write(run->ended, &one, sizeof one) < 0) abort(); /* an eventfd takes 2^64 of them */
}

static void *load_thread(void *argument) {
    struct thread *thread = argument;
    struct run *run = thread->run;

    for (int stage = 0; stage < STAGES; stage++) {
        if (!run->wanted[stage]) continue;
        struct phase phase = phase_of(run, (enum stage)stage, thread->worker.index);
        pthread_barrier_wait(&run->barrier);
        if (atomic_load_explicit(&run->plan.stop, memory_order_relaxed)) continue;
        atomic_store_explicit(&run->stage, (uint32_t)stage, memory_order_relaxed);
        worker_run(&thread->worker, &phase);
        if (stage == STAGE_LOAD) continue;
        tally_merge(&thread->before[stage], &thread->worker.tally);
        tally_init(&thread->worker.tally);
    }
    atomic_fetch_sub_explicit(&run->at_work, 1, memory_order_release);
    tell_ended(run);
    return NULL;
}

static void *scan_thread(void *argument) {
    struct run *run = argument;

    for (int stage = 0; stage < STAGES; stage++)
        if (run->wanted[stage]) pthread_barrier_wait(&run->barrier);
    if (!atomic_load_explicit(&run->plan.stop, memory_order_relaxed)) scan_run(&run->scan);
    tell_ended(run);
    return NULL;
}

/* ---- beginning ---------------------------------------------------------------------------------------- */

static bool fail(char *error, const char *what) {
    snprintf(error, OPTIONS_ERROR_TEXT, "%s: %s", what, strerror(errno));
    return false;
}

static bool init_plan(struct run *run, const struct bench_options *options, char *error) {
    static const struct door *const doors[] = {
        [BENCH_RESP] = &resp_door, [BENCH_HTTP] = &http_door, [BENCH_MEMCACHED] = &memcached_door};
    const struct strobe_slice prefix = strobe_slice_make(options->key_prefix, strlen(options->key_prefix));
    struct plan *plan = &run->plan;

    plan->options = options;
    plan->door = doors[options->door];
    keys_init(&plan->keys, prefix, (size_t)options->key_size, options->key_minimum, options->keys, options->dist);
    for (int i = 0; i < LOAD_KINDS_COUNT; i++) recipe_init(&plan->recipes[i]);
    if (!values_init(&plan->values, prefix)) return fail(error, "cannot begin");
    run->refused = !plan->door->recipes(options, plan->recipes, error);
    if (run->refused) return false;
    for (int i = 0; i < LOAD_KINDS_COUNT; i++) {
        errno = ENOMEM;
        if (plan->recipes[i].no_memory) return fail(error, "cannot begin");
    }
    plan->reads[LOAD_GET] = true;
    plan->reads[LOAD_COMMAND] = options->command != NULL && resp_command_reads(options->command);
    plan->all_set = options->prefill && options->ttl == 0 && (options->command == NULL || plan->reads[LOAD_COMMAND]);
    return dial_find(options, &plan->address, error);
}

/* As many files as there are connections; what is missing is found when they are opened. */
static void raise_file_limit(uint64_t clients) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= clients + 64) return;
    limit.rlim_cur = limit.rlim_max < clients + 64 ? limit.rlim_max : clients + 64;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static bool init_signals(struct run *run, char *error) {
    sigset_t taken;

    sigemptyset(&taken);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGTERM);
    if (pthread_sigmask(SIG_BLOCK, &taken, NULL) != 0) return fail(error, "cannot block signals");
    run->signals = signalfd(-1, &taken, SFD_CLOEXEC);
    run->ended = eventfd(0, EFD_CLOEXEC);
    return (run->signals >= 0 && run->ended >= 0) || fail(error, "cannot begin");
}

static bool init_threads(struct run *run, char *error) {
    const struct bench_options *options = run->plan.options;

    run->thread_count = options->clients == 0 ? 0 : options->threads;
    run->threads = calloc(run->thread_count + 1, sizeof *run->threads);
    if (run->threads == NULL) return fail(error, "cannot begin");
    for (size_t i = 0; i < run->thread_count; i++) {
        run->threads[i].run = run;
        for (int stage = 0; stage < STAGES - 1; stage++) tally_init(&run->threads[i].before[stage]);
        if (!worker_init(&run->threads[i].worker, &run->plan, i, error)) return false;
    }
    run->scans = options->scan_count != 0;
    return !run->scans || scan_init(&run->scan, &run->plan, &run->at_work, error);
}

static bool init(struct run *run, const struct bench_options *options, char *error) {
    raise_file_limit(options->clients);
    if (!init_signals(run, error) || !init_plan(run, options, error) || !init_threads(run, error)) return false;
    run->wanted[STAGE_PREFILL] = options->prefill && run->thread_count > 0;
    run->wanted[STAGE_WARMUP] = options->warmup != 0;
    run->wanted[STAGE_LOAD] = true;
    atomic_init(&run->at_work, (unsigned)run->thread_count);
    int status = pthread_barrier_init(&run->barrier, NULL, (unsigned)run->thread_count + run->scans);
    run->has_barrier = status == 0;
    errno = status;
    return run->has_barrier || fail(error, "cannot begin");
}

static bool start(struct run *run, char *error) {
    errno = 0;
    for (size_t i = 0; i < run->thread_count; i++) {
        errno = pthread_create(&run->threads[i].id, NULL, load_thread, &run->threads[i]);
        if (errno != 0) return fail(error, "cannot start a thread");
        run->threads[i].started = true;
    }
    if (run->scans) errno = pthread_create(&run->scan_id, NULL, scan_thread, run);
    if (errno != 0) return fail(error, "cannot start a thread");
    run->scan_started = run->scans;
    return true;
}

/* ---- while it runs ------------------------------------------------------------------------------------- */

struct progress {
    bool shown, on_terminal;
    uint64_t begun, last, done, stage;
};

static void print_progress(const struct run *run, struct progress *progress) {
    uint64_t done = 0, failed = 0, now = load_now();
    uint32_t stage = atomic_load_explicit(&run->stage, memory_order_relaxed);

    if (!progress->shown) return;
    for (size_t i = 0; i < run->thread_count; i++) {
        done += atomic_load_explicit(&run->threads[i].worker.done, memory_order_relaxed);
        failed += atomic_load_explicit(&run->threads[i].worker.failed, memory_order_relaxed);
    }
    if (stage != progress->stage || done < progress->done) progress->done = 0;
    double span = (double)(now - progress->last) / 1e9;
    fprintf(stderr, "%s%-7s %6.1f s %12" PRIu64 " requests %12.0f /s  %" PRIu64 " faults%s",
            progress->on_terminal ? "\r" : "", stage_names[stage], (double)(now - progress->begun) / 1e9, done,
            (double)(done - progress->done) / span, failed, progress->on_terminal ? "   " : "\n");
    progress->done = done;
    progress->stage = stage;
    progress->last = now;
}

/* A signal came: the first ends the load in order. */
static void take_signal(struct run *run, bool *interrupted) {
    struct signalfd_siginfo signal;

    if (read(run->signals, &signal, sizeof signal) < 0) return;
    if (*interrupted) _exit(130);
    *interrupted = true;
    atomic_store_explicit(&run->plan.stop, true, memory_order_relaxed);
}

/* Waits until all threads have ended. */
static void watch(struct run *run, bool *interrupted) {
    const struct bench_options *options = run->plan.options;
    struct progress progress = {.on_terminal = isatty(STDERR_FILENO) != 0, .begun = load_now(), .last = load_now()};
    struct pollfd wanted[] = {{.fd = run->ended, .events = POLLIN}, {.fd = run->signals, .events = POLLIN}};
    uint64_t left = run->thread_count + run->scans, ended;

    progress.shown = options->progress || (progress.on_terminal && !options->quiet);
    while (left > 0) {
        int ready = poll(wanted, 2, 1000);
        if (ready == 0) print_progress(run, &progress);
        if (ready > 0 && wanted[0].revents != 0 && read(run->ended, &ended, sizeof ended) > 0) left -= ended;
        if (ready > 0 && wanted[1].revents != 0) take_signal(run, interrupted);
    }
    if (progress.shown && progress.on_terminal) fputs("\r\033[K", stderr);
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

/* Adds the faults of an earlier stage to the load's. */
static void merge_faults(struct tally *to, const struct tally *from) {
    for (int i = 0; i < TALLY_FAULTS_COUNT; i++) to->faults[i] += from->faults[i];
    if (from->first_fault[0] != '\0') memcpy(to->first_fault, from->first_fault, sizeof to->first_fault);
}

static void add_up(struct run *run, struct outcome *outcome) {
    tally_init(&outcome->prefill);
    tally_init(&outcome->load);
    for (size_t i = 0; i < run->thread_count; i++) {
        const struct thread *thread = &run->threads[i];
        tally_merge(&outcome->prefill, &thread->before[STAGE_PREFILL]);
        tally_merge(&outcome->load, &thread->worker.tally);
        merge_faults(&outcome->load, &thread->before[STAGE_WARMUP]);
    }
    merge_faults(&outcome->load, &outcome->prefill);
    outcome->all_set = run->plan.all_set;
    if (!run->scans) return;
    outcome->scan = run->scan;
    outcome->scanned = true;
    merge_faults(&outcome->load, &run->scan.tally);
}

/* Threads that were started when another could not be would wait at the barrier for ever: the process ends anyway. */
static void join(struct run *run) {
    for (size_t i = 0; i < run->thread_count; i++) pthread_join(run->threads[i].id, NULL);
    if (run->scan_started) pthread_join(run->scan_id, NULL);
}

static void fini(struct run *run) {
    for (size_t i = 0; run->threads != NULL && i < run->thread_count; i++) worker_fini(&run->threads[i].worker);
    free(run->threads);
    if (run->scans) scan_fini(&run->scan);
    for (int i = 0; i < LOAD_KINDS_COUNT; i++) recipe_fini(&run->plan.recipes[i]);
    values_fini(&run->plan.values);
    if (run->has_barrier) pthread_barrier_destroy(&run->barrier);
    if (run->signals > 0) close(run->signals);
    if (run->ended > 0) close(run->ended);
}

enum run_result run(const struct bench_options *options, struct outcome *outcome, char *error) {
    struct run *all = calloc(1, sizeof *all);
    enum run_result result = RUN_DONE;

    memset(outcome, 0, sizeof *outcome);
    outcome->options = options;
    if (all == NULL) {
        fail(error, "cannot begin");
        return RUN_FAILED;
    }
    if (!init(all, options, error)) {
        result = all->refused ? RUN_REFUSED : RUN_FAILED;
    } else if (!start(all, error)) {
        return RUN_FAILED; /* see join(): nothing may be taken from under threads that wait */
    } else {
        watch(all, &outcome->interrupted);
        join(all);
        add_up(all, outcome);
    }
    fini(all);
    free(all);
    return result;
}

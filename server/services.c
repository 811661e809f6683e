/* services.c - the pointers that handlers share, the configuration as of now, and work put off to the thread pool.
 *
 * Deferred work may come from any thread, but uv_queue_work belongs to a loop's own thread. So it is put on a
 * locked list, and worker 0 gives it to the pool:
 *
 *     services_defer -> list -> wake (uv_async on worker 0) -> uv_queue_work -> run
 *
 * Always: what was deferred runs exactly once. Without memory, and after services_close, it runs on the caller's
 * thread. A configuration that was replaced stays in a list while a loop may still be reading it: until all of them
 * have come by since, which is seen when the next one is set.
 */
#include "server/services.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "map/map.h"
#include "server/attention.h"
#include "server/memory.h"
#include "server/monitors.h"
#include "server/pause.h"
#include "server/reaper.h"
#include "server/rollcall.h"
#include "server/worker.h"

struct deferred {
    uv_work_t work;
    struct deferred *next;
    void (*run)(void *argument);
    void *argument;
};

struct retired {
    struct retired *next;
    struct config *config;
    uint64_t call; /* of the roll: when it is answered, nobody reads an older configuration */
};

struct services {
    struct services_parts parts;
    struct scans *scans;
    struct worker **workers;
    uint32_t port, http_port;
    uint64_t startup_memory; /* see services_startup_memory */
    /* Acquire on reading pairs with the release of set_config: its fields are seen. */
    _Atomic(const struct config *) config;
    struct retired *configs; /* owned: that in force and those before it; under config_lock */
    uv_mutex_t config_lock;
    char config_path[PATH_MAX];
    char executable[PATH_MAX];
    _Atomic size_t buffers;       /* relaxed: a sum that is compared with a limit */
    _Atomic uint64_t clients_max; /* relaxed: a limit */
    atomic_bool is_maintaining;   /* maintain_map waits for its turn or has it */
    uv_async_t wake;
    struct attention attention;
    struct pause *pause;
    struct monitors *monitors;
    struct rollcall *rollcall;
    void (*stop)(void *context);
    void *stop_context;
    uv_mutex_t lock; /* of the three below */
    struct deferred *waiting;
    bool is_open;
    bool is_asked_to_stop;
};

struct strobe_map *services_map(const struct services *services) {
    return services->parts.map;
}

struct scans *services_scans(const struct services *services) {
    return services->scans;
}

const struct command_table *services_commands(const struct services *services) {
    return services->parts.commands;
}

struct clients *services_clients(const struct services *services) {
    return services->parts.clients;
}

struct metrics *services_metrics(const struct services *services) {
    return services->parts.metrics;
}

struct latency *services_latency(const struct services *services) {
    return services->parts.latency;
}

struct slowlog *services_slowlog(const struct services *services) {
    return services->parts.slowlog;
}

struct log *services_log(const struct services *services) {
    return services->parts.log;
}

struct pause *services_pause(const struct services *services) {
    return services->pause;
}

struct monitors *services_monitors(const struct services *services) {
    return services->monitors;
}

const struct attention *services_attention(const struct services *services) {
    return &services->attention;
}

unsigned services_threads(const struct services *services) {
    return services->parts.threads;
}

struct worker *services_worker(const struct services *services, unsigned index) {
    return services->workers[index];
}

const char *services_version(void) {
    return STROBE_VERSION;
}

const char *services_config_path(const struct services *services) {
    return services->config_path;
}

const char *services_executable(const struct services *services) {
    return services->executable;
}

uint64_t services_startup_memory(const struct services *services) {
    return services->startup_memory;
}

uint32_t services_port(const struct services *services) {
    return services->port;
}

uint32_t services_http_port(const struct services *services) {
    return services->http_port;
}

const struct config *services_config(const struct services *services) {
    return atomic_load_explicit(&services->config, memory_order_acquire);
}

uint64_t services_clients_max(const struct services *services) {
    return atomic_load_explicit(&services->clients_max, memory_order_relaxed);
}

size_t services_buffers_add(struct services *services, ptrdiff_t delta) {
    return atomic_fetch_add_explicit(&services->buffers, (size_t)delta, memory_order_relaxed) + (size_t)delta;
}

size_t services_buffers(const struct services *services) {
    return atomic_load_explicit(&services->buffers, memory_order_relaxed);
}

/* ---- deferred work -------------------------------------------------------------------------- */

static void run_work(uv_work_t *work) {
    struct deferred *deferred = work->data;
    deferred->run(deferred->argument);
}

static void after_work(uv_work_t *work, int status) {
    (void)status;
    free(work->data);
}

/* On worker 0's thread: hands the list to the pool. */
static void queue_all(struct services *services, struct deferred *deferred) {
    while (deferred != NULL) {
        struct deferred *next = deferred->next;
        deferred->work.data = deferred;
        if (uv_queue_work(services->wake.loop, &deferred->work, run_work, after_work) != 0) {
            deferred->run(deferred->argument);
            free(deferred);
        }
        deferred = next;
    }
}

static void on_wake(uv_async_t *handle) {
    struct services *services = handle->data;

    uv_mutex_lock(&services->lock);
    struct deferred *waiting = services->waiting;
    services->waiting = NULL;
    bool stop = services->is_asked_to_stop;
    services->is_asked_to_stop = false;
    uv_mutex_unlock(&services->lock);
    queue_all(services, waiting);
    if (stop) services->stop(services->stop_context);
}

void services_settle_memory(struct services *services) {
    if (services->parts.reaper != NULL) reaper_settle(services->parts.reaper);
}

void services_defer(struct services *services, void (*run)(void *argument), void *argument) {
    struct deferred *deferred = malloc(sizeof *deferred);
    bool is_open = false;

    if (deferred != NULL) {
        deferred->run = run;
        deferred->argument = argument;
        uv_mutex_lock(&services->lock);
        is_open = services->is_open;
        if (is_open) {
            deferred->next = services->waiting;
            services->waiting = deferred;
            uv_async_send(&services->wake); /* under the lock: the handle is closed under it */
        }
        uv_mutex_unlock(&services->lock);
    }
    if (is_open) return;
    free(deferred);
    run(argument);
}

static void close_snapshot(void *argument) {
    strobe_snapshot_close(argument);
}

void services_close_snapshot(struct services *services, struct strobe_snapshot *snapshot) {
    services_defer(services, close_snapshot, snapshot);
}

/* Acquire and release, here and where it is asked for: who was told that this is being done had closed its snapshots
 * before that, and we see it. */
static bool set_maintaining(struct services *services, bool is) {
    return atomic_exchange_explicit(&services->is_maintaining, is, memory_order_acq_rel);
}

static void maintain_map(void *argument) {
    struct services *services = argument;

    do {
        strobe_map_maintain(services->parts.map);
        (void)set_maintaining(services, false);
    } while (strobe_map_owes(services->parts.map) && !set_maintaining(services, true));
}

void services_maintain_map(struct services *services) {
    if (!set_maintaining(services, true)) services_defer(services, maintain_map, services);
}

int services_open(struct services *services) {
    int error = uv_async_init(worker_loop(services->workers[0]), &services->wake, on_wake);

    struct memory_figures figures;

    if (error != 0) return error;
    memory_figures(&figures);
    services->startup_memory = figures.allocated;
    services->wake.data = services;
    services->is_open = true;
    return 0;
}

void services_close(struct services *services) {
    uv_mutex_lock(&services->lock);
    bool was_open = services->is_open;
    struct deferred *waiting = services->waiting;
    services->is_open = false;
    services->waiting = NULL;
    if (was_open) uv_close((uv_handle_t *)&services->wake, NULL);
    uv_mutex_unlock(&services->lock);
    queue_all(services, waiting);
}

/* ---- what concerns all loops ---------------------------------------------------------------- */

uint64_t services_call_roll(struct services *services) {
    uint64_t number = rollcall_begin(services->rollcall);

    for (unsigned i = 0; i < services->parts.threads; i++) worker_call(services->workers[i]);
    return number;
}

bool services_roll_is_done(struct services *services, uint64_t number) {
    return rollcall_is_done(services->rollcall, number);
}

uint64_t services_latest_call(struct services *services) {
    return rollcall_latest(services->rollcall);
}

void services_answer_roll(struct services *services, unsigned index, uint64_t number) {
    if (rollcall_answer(services->rollcall, index, number)) services_wake(services);
}

void services_wake(struct services *services) {
    for (unsigned i = 0; i < services->parts.threads; i++) worker_wake(services->workers[i]);
}

static void wake_for_monitors(void *context, unsigned loop) {
    struct services *services = context;
    worker_deliver(services->workers[loop]);
}

void services_ask_stop(struct services *services) {
    uv_mutex_lock(&services->lock);
    if (services->is_open) {
        services->is_asked_to_stop = true;
        uv_async_send(&services->wake); /* under the lock, as in services_defer */
    }
    uv_mutex_unlock(&services->lock);
}

void services_on_stop(struct services *services, void (*stop)(void *context), void *context) {
    services->stop = stop;
    services->stop_context = context;
}

void services_end_waits(struct services *services) {
    pause_close(services->pause);
    rollcall_close(services->rollcall);
}

void services_lock_config(struct services *services) {
    uv_mutex_lock(&services->config_lock);
}

void services_unlock_config(struct services *services) {
    uv_mutex_unlock(&services->config_lock);
}

/* ---- life ----------------------------------------------------------------------------------- */

static bool retire(struct services *services, struct config *config) {
    struct retired *retired = malloc(sizeof *retired);

    if (retired == NULL) return false;
    retired->config = config;
    retired->call = 0;
    retired->next = services->configs;
    services->configs = retired;
    return true;
}

static void free_configs(struct retired *retired) {
    while (retired != NULL) {
        struct retired *next = retired->next;
        config_free(retired->config);
        free(retired);
        retired = next;
    }
}

/* Frees those that are older than one which all loops have taken over. */
static void forget_configs(struct services *services) {
    struct retired *taken = services->configs;

    while (taken != NULL && !rollcall_is_answered(services->rollcall, taken->call)) taken = taken->next;
    if (taken == NULL) return;
    free_configs(taken->next);
    taken->next = NULL;
}

bool services_set_config(struct services *services, struct config *config) {
    if (!retire(services, config)) {
        config_free(config);
        return false;
    }
    atomic_store_explicit(&services->config, config, memory_order_release);
    services->configs->call = services_call_roll(services);
    forget_configs(services);
    return true;
}

void services_set_scans(struct services *services, struct scans *scans) {
    services->scans = scans;
}

void services_set_worker(struct services *services, unsigned index, struct worker *worker) {
    services->workers[index] = worker;
}

void services_set_ports(struct services *services, uint32_t port, uint32_t http_port) {
    services->port = port;
    services->http_port = http_port;
}

void services_set_clients_max(struct services *services, uint64_t most) {
    atomic_store_explicit(&services->clients_max, most, memory_order_relaxed);
}

struct services *services_new(const struct services_parts *parts) {
    struct services *services = calloc(1, sizeof *services);

    if (services == NULL) return NULL;
    services->parts = *parts;
    services->workers = calloc(parts->threads, sizeof(struct worker *));
    services->pause = pause_new(&services->attention);
    services->rollcall = rollcall_new(parts->threads);
    services->monitors = monitors_new(parts->threads, &services->attention, wake_for_monitors, services);
    if (services->workers == NULL || services->pause == NULL || services->rollcall == NULL ||
        services->monitors == NULL || uv_mutex_init(&services->lock) != 0) {
        goto failed;
    }
    if (uv_mutex_init(&services->config_lock) != 0) goto no_config_lock;
    if (!retire(services, parts->config)) goto no_config;
    atomic_init(&services->config, parts->config);
    if (parts->config_path != NULL && realpath(parts->config_path, services->config_path) == NULL) {
        services->config_path[0] = '\0';
    }
    ssize_t len = readlink("/proc/self/exe", services->executable, sizeof services->executable - 1);
    services->executable[len > 0 ? len : 0] = '\0';
    return services;

no_config:
    uv_mutex_destroy(&services->config_lock);
no_config_lock:
    uv_mutex_destroy(&services->lock);
failed:
    monitors_free(services->monitors);
    rollcall_free(services->rollcall);
    pause_free(services->pause);
    free(services->workers);
    free(services);
    return NULL;
}

void services_free(struct services *services) {
    if (services == NULL) return;
    free_configs(services->configs);
    monitors_free(services->monitors);
    rollcall_free(services->rollcall);
    pause_free(services->pause);
    uv_mutex_destroy(&services->config_lock);
    uv_mutex_destroy(&services->lock);
    free(services->workers);
    free(services);
}

/* server.c - puts the process together, runs it, and takes it apart again.
 *
 *     config -> log -> map -> services -> scans -> pool -> workers -> listeners -> "ready"     (and back the other way)
 *
 * The calling thread runs worker 0, which has the listeners, the signals and the upkeep; each other worker has a
 * thread. The stop (SIGTERM, SIGINT): listeners close, every worker answers what has arrived and ends its loop, the
 * threads are joined. SHUTDOWN does the same. From then on the system's default is back in force for signals, so a
 * second one ends the process at once. SIGHUP: see settings.c. On failure to start: one line in the log that says why,
 * and exit status 1.
 */
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "map/map.h"
#include "server/clients.h"
#include "server/clock.h"
#include "server/command.h"
#include "server/http_door.h"
#include "server/latency.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/memory.h"
#include "server/metrics.h"
#include "server/pool.h"
#include "server/reaper.h"
#include "server/resp_door.h"
#include "server/scans.h"
#include "server/services.h"
#include "server/settings.h"
#include "server/slowlog.h"
#include "server/upkeep.h"
#include "server/worker.h"

enum {
    LISTENERS_MAX = 2 * 16 + 1, /* both ports on each address, and the Unix socket */
    SIGNALS = 3,
    SCANS_SPARE = 64, /* snapshots beside those of scans: KEYS, streams */
    DEAD_SHARE = 4    /* one part in so many of the memory may wait to be given back */
};

struct server {
    struct log log;
    struct reaper *reaper;
    struct strobe_map *map;
    struct command_table *commands;
    struct clients *clients;
    struct metrics *metrics;
    struct latency *latency;
    struct slowlog *slowlog;
    struct scans *scans;
    struct services *services;
    struct worker **workers;
    unsigned threads, running; /* RUNNING: of those on their own threads */
    struct listener *listeners[LISTENERS_MAX];
    size_t listener_count;
    struct upkeep *upkeep;
    uv_signal_t signals[SIGNALS];
    bool has_signals;
    bool stopping;
    int argc;
    char *const *argv;
};

static const struct config *config_of(const struct server *server) {
    return services_config(server->services);
}

/* Tells systemd, if it started us with Type=notify. */
static void notify(const char *message) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un place = {.sun_family = AF_UNIX};

    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof place.sun_path) return;
    memcpy(place.sun_path, path, strlen(path));
    if (path[0] == '@') place.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&place,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

/* ---- stop and reload ------------------------------------------------------------------------ */

static void close_signals(struct server *server) {
    if (!server->has_signals) return;
    for (size_t i = 0; i < SIGNALS; i++) uv_close((uv_handle_t *)&server->signals[i], NULL);
    server->has_signals = false;
    signal(SIGHUP, SIG_IGN);
}

static void stop(struct server *server) {
    if (server->stopping) return;
    server->stopping = true;
    log_info(&server->log, "server", "stopping connections=%zu", clients_count(server->clients));
    notify("STOPPING=1");
    for (size_t i = 0; i < server->listener_count; i++) listener_close(server->listeners[i]);
    server->listener_count = 0;
    upkeep_stop(server->upkeep);
    server->upkeep = NULL;
    close_signals(server);
    services_end_waits(server->services);
    for (unsigned i = 0; i < server->threads; i++) worker_stop(server->workers[i]);
    services_close(server->services);
}

static void stop_asked(void *context) {
    stop(context);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct server *server = handle->data;

    if (number == SIGHUP) {
        if (settings_reload(server->services, server->argc, server->argv)) log_info(&server->log, "server", "reloaded");
    } else {
        log_info(&server->log, "server", "signal name=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
        stop(server);
    }
}

/* ---- building ------------------------------------------------------------------------------- */

static void defer(void *context, void (*work)(void *argument), void *argument) {
    services_defer(context, work, argument);
}

/* The map, and what handlers find beside it. Takes CONFIG in every case. Results: false without memory. */
static bool build_services(struct server *server, struct config *config) {
    struct strobe_map_options options = {
        .shards = (unsigned)config->shards,
        .max_snapshots = (unsigned)config->max_scans + SCANS_SPARE,
        .snapshot_memory = config->scan_memory,
    };
    struct scans_options scans = {
        .max_scans = (unsigned)config->max_scans, .idle_ms = config->scan_idle_timeout, .defer = defer};

    server->reaper = reaper_new(memory_allocator(), memory_total() / DEAD_SHARE);
    options.allocator = server->reaper != NULL ? reaper_allocator(server->reaper) : memory_allocator();
    server->threads = (unsigned)config->threads;
    server->workers = calloc(server->threads, sizeof(struct worker *));
    server->commands = command_table_new();
    server->clients = clients_new();
    server->metrics = metrics_new(server->threads, clock_wall_ms());
    server->latency = latency_new(server->threads);
    server->slowlog = slowlog_new();
    if (server->workers != NULL && server->commands != NULL && server->clients != NULL && server->metrics != NULL &&
        server->latency != NULL && server->slowlog != NULL && strobe_map_new(&options, &server->map) == STROBE_OK) {
        const struct services_parts parts = {.map = server->map,
                                             .commands = server->commands,
                                             .clients = server->clients,
                                             .metrics = server->metrics,
                                             .latency = server->latency,
                                             .slowlog = server->slowlog,
                                             .log = &server->log,
                                             .config = config,
                                             .config_path = config_path(server->argc, server->argv),
                                             .reaper = server->reaper,
                                             .threads = server->threads};
        server->services = services_new(&parts);
    }
    if (server->services == NULL) {
        config_free(config);
        return false;
    }
    scans.defer_context = server->services;
    server->scans = scans_new(server->map, &scans);
    if (server->scans == NULL) return false;
    services_set_scans(server->services, server->scans);
    return true;
}

static bool build_workers(struct server *server) {
    for (unsigned i = 0; i < server->threads; i++) {
        const struct worker_options options = {.services = server->services, .index = i};
        server->workers[i] = worker_new(&options);
        if (server->workers[i] == NULL) return false;
        services_set_worker(server->services, i, server->workers[i]);
    }
    services_on_stop(server->services, stop_asked, server);
    return services_open(server->services) == 0;
}

/* Keeps LISTENER, or logs ERROR when it is NULL. */
static bool keep_listener(struct server *server, struct listener *listener, const char *error) {
    if (listener == NULL) {
        log_error(&server->log, "listener", "%s", error);
        return false;
    }
    server->listeners[server->listener_count++] = listener;
    return true;
}

/* Listens for DOOR on all addresses at *PORT, which becomes the port that was bound: with auto all get what the first
 * got. */
static bool listen_all(struct server *server, const struct door *door, uint32_t *port) {
    const struct config_list *bind = &config_of(server)->bind;
    char error[LISTENER_ERROR_TEXT];

    for (size_t i = 0; i < bind->count && *port != 0; i++) {
        struct listener *listener = listener_open_tcp(server->services, door, bind->items[i], *port, error);
        if (!keep_listener(server, listener, error)) return false;
        *port = listener_port(listener);
    }
    return true;
}

static bool build_listeners(struct server *server) {
    const struct config *config = config_of(server);
    uint32_t port = config->port, http_port = config->http_port;
    char error[LISTENER_ERROR_TEXT];

    if (!listen_all(server, &resp_door, &port) || !listen_all(server, &http_door, &http_port)) return false;
    services_set_ports(server->services, port, http_port);
    if (config->unix_socket != NULL &&
        !keep_listener(
            server,
            listener_open_unix(server->services, &resp_unix_door, config->unix_socket, config->unix_socket_mode, error),
            error)) {
        return false;
    }
    for (size_t i = 0; i < server->listener_count; i++) {
        int failed = listener_start(server->listeners[i]);
        if (failed != 0) {
            log_error(&server->log, "listener", "cannot accept: %s", uv_strerror(failed));
            return false;
        }
    }
    return true;
}

static bool build_signals(struct server *server) {
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    uv_loop_t *loop = worker_loop(server->workers[0]);

    for (size_t i = 0; i < SIGNALS; i++) {
        if (uv_signal_init(loop, &server->signals[i]) != 0) return false; /* can only be the first: no pipe */
        server->signals[i].data = server;
        server->has_signals = true;
    }
    for (size_t i = 0; i < SIGNALS; i++) {
        if (uv_signal_start(&server->signals[i], on_signal, numbers[i]) != 0) return false;
    }
    return true;
}

static bool start_threads(struct server *server) {
    for (unsigned i = 1; i < server->threads; i++) {
        if (!worker_start(server->workers[i])) {
            log_error(&server->log, "server",
                      "cannot start a thread; lower threads or raise the limit threads=%u started=%u", server->threads,
                      i);
            return false;
        }
        server->running = i;
    }
    return true;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void join_threads(struct server *server) {
    for (unsigned i = 1; i <= server->running; i++) worker_join(server->workers[i]);
}

/* Takes apart whatever was put together. */
static void tear_down(struct server *server) {
    for (unsigned i = 0; server->workers != NULL && i < server->threads; i++) worker_free(server->workers[i]);
    free(server->workers);
    scans_free(server->scans);
    services_free(server->services);
    if (server->map != NULL) strobe_map_free(server->map);
    reaper_free(server->reaper);
    slowlog_free(server->slowlog);
    latency_free(server->latency);
    metrics_free(server->metrics);
    clients_free(server->clients);
    command_table_free(server->commands);
    log_fini(&server->log);
}

static bool build(struct server *server, struct config *config) {
    if (!build_services(server, config)) {
        log_error(&server->log, "server", "no memory to start");
        return false;
    }
    if (!pool_start()) {
        log_error(&server->log, "server",
                  "cannot start the threads of libuv's pool; raise the limit on threads or memory, or lower "
                  "UV_THREADPOOL_SIZE");
        return false;
    }
    settings_fit_descriptors(server->services, config_of(server)->max_clients);
    if (!build_workers(server) || !build_signals(server)) {
        log_error(&server->log, "server", "cannot make the event loops; are there enough descriptors?");
        return false;
    }
    server->upkeep = upkeep_start(server->services);
    return server->upkeep != NULL && build_listeners(server) && start_threads(server);
}

int server_run(struct config *config, int argc, char *const *argv) {
    struct server server = {.argc = argc, .argv = argv};
    int status = 1;

    signal(SIGPIPE, SIG_IGN);
    memory_init();
    http_door_setup();
    log_init(&server.log, config->log_level);
    if (!log_open(&server.log, config->log_file)) {
        log_error(&server.log, "server", "cannot open the log file path=%s error=\"%s\"", config->log_file,
                  strerror(errno));
        config_free(config);
    } else if (build(&server, config)) {
        log_info(&server.log, "server", "ready version=%s pid=%d threads=%u shards=%llu malloc=%s", services_version(),
                 (int)getpid(), server.threads, (unsigned long long)config_of(&server)->shards,
                 memory_allocator_name());
        notify("READY=1");
        worker_run(server.workers[0]);
        join_threads(&server);
        log_info(&server.log, "server", "stopped");
        status = 0;
    } else if (server.services != NULL && server.threads > 0 && server.workers[server.threads - 1] != NULL) {
        stop(&server);
        worker_run(server.workers[0]);
        join_threads(&server);
    }
    tear_down(&server);
    return status;
}

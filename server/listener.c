/* listener.c - accepts, and deals connections out to the loops.
 *
 *     listening socket -> uv_poll on worker 0 -> accept4 (up to ACCEPTS_MAX a turn) -> the worker with the fewest
 *     -> worker_hand
 *
 * One acceptor that counts is even by construction; SO_REUSEPORT's hash is even only in the mean of many connections.
 * libuv's own uv_listen would make the handle on worker 0's loop, from which a stream cannot move.
 * Over max-clients, or what the limit on descriptors leaves of it, a connection is opened only to be told so; of those
 * REFUSALS_MAX may wait for their end at once, further ones are closed without a word.
 * On failure: without descriptors accepting rests for REST_MS and the log says so; the queue of the kernel keeps
 * what comes.
 */
#include "server/listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "server/config.h"
#include "server/conn.h"
#include "server/log.h"
#include "server/services.h"
#include "server/worker.h"

enum { BACKLOG = 511, ACCEPTS_MAX = 64, REFUSALS_MAX = 64, REST_MS = 100, WARN_MS = 10000 };

struct listener {
    struct services *services;
    const struct door *door;
    uv_poll_t poll;
    uv_timer_t rest;
    int fd;
    int open_handles;
    uint32_t port;
    uint64_t warn_at;                                       /* loop time from which on a rest is worth a line again */
    unsigned turn;                                          /* the worker that is next among equals */
    bool has_poll;                                          /* the handles exist */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": TCP */
};

/* ---- dealing -------------------------------------------------------------------------------- */

/* The worker with the fewest connections; counts in *CONNECTIONS and *REFUSALS what all have. */
static struct worker *choose(struct listener *listener, unsigned *connections, unsigned *refusals) {
    unsigned workers = services_threads(listener->services);
    struct worker *best = NULL;

    assert(workers > 0);
    *connections = *refusals = 0;
    for (unsigned i = 0; i < workers; i++) {
        struct worker *worker = services_worker(listener->services, (listener->turn + i) % workers);
        *connections += worker_connections(worker);
        *refusals += worker_refusals(worker);
        if (best == NULL || worker_connections(worker) < worker_connections(best)) best = worker;
    }
    listener->turn = (worker_index(best) + 1) % workers;
    return best;
}

static void deal(struct listener *listener, int fd, const union conn_address *peer) {
    unsigned connections, refusals;
    struct worker *worker = choose(listener, &connections, &refusals);
    bool refused = connections >= services_clients_max(listener->services);

    if (refused && refusals >= REFUSALS_MAX) {
        close(fd);
        return;
    }
    struct conn *conn = conn_new(worker, listener->door, fd, peer, refused);
    if (conn != NULL) worker_hand(worker, conn);
}

static void on_rested(uv_timer_t *handle) {
    listener_start(handle->data);
}

static void rest(struct listener *listener, int error) {
    uint64_t now = uv_now(listener->rest.loop);

    if (now >= listener->warn_at) {
        listener->warn_at = now + WARN_MS;
        log_warn(services_log(listener->services), "listener", "cannot accept, rests for %d ms each time error=\"%s\"",
                 REST_MS, strerror(error));
    }
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->rest, on_rested, REST_MS, 0);
}

static void on_poll(uv_poll_t *handle, int status, int events) {
    struct listener *listener = handle->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        union conn_address peer;
        socklen_t len = sizeof peer;
        int fd = accept4(listener->fd, listener->path[0] != '\0' ? NULL : &peer.sa,
                         listener->path[0] != '\0' ? NULL : &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            deal(listener, fd, listener->path[0] != '\0' ? NULL : &peer);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(listener, errno);
            return;
        }
        /* anything else is about one connection that died in the queue */
    }
}

/* ---- binding -------------------------------------------------------------------------------- */

static struct listener *fail(struct listener *listener, char error[LISTENER_ERROR_TEXT], const char *what,
                             const char *where) {
    snprintf(error, LISTENER_ERROR_TEXT, "cannot %s %.120s: %s", what, where, strerror(errno));
    if (listener != NULL && listener->fd >= 0) close(listener->fd);
    free(listener);
    return NULL;
}

static struct listener *new_listener(struct services *services, const struct door *door, int family) {
    struct listener *listener = calloc(1, sizeof *listener);

    if (listener == NULL) return NULL;
    listener->services = services;
    listener->door = door;
    listener->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return listener;
}

static bool make_address(const char *address, uint32_t port, union conn_address *out, socklen_t *len) {
    in_port_t number = htons(port == CONFIG_PORT_AUTO ? 0 : (uint16_t)port);

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, address, &out->in.sin_addr) == 1) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = number;
        *len = sizeof out->in;
        return true;
    }
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = number;
    *len = sizeof out->in6;
    return inet_pton(AF_INET6, address, &out->in6.sin6_addr) == 1;
}

struct listener *listener_open_tcp(struct services *services, const struct door *door, const char *address,
                                   uint32_t port, char error[LISTENER_ERROR_TEXT]) {
    union conn_address place;
    socklen_t len;
    char where[96];
    int on = 1;

    snprintf(where, sizeof where, "%.64s port %u", address, port == CONFIG_PORT_AUTO ? 0 : (unsigned)port);
    errno = EINVAL;
    if (!make_address(address, port, &place, &len)) return fail(NULL, error, "read", where);
    struct listener *listener = new_listener(services, door, place.sa.sa_family);
    if (listener == NULL || listener->fd < 0) return fail(listener, error, "open a socket for", where);

    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (place.sa.sa_family == AF_INET6) setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(listener->fd, &place.sa, len) != 0 || listen(listener->fd, BACKLOG) != 0) {
        return fail(listener, error, "listen on", where);
    }
    len = sizeof place;
    if (getsockname(listener->fd, &place.sa, &len) != 0) return fail(listener, error, "ask the port of", where);
    listener->port = ntohs(place.sa.sa_family == AF_INET6 ? place.in6.sin6_port : place.in.sin_port);
    log_info(services_log(services), "listener", "listening door=%s address=%s%s%s:%u", door->name,
             place.sa.sa_family == AF_INET6 ? "[" : "", address, place.sa.sa_family == AF_INET6 ? "]" : "",
             (unsigned)listener->port);
    return listener;
}

/* Removes a socket file that nobody listens on. Results: false with errno when somebody does, or it is no socket. */
static bool remove_stale(const struct sockaddr_un *place) {
    struct stat status;

    if (lstat(place->sun_path, &status) != 0) return errno == ENOENT;
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    int result = connect(fd, (const struct sockaddr *)place, sizeof *place);
    int reason = result == 0 || errno == EAGAIN ? EADDRINUSE : errno;
    close(fd);
    if (reason == ECONNREFUSED) return unlink(place->sun_path) == 0;
    errno = reason;
    return false;
}

struct listener *listener_open_unix(struct services *services, const struct door *door, const char *path, uint32_t mode,
                                    char error[LISTENER_ERROR_TEXT]) {
    struct sockaddr_un place = {.sun_family = AF_UNIX};

    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof place.sun_path) return fail(NULL, error, "listen on", path);
    memcpy(place.sun_path, path, strlen(path) + 1);
    if (!remove_stale(&place)) return fail(NULL, error, "listen on", path);
    struct listener *listener = new_listener(services, door, AF_UNIX);
    if (listener == NULL || listener->fd < 0) return fail(listener, error, "open a socket for", path);

    mode_t mask = umask(0777); /* nobody gets in before the mode is set */
    int result = bind(listener->fd, (const struct sockaddr *)&place, sizeof place);
    int reason = errno;
    umask(mask);
    errno = reason;
    if (result != 0) return fail(listener, error, "listen on", path);
    memcpy(listener->path, place.sun_path, sizeof listener->path);
    if (chmod(path, (mode_t)mode) != 0 || listen(listener->fd, BACKLOG) != 0) {
        reason = errno;
        unlink(path);
        errno = reason;
        return fail(listener, error, "listen on", path);
    }
    log_info(services_log(services), "listener", "listening door=%s path=%s mode=%04o", door->name, path,
             (unsigned)mode);
    return listener;
}

/* ---- life ----------------------------------------------------------------------------------- */

int listener_start(struct listener *listener) {
    uv_loop_t *loop = worker_loop(services_worker(listener->services, 0));

    if (!listener->has_poll) {
        int error = uv_poll_init(loop, &listener->poll, listener->fd);
        if (error != 0) return error;
        uv_timer_init(loop, &listener->rest);
        listener->poll.data = listener->rest.data = listener;
        listener->has_poll = true;
        listener->open_handles = 2;
    }
    return uv_poll_start(&listener->poll, UV_READABLE, on_poll);
}

uint32_t listener_port(const struct listener *listener) {
    return listener->port;
}

static void on_closed(uv_handle_t *handle) {
    struct listener *listener = handle->data;

    if (--listener->open_handles == 0) free(listener);
}

void listener_close(struct listener *listener) {
    if (listener == NULL) return;
    if (listener->path[0] != '\0') unlink(listener->path);
    if (!listener->has_poll) {
        close(listener->fd);
        free(listener);
        return;
    }
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    close(listener->fd);
    uv_close((uv_handle_t *)&listener->rest, on_closed);
}

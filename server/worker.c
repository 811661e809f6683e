/* worker.c - a thread, its loop, and the lists its connections stand in.
 *
 *     other threads -> inbox (locked), asked (bits) -> wake (uv_async) -> on_wake
 *     ready connections -> one conn_turn() each per turn of the loop (uv_idle, active only while there are some)
 *     answered ones     -> their replies together, when the turn's input is read (uv_check), or SENDER_MAX have some
 *     busy with small reads -> a nap before the poll (uv_prepare, coalesce.h)
 *     watched ones      -> conn_check() when the nearest deadline comes (uv_timer, active only while there are some)
 *
 * Always: an idle worker has no running timer and makes no system call (worker 0 has upkeep.c's timer). A connection
 * leaves a list before it is freed, and is freed only by its close callback, so that every walk below may close whom
 * it likes.
 * The stop: what has arrived is answered, then connections close; who does not take the replies within STOP_MS is
 * cut. Not here: what a connection does with a turn (conn.c), sockets that listen (listener.c).
 */
#include "server/worker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "protocol/http_writer.h"
#include "server/clock.h"
#include "server/coalesce.h"
#include "server/conn.h"
#include "server/latency.h"
#include "server/memory.h"
#include "server/monitors.h"
#include "server/resp_door.h"
#include "server/sender.h"
#include "server/services.h"

enum {
    STOP_MS = 5000,
    TIMER_GRAIN_MS = 20,  /* deadlines this close are looked at together */
    CHARGE_GRAIN = 65536, /* changes of buffers up to this are not told the others */
    SHED_MAX = 16         /* connections closed in one go for max-buffers */
};

/* What other threads may ask for. */
enum { ASK_STOP = 1, ASK_SHED = 2, ASK_ROLL = 4, ASK_WAKE = 8, ASK_DELIVER = 16 };

struct worker {
    struct services *services;
    struct strobe_map *map;
    struct metrics_slot *metrics;
    struct latency_slot *latency;
    struct log *log;
    unsigned index;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_sem_t prepared; /* the thread has what it needs */
    uv_async_t wake;
    uv_idle_t turns;
    uv_prepare_t counter;
    uv_check_t replies;
    uv_timer_t timer;
    uint64_t timer_at; /* UINT64_MAX: not running */
    uint64_t turn;
    struct coalesce coalesce;
    uint64_t wall_offset;                             /* wall clock - loop clock */
    struct worker_link all, ready, watched, answered; /* heads of rings */
    struct sender *sender;                            /* or NULL: then none is ever answered */
    unsigned answers;                                 /* connections that came to be answered since the last sending */
    const struct config *config;
    struct strobe_resp_options resp_options;
    struct strobe_out_pool pool;
    struct resp_batch *batch;
    char *read_buffer;
    ptrdiff_t uncharged;
    uint64_t date_turn; /* when the clock was looked at for the date */
    time_t date_second;
    char date[STROBE_HTTP_DATE_LEN];
    bool stopping, stopped, has_run;
    uint64_t stop_at;

    uv_mutex_t lock;                        /* of the inbox */
    struct worker_link inbox;               /* connections handed over */
    _Atomic unsigned asked;                 /* ASK_ bits; the wake-up that follows makes them seen */
    _Atomic unsigned connections, refusals; /* relaxed: for choosing a worker, and max-clients */
    _Atomic size_t largest;                 /* relaxed: a hint for shed */
};

/* ---- rings ---------------------------------------------------------------------------------- */

static void ring_init(struct worker_link *head) {
    head->next = head->previous = head;
    head->conn = NULL;
}

static bool ring_empty(const struct worker_link *head) {
    return head->next == head;
}

static void ring_add(struct worker_link *head, struct worker_link *link, struct conn *conn) {
    link->conn = conn;
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

static void ring_remove(struct worker_link *link) {
    if (link->next == NULL) return;
    link->next->previous = link->previous;
    link->previous->next = link->next;
    link->next = link->previous = NULL;
}

static struct conn *ring_pop(struct worker_link *head) {
    struct conn *conn = head->next->conn;

    if (conn != NULL) ring_remove(head->next);
    return conn;
}

/* Moves all of FROM to TO, which is empty. */
static void ring_move(struct worker_link *to, struct worker_link *from) {
    ring_init(to);
    if (ring_empty(from)) return;
    to->next = from->next;
    to->previous = from->previous;
    to->next->previous = to->previous->next = to;
    ring_init(from);
}

/* ---- looks ---------------------------------------------------------------------------------- */

struct strobe_map *worker_map(const struct worker *worker) {
    return worker->map;
}

struct services *worker_services(const struct worker *worker) {
    return worker->services;
}

struct metrics_slot *worker_metrics(const struct worker *worker) {
    return worker->metrics;
}

struct latency_slot *worker_latency(const struct worker *worker) {
    return worker->latency;
}

struct log *worker_log(const struct worker *worker) {
    return worker->log;
}

unsigned worker_index(const struct worker *worker) {
    return worker->index;
}

const struct config *worker_config(const struct worker *worker) {
    return worker->config;
}

const struct strobe_resp_options *worker_resp_options(const struct worker *worker) {
    return &worker->resp_options;
}

struct resp_batch *worker_batch(const struct worker *worker) {
    return worker->batch;
}

uint64_t worker_now(const struct worker *worker) {
    return uv_now(&worker->loop);
}

uint64_t worker_wall(const struct worker *worker) {
    return worker->wall_offset + uv_now(&worker->loop);
}

uv_loop_t *worker_loop(struct worker *worker) {
    return &worker->loop;
}

bool worker_stopping(const struct worker *worker) {
    return worker->stopping;
}

uint64_t worker_turn(const struct worker *worker) {
    return worker->turn;
}

char *worker_read_buffer(struct worker *worker) {
    return worker->read_buffer;
}

struct strobe_out_pool *worker_out_pool(struct worker *worker) {
    return &worker->pool;
}

unsigned worker_connections(const struct worker *worker) {
    return atomic_load_explicit(&worker->connections, memory_order_relaxed);
}

unsigned worker_refusals(const struct worker *worker) {
    return atomic_load_explicit(&worker->refusals, memory_order_relaxed);
}

struct strobe_slice worker_http_date(struct worker *worker) {
    struct timespec now;

    if (worker->date_turn == worker->turn) return strobe_slice_make(worker->date, sizeof worker->date);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    worker->date_turn = worker->turn;
    if (now.tv_sec != worker->date_second) {
        worker->date_second = now.tv_sec;
        strobe_http_date(now.tv_sec, worker->date);
    }
    return strobe_slice_make(worker->date, sizeof worker->date);
}

/* ---- turns and timeouts --------------------------------------------------------------------- */

/* A signal ends it early, which does no harm. */
static void nap(struct worker *worker) {
    const struct timespec time = {.tv_nsec = COALESCE_NS};
    uint64_t begin = uv_hrtime();

    metrics_count(worker->metrics, METRICS_NAPS, 1);
    nanosleep(&time, NULL);
    coalesce_slept(&worker->coalesce, uv_now(&worker->loop), uv_hrtime() - begin);
}

static void on_prepare(uv_prepare_t *handle) {
    struct worker *worker = handle->data;

    worker->turn++;
    if (strobe_map_owes(worker->map)) services_maintain_map(worker->services); /* before the loop may sleep */
    if (coalesce_wanted(&worker->coalesce, uv_now(&worker->loop)) && ring_empty(&worker->ready)) nap(worker);
}

void worker_heard(struct worker *worker, size_t len, bool first) {
    coalesce_read(&worker->coalesce, len, first);
}

static void on_turns(uv_idle_t *handle) {
    struct worker *worker = handle->data;
    struct worker_link now;
    struct conn *conn;

    ring_move(&now, &worker->ready);
    while ((conn = ring_pop(&now)) != NULL) conn_turn(conn);
    if (ring_empty(&worker->ready)) uv_idle_stop(&worker->turns);
}

void worker_ready(struct worker *worker, struct conn *conn) {
    struct worker_links *links = conn_links(conn);

    if (links->ready.next != NULL) return;
    ring_add(&worker->ready, &links->ready, conn);
    uv_idle_start(&worker->turns, on_turns);
}

/* Offers what COUNT connections have to their sockets in one call. SENT[i]: bytes taken of number i, or an error. No
 * connection closes meanwhile: another thread could get its descriptor's number. */
static void send_together(struct worker *worker, struct conn *const conns[], unsigned count, int sent[]) {
    int results[SENDER_MAX];
    unsigned offered[SENDER_MAX], offers = 0;

    for (unsigned i = 0; i < count; i++) {
        struct strobe_slice bytes;
        int fd = conn_offer(conns[i], &bytes);
        sent[i] = 0;
        if (fd < 0) continue;
        sender_add(worker->sender, fd, bytes);
        offered[offers++] = i;
    }
    if (offers == 0) return;
    sender_go(worker->sender, results);
    for (unsigned i = 0; i < offers; i++) sent[offered[i]] = results[i];
}

/* Nothing is gained by the sender for one alone. */
static void send_replies(struct worker *worker) {
    struct conn *conns[SENDER_MAX], *conn;
    int sent[SENDER_MAX] = {0};
    unsigned count = 0;

    worker->answers = 0;
    while ((conn = ring_pop(&worker->answered)) != NULL) conns[count++] = conn;
    if (count > 1) send_together(worker, conns, count, sent);
    for (unsigned i = 0; i < count; i++) conn_sent(conns[i], sent[i]);
}

static void on_replies(uv_check_t *handle) {
    struct worker *worker = handle->data;

    if (worker->answers > 0) send_replies(worker);
}

bool worker_answered(struct worker *worker, struct conn *conn) {
    struct worker_links *links = conn_links(conn);

    if (worker->sender == NULL) return false;
    if (links->answered.next != NULL) return true;
    ring_add(&worker->answered, &links->answered, conn);
    if (++worker->answers == SENDER_MAX) send_replies(worker);
    return true;
}

static void on_timer(uv_timer_t *handle);

static void arm_timer(struct worker *worker, uint64_t deadline) {
    uint64_t now = uv_now(&worker->loop);
    uint64_t at = deadline < now + TIMER_GRAIN_MS ? now + TIMER_GRAIN_MS : deadline;

    if (at >= worker->timer_at) return;
    worker->timer_at = at;
    uv_timer_start(&worker->timer, on_timer, at - now, 0);
}

void worker_watch(struct worker *worker, struct conn *conn, uint64_t deadline) {
    struct worker_links *links = conn_links(conn);

    if (links->watched.next == NULL) ring_add(&worker->watched, &links->watched, conn);
    arm_timer(worker, deadline);
}

static void cut_all(struct worker *worker) {
    for (struct worker_link *link = worker->all.next; link != &worker->all; link = link->next) {
        conn_close(link->conn, CONN_REASON_SHUTDOWN);
    }
}

static void on_timer(uv_timer_t *handle) {
    struct worker *worker = handle->data;
    struct worker_link now;
    struct conn *conn;

    worker->timer_at = UINT64_MAX;
    ring_move(&now, &worker->watched);
    while ((conn = ring_pop(&now)) != NULL) conn_check(conn);
    if (!worker->stopping) return;
    if (uv_now(&worker->loop) >= worker->stop_at) {
        cut_all(worker);
    } else {
        arm_timer(worker, worker->stop_at);
    }
}

void worker_forget(struct worker *worker, struct conn *conn) {
    struct worker_links *links = conn_links(conn);

    (void)worker;
    ring_remove(&links->ready);
    ring_remove(&links->watched);
    ring_remove(&links->answered);
}

/* Any thread. */
static void ask(struct worker *worker, unsigned what) {
    atomic_fetch_or_explicit(&worker->asked, what, memory_order_release);
    uv_async_send(&worker->wake);
}

/* ---- the limit on all buffers --------------------------------------------------------------- */

/* Bytes of the largest connection as last looked at. Any thread; a hint. */
static size_t largest_of(const struct worker *worker) {
    return atomic_load_explicit(&worker->largest, memory_order_relaxed);
}

/* The connection that holds most, NULL when none holds anything. */
static struct conn *find_largest(struct worker *worker, size_t *size) {
    struct conn *largest = NULL;

    *size = 0;
    for (struct worker_link *link = worker->all.next; link != &worker->all; link = link->next) {
        size_t memory = conn_memory(link->conn);
        if (memory <= *size) continue;
        *size = memory;
        largest = link->conn;
    }
    return largest;
}

/* Another worker that says it has a larger connection than SIZE, or NULL. */
static struct worker *find_larger(const struct worker *worker, size_t size) {
    struct worker *found = NULL;

    for (unsigned i = 0; i < services_threads(worker->services); i++) {
        struct worker *other = services_worker(worker->services, i);
        if (other == worker || largest_of(other) <= size) continue;
        size = largest_of(other);
        found = other;
    }
    return found;
}

static void shed(struct worker *worker) {
    for (int i = 0; i < SHED_MAX && services_buffers(worker->services) > worker->config->max_buffers; i++) {
        size_t size;
        struct conn *largest = find_largest(worker, &size);
        atomic_store_explicit(&worker->largest, size, memory_order_relaxed);
        struct worker *other = find_larger(worker, size);
        if (other != NULL) {
            ask(other, ASK_SHED); /* closes its own if the limit is still passed then */
            return;
        }
        if (largest == NULL) return;
        conn_close(largest, CONN_REASON_BUFFER_LIMIT);
        services_buffers_add(worker->services, worker->uncharged);
        worker->uncharged = 0;
    }
}

void worker_charge(struct worker *worker, size_t before, size_t after) {
    worker->uncharged += (ptrdiff_t)after - (ptrdiff_t)before;
    if (after > largest_of(worker)) atomic_store_explicit(&worker->largest, after, memory_order_relaxed);
    if (worker->uncharged < CHARGE_GRAIN && worker->uncharged > -CHARGE_GRAIN) return;

    bool grew = worker->uncharged > 0;
    size_t sum = services_buffers_add(worker->services, worker->uncharged);
    worker->uncharged = 0;
    if (grew && sum > worker->config->max_buffers) shed(worker);
}

/* ---- connections come and go ---------------------------------------------------------------- */

static void end_if_empty(struct worker *worker) {
    if (!worker->stopping || worker->stopped || !ring_empty(&worker->all)) return;
    worker->stopped = true;
    uv_close((uv_handle_t *)&worker->wake, NULL);
    uv_close((uv_handle_t *)&worker->turns, NULL);
    uv_close((uv_handle_t *)&worker->counter, NULL);
    uv_close((uv_handle_t *)&worker->replies, NULL);
    uv_close((uv_handle_t *)&worker->timer, NULL);
}

void worker_add(struct worker *worker, struct conn *conn) {
    ring_add(&worker->all, &conn_links(conn)->all, conn);
}

void worker_remove(struct worker *worker, struct conn *conn) {
    ring_remove(&conn_links(conn)->all);
    worker_forget(worker, conn);
    atomic_fetch_sub_explicit(conn_refused(conn) ? &worker->refusals : &worker->connections, 1, memory_order_relaxed);
    end_if_empty(worker);
}

void worker_hand(struct worker *worker, struct conn *conn) {
    atomic_fetch_add_explicit(conn_refused(conn) ? &worker->refusals : &worker->connections, 1, memory_order_relaxed);
    uv_mutex_lock(&worker->lock);
    ring_add(&worker->inbox, &conn_links(conn)->all, conn);
    uv_mutex_unlock(&worker->lock);
    uv_async_send(&worker->wake);
}

void worker_stop(struct worker *worker) {
    ask(worker, ASK_STOP);
}

void worker_call(struct worker *worker) {
    ask(worker, ASK_ROLL);
}

void worker_wake(struct worker *worker) {
    ask(worker, ASK_WAKE);
}

void worker_deliver(struct worker *worker) {
    ask(worker, ASK_DELIVER);
}

/* Does ACT to each connection. It may close it, which takes it off the list later. */
static void for_all(struct worker *worker, void (*act)(struct conn *conn)) {
    for (struct worker_link *link = worker->all.next; link != &worker->all; link = link->next) act(link->conn);
}

static void take_config(struct worker *worker) {
    const struct config *config = services_config(worker->services);

    if (config == worker->config) return;
    worker->config = config;
    worker->resp_options.max_value = worker->config->max_value;
    worker->resp_options.max_request = worker->config->max_request;
    for_all(worker, conn_check);
}

static void begin_stop(struct worker *worker) {
    if (worker->stopping) return;
    worker->stopping = true;
    worker->stop_at = uv_now(&worker->loop) + STOP_MS;
    arm_timer(worker, worker->stop_at);
    for_all(worker, conn_stop);
    end_if_empty(worker);
}

/* The number is taken first: a call that begins in the middle of this is answered by the next. */
static void answer_roll(struct worker *worker) {
    uint64_t number = services_latest_call(worker->services);

    take_config(worker);
    for_all(worker, conn_obey);
    services_answer_roll(worker->services, worker->index, number);
}

/* uv_async coalesces: one call stands for all that was asked before it. What was done before that is answered first:
 * it may be asked to close connections. */
static void on_wake(uv_async_t *handle) {
    struct worker *worker = handle->data;
    /* Acquire: pairs with the release in ask(), so that what was written before asking is seen. */
    unsigned asked = atomic_exchange_explicit(&worker->asked, 0, memory_order_acquire);
    struct worker_link handed;
    struct conn *conn;

    send_replies(worker);
    uv_mutex_lock(&worker->lock);
    ring_move(&handed, &worker->inbox);
    uv_mutex_unlock(&worker->lock);
    if ((asked & ASK_ROLL) != 0) answer_roll(worker);
    while ((conn = ring_pop(&handed)) != NULL) conn_start(conn);
    if ((asked & ASK_SHED) != 0) shed(worker);
    if ((asked & ASK_DELIVER) != 0) monitors_deliver(services_monitors(worker->services), worker->index);
    if ((asked & ASK_WAKE) != 0) for_all(worker, conn_wake);
    if ((asked & ASK_STOP) != 0) begin_stop(worker);
}

/* ---- life ----------------------------------------------------------------------------------- */

static bool open_handles(struct worker *worker) {
    if (uv_async_init(&worker->loop, &worker->wake, on_wake) != 0) return false;
    uv_idle_init(&worker->loop, &worker->turns);
    uv_prepare_init(&worker->loop, &worker->counter);
    uv_check_init(&worker->loop, &worker->replies);
    uv_timer_init(&worker->loop, &worker->timer);
    uv_prepare_start(&worker->counter, on_prepare);
    uv_check_start(&worker->replies, on_replies);
    worker->wake.data = worker->turns.data = worker->counter.data = worker->timer.data = worker;
    worker->replies.data = worker;
    return true;
}

struct worker *worker_new(const struct worker_options *options) {
    struct worker *worker = calloc(1, sizeof *worker);

    if (worker == NULL) return NULL;
    worker->services = options->services;
    worker->index = options->index;
    worker->map = services_map(options->services);
    worker->metrics = metrics_slot(services_metrics(options->services), options->index);
    worker->latency = latency_slot(services_latency(options->services), options->index);
    worker->log = services_log(options->services);
    worker->timer_at = worker->date_turn = UINT64_MAX;
    ring_init(&worker->all);
    ring_init(&worker->ready);
    ring_init(&worker->watched);
    ring_init(&worker->answered);
    ring_init(&worker->inbox);
    worker->sender = sender_new();
    if (worker->sender == NULL && worker->index == 0) {
        log_info(worker->log, "worker", "no io_uring here: replies are sent one by one, which costs more");
    }
    strobe_out_pool_init(&worker->pool, STROBE_OUT_POOL_MAX);
    worker->read_buffer = malloc(WORKER_HEADROOM + STROBE_READ_SIZE);
    worker->batch = resp_batch_new();
    if (worker->read_buffer == NULL || worker->batch == NULL || uv_mutex_init(&worker->lock) != 0) goto no_lock;
    if (uv_loop_init(&worker->loop) != 0) goto no_loop;
    if (!open_handles(worker)) goto no_handles;
    take_config(worker);
    return worker;

no_handles:
    uv_loop_close(&worker->loop);
no_loop:
    uv_mutex_destroy(&worker->lock);
no_lock:
    sender_free(worker->sender);
    resp_batch_free(worker->batch);
    free(worker->read_buffer);
    free(worker);
    return NULL;
}

void worker_free(struct worker *worker) {
    if (worker == NULL) return;
    if (!worker->has_run) { /* the server did not get as far as running it */
        worker->stopping = true;
        end_if_empty(worker);
        uv_run(&worker->loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&worker->loop);
    uv_mutex_destroy(&worker->lock);
    sender_free(worker->sender);
    resp_batch_free(worker->batch);
    strobe_out_pool_fini(&worker->pool);
    free(worker->read_buffer);
    free(worker);
}

void worker_run(struct worker *worker) {
    worker->has_run = true;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* of nanoseconds, where 50 us are usual: for nap() */
    uv_update_time(&worker->loop);
    worker->wall_offset = clock_wall_ms() - uv_now(&worker->loop);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
}

static void run_thread(void *argument) {
    struct worker *worker = argument;
    memory_prepare_thread();
    uv_sem_post(&worker->prepared);
    worker_run(worker);
}

bool worker_start(struct worker *worker) {
    if (uv_sem_init(&worker->prepared, 0) != 0) return false;
    bool started = uv_thread_create(&worker->thread, run_thread, worker) == 0;
    if (started) uv_sem_wait(&worker->prepared);
    uv_sem_destroy(&worker->prepared);
    return started;
}

void worker_join(struct worker *worker) {
    uv_thread_join(&worker->thread);
}

/* exec.c - runs the commands of a transaction at one instant.
 *
 *     prepare  enter all shards of all keys  [open snapshots]  watched?  run run ... run  leave  free  run those AFTER
 *              |<------------------------ one access, one instant ---------------------->|
 *
 * The commands run one after the other inside a single access, which they find in their call: for all others, for every
 * snapshot and for each other they happen at once. Only the shards of the queued and watched keys are held, or all of
 * them when a command works on the whole map (COMMAND_WHOLE: DBSIZE, RANDOMKEY, FLUSHALL).
 *
 * Commands that may take long, or that ask for locks other than the shards' (COMMAND_AFTER: SCAN, KEYS, INFO, CLIENT
 * LIST...) run when the locks are left. Their place in the reply is kept: what the others write behind it goes aside
 * until then. They do not see the map's keys, but for SCAN 0 and KEYS, which read a snapshot that was opened when all
 * locks were held and nothing was done yet: they show the state before EXEC's first change, as of its instant. KEYS may
 * go on as a job, and then EXEC is one.
 *
 *     part 0        | part 1: KEYS  aside | part 2: SCAN  aside |
 *     to the reply    afterwards  spliced    afterwards  spliced
 *
 * What the commands take out of the map is freed when the locks are left, but for what is beyond BURIED_MAX: a short
 * request could have it hold any number of old values. Values of 16 KiB and more wait for EXEC as blobs, so they are
 * shared and not copied. SETRANGE and APPEND may copy inside. A row of them copies once: what the one made is changed
 * in place by the next, since nobody else can have seen it (OWN). Of what is copied all the same, in turn with a COPY
 * say, there is no more than max-buffers leaves room for.
 *
 * On failure: what EXEC needs for itself (parts, snapshots, empty tables) comes before the first change; without memory
 * for it nothing happens, or the one command fails that needs it. A command that fails writes its error, and the others
 * go on, as Redis has it. Not here: queueing and watching (transaction.c). */
#include "server/exec.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/limits.h"
#include "server/attention.h"
#include "server/clients.h"
#include "server/config.h"
#include "server/monitors.h"
#include "server/scans.h"
#include "server/services.h"
#include "server/session.h"
#include "server/transaction.h"

enum {
    GRAVES_AT_FIRST = 64,
    BURIED_MAX = 16 << 20, /* bytes of values that wait to be freed */
    OPEN_TRIES = 4,        /* scans closed to make room for a snapshot */
    PREFETCHED = 128       /* keys asked for before the locks are taken: more would push each other out of the cache */
};

/* A command that runs after the locks, and the replies of those between it and the next such one. */
struct part {
    const struct queued *queued;
    struct strobe_snapshot *snapshot; /* owned until the command takes it */
    enum strobe_status opened;        /* why there is none */
    enum strobe_resp_version resp;    /* what its reply is written in: HELLO may stand among the others */
    struct strobe_reply_aside replies;
};

struct exec {
    struct command_job job;   /* first, so that a job is an exec */
    struct command_call call; /* what each command's call begins as */
    struct transaction *transaction;
    const struct queued *now; /* the command that runs */
    struct strobe_access access;
    struct strobe_entry **graves; /* entries to be freed; FEW_GRAVES or owned */
    size_t graves_count, graves_capacity;
    struct strobe_entry *few_graves[GRAVES_AT_FIRST];
    size_t buried;           /* bytes of their values */
    size_t copied;           /* by exec_may_copy */
    struct strobe_blob *own; /* owned: a share of what exec_own was told; NULL: the last command told nothing */
    bool is_told;            /* by the command that runs */
    struct strobe_garbage *garbage[STROBE_TRANSACTION_FLUSHES_MAX];
    size_t flushes;                  /* how many of them were given out */
    struct command_job *under_way;   /* owned: of part NEXT - 1 */
    size_t parts_count, begun, next; /* parts whose replies were begun; the part that comes */
    struct part parts[];
};

/* ---- what commands ask for ------------------------------------------------------------------------------ */

struct strobe_blob *exec_blob(const struct exec *exec, size_t i) {
    return exec->now->blobs != NULL ? exec->now->blobs[i] : NULL;
}

void exec_bury(struct exec *exec, struct strobe_entry *entry) {
    size_t len;
    if (entry == NULL) return;
    (void)strobe_entry_value(entry, &len);
    if (len > BURIED_MAX - exec->buried) {
        strobe_entry_free(exec->call.map, entry);
        return;
    }
    if (exec->graves_count == exec->graves_capacity) {
        struct strobe_entry **few = exec->few_graves, **old = exec->graves == few ? NULL : exec->graves;
        struct strobe_entry **more = realloc(old, 2 * exec->graves_capacity * sizeof(struct strobe_entry *));
        if (more == NULL) {
            strobe_entry_free(exec->call.map, entry); /* right here: others wait, but nobody needs it any more */
            return;
        }
        if (old == NULL) memcpy(more, few, sizeof exec->few_graves);
        exec->graves = more;
        exec->graves_capacity *= 2;
    }
    exec->graves[exec->graves_count++] = entry;
    exec->buried += len;
}

bool exec_may_copy(struct exec *exec, size_t len) {
    size_t held = services_buffers(exec->call.services) + exec->copied;
    uint64_t most = services_config(exec->call.services)->max_buffers;
    if (exec->copied > 0 && (held > most || len > most - held)) return false;
    exec->copied += len;
    return true;
}

bool exec_owns(const struct exec *exec, const struct strobe_blob *blob) {
    return blob != NULL && exec->own == blob;
}

static void disown(struct exec *exec) {
    strobe_blob_release(exec->own);
    exec->own = NULL;
}

void exec_own(struct exec *exec, struct strobe_blob *blob) {
    exec->is_told = true;
    if (exec->own == blob) return;
    disown(exec);
    exec->own = strobe_blob_share(blob);
}

enum strobe_status exec_snapshot(struct exec *exec, struct strobe_snapshot **snapshot) {
    struct part *part = &exec->parts[exec->next - 1];
    *snapshot = part->snapshot;
    part->snapshot = NULL;
    return part->opened;
}

struct strobe_garbage *exec_garbage(struct exec *exec) {
    return exec->garbage[exec->flushes++];
}

/* ---- before and after ----------------------------------------------------------------------------------- */

static struct exec *exec_new(const struct command_call *call, struct transaction *transaction) {
    struct exec *exec = calloc(1, sizeof *exec + transaction->after * sizeof exec->parts[0]);
    if (exec == NULL) return NULL;
    exec->call = *call;
    exec->call.exec = exec;
    exec->call.large = NULL;
    exec->transaction = transaction;
    exec->graves = exec->few_graves;
    exec->graves_capacity = GRAVES_AT_FIRST;
    exec->parts_count = transaction->after;
    size_t i = 0;
    for (const struct queued *queued = transaction->first; queued != NULL; queued = queued->next) {
        if (queued->command->flags & COMMAND_AFTER) exec->parts[i++].queued = queued;
    }
    for (i = 0; i < transaction->flushes; i++) (void)strobe_flush_prepare(call->map, &exec->garbage[i]);
    return exec;
}

static void close_snapshot(void *snapshot) {
    strobe_snapshot_close(snapshot);
}

static void close_snapshots(struct exec *exec) {
    for (size_t i = 0; i < exec->parts_count; i++) {
        struct part *part = &exec->parts[i];
        if (part->snapshot != NULL) services_defer(exec->call.services, close_snapshot, part->snapshot);
        part->snapshot = NULL;
    }
}

static void free_garbage(void *garbage) {
    strobe_garbage_free(garbage);
}

/* Frees what was taken out of the map. */
static void free_dead(struct exec *exec) {
    for (size_t i = 0; i < exec->graves_count; i++) strobe_entry_free(exec->call.map, exec->graves[i]);
    if (exec->graves != exec->few_graves) free(exec->graves);
    exec->graves = exec->few_graves;
    exec->graves_count = 0;
    disown(exec);
    for (size_t i = 0; i < exec->transaction->flushes; i++) {
        if (exec->garbage[i] != NULL) services_defer(exec->call.services, free_garbage, exec->garbage[i]);
    }
}

/* The first part whose replies are still aside. */
static size_t first_aside(const struct exec *exec) {
    return exec->next - (exec->under_way != NULL);
}

static void exec_free(struct exec *exec) {
    size_t first = first_aside(exec);
    if (exec->under_way != NULL) exec->under_way->release(exec->under_way);
    close_snapshots(exec);
    for (size_t i = first; i < exec->begun; i++) strobe_reply_aside_drop(&exec->parts[i].replies);
    transaction_free(exec->transaction);
    free(exec);
}

/* ---- inside --------------------------------------------------------------------------------------------- */

/* One snapshot for each command that needs one, all of one instant. */
STROBE_INSIDE static enum strobe_status open_snapshots(struct exec *exec) {
    const struct strobe_snapshot *first = NULL;
    enum strobe_status status = STROBE_OK;
    for (size_t i = 0; i < exec->parts_count; i++) {
        struct part *part = &exec->parts[i];
        if (!(part->queued->command->flags & COMMAND_SNAPSHOT)) continue;
        if (status == STROBE_OK) {
            status = first == NULL ? strobe_snapshot_open_inside(&exec->access, false, &part->snapshot)
                                   : strobe_snapshot_twin(first, &part->snapshot);
        }
        part->opened = status;
        if (first == NULL) first = part->snapshot;
    }
    return status;
}

STROBE_ENTERS static void enter(struct exec *exec) {
    const struct transaction *transaction = exec->transaction;
    if (transaction->whole > 0) {
        strobe_enter_all(exec->call.map, &exec->access);
    } else {
        strobe_enter_many(exec->call.map, transaction->keys, transaction->keys_count, &exec->access);
    }
}

/* Enters all shards that are needed, with the snapshots. When there are too many open, scans are closed for them, which
 * is not possible inside; when that does not help, the commands that come without one will say so. */
STROBE_ENTERS static void enter_with_snapshots(struct exec *exec) {
    for (unsigned tries = 0;; tries++) {
        enter(exec);
        if (open_snapshots(exec) != STROBE_TOO_MANY || tries == OPEN_TRIES) return;
        strobe_leave(&exec->access);
        close_snapshots(exec);
        if (!scans_spare(services_scans(exec->call.services))) tries = OPEN_TRIES - 1;
    }
}

static enum command_outcome run_one(struct exec *exec, const struct queued *queued, struct strobe_access *access,
                                    struct command_job **job) {
    struct strobe_request request = {.args = (struct strobe_slice *)(uintptr_t)queued->words, .argc = queued->argc};
    struct command_call call = exec->call;
    call.request = &request;
    call.command = queued->command;
    call.key = queued->key;
    call.access = access;
    call.ran = false;
    exec->now = queued;
    exec->is_told = false;
    enum command_outcome outcome = command_execute(&call);
    if (!exec->is_told) disown(exec);
    *job = call.job;
    return outcome;
}

STROBE_INSIDE static void run_all(struct exec *exec) {
    struct strobe_reply *reply = exec->call.reply;
    struct part *part = NULL;
    struct command_job *job;
    size_t aside = 0; /* bytes of the replies that were put aside: together they are no more than the chain may have */
    strobe_reply_array(reply, exec->transaction->commands);
    for (const struct queued *queued = exec->transaction->first; queued != NULL; queued = queued->next) {
        if (!(queued->command->flags & COMMAND_AFTER)) {
            (void)run_one(exec, queued, &exec->access, &job);
            assert(job == NULL);
            continue;
        }
        if (part != NULL) {
            aside += strobe_out_pending(&part->replies.out);
            strobe_reply_aside_end(reply, &part->replies);
        }
        part = &exec->parts[exec->begun++];
        part->resp = exec->call.session->resp;
        strobe_reply_aside_begin(reply, &part->replies);
        part->replies.out.max -= aside < part->replies.out.max ? aside : part->replies.out.max;
    }
    if (part != NULL) strobe_reply_aside_end(reply, &part->replies);
}

/* ---- after the locks ------------------------------------------------------------------------------------ */

/* The command of the last part is done: what others wrote behind it follows. */
static void end_part(struct exec *exec, struct strobe_reply *reply) {
    strobe_reply_splice(reply, &exec->parts[exec->next - 1].replies);
}

/* Runs the command of the next part. false: it goes on as a job. */
static bool run_part(struct exec *exec, struct strobe_reply *reply) {
    struct session *session = exec->call.session;
    struct part *part = &exec->parts[exec->next++];
    enum strobe_resp_version resp = session->resp;
    struct command_job *job = NULL;
    session_set_resp(session, reply, part->resp);
    enum command_outcome outcome = run_one(exec, part->queued, NULL, &job);
    session_set_resp(session, reply, resp);
    if (outcome == COMMAND_LATER) {
        exec->under_way = job;
        return false;
    }
    end_part(exec, reply);
    return true;
}

static enum command_slice exec_slice(struct command_job *job, struct strobe_reply *reply) {
    struct exec *exec = (struct exec *)job;
    if (exec->under_way != NULL) {
        enum command_slice slice = exec->under_way->slice(exec->under_way, reply);
        if (slice != COMMAND_SLICE_DONE) return slice;
        exec->under_way->release(exec->under_way);
        exec->under_way = NULL;
        end_part(exec, reply);
    } else if (exec->next < exec->parts_count) {
        (void)run_part(exec, reply);
    }
    return exec->under_way == NULL && exec->next == exec->parts_count ? COMMAND_SLICE_DONE : COMMAND_SLICE_MORE;
}

static void exec_release(struct command_job *job) {
    exec_free((struct exec *)job);
}

/* Bytes held until the job ends. */
static size_t memory_of(const struct exec *exec) {
    size_t memory = sizeof *exec + exec->parts_count * sizeof exec->parts[0] + exec->transaction->memory;
    for (size_t i = first_aside(exec); i < exec->begun; i++) memory += strobe_out_memory(&exec->parts[i].replies.out);
    return memory;
}

/* Runs what comes after the locks; from the first long one on as a job. */
static enum command_outcome finish(struct exec *exec, struct command_call *call) {
    bool goes_on = true;
    while (exec->next < exec->parts_count) {
        bool is_long = (exec->parts[exec->next].queued->command->flags & COMMAND_LONG) != 0;
        if (goes_on && strobe_out_pending(call->reply->out) < STROBE_REPLY_HIGH_WATER) {
            goes_on = run_part(exec, call->reply) && !is_long;
            if (exec->under_way == NULL) continue;
        }
        exec->job = (struct command_job){.slice = exec_slice, .release = exec_release, .memory = memory_of(exec)};
        call->job = &exec->job;
        return COMMAND_LATER;
    }
    exec_free(exec);
    return COMMAND_DONE;
}

/* Shows the commands to monitors, in their order and before EXEC itself. */
static void show_all(const struct exec *exec) {
    const struct command_call *call = &exec->call;
    struct session *session = call->session;
    if ((attention_now(services_attention(call->services)) & ATTENTION_MONITORS) == 0) return;
    for (const struct queued *queued = exec->transaction->first; queued != NULL; queued = queued->next) {
        monitors_show(services_monitors(call->services), session->client->loop,
                      (size_t)services_config(call->services)->max_reply_buffer, session->client, queued->command,
                      queued->words, queued->argc);
    }
    session->shown = true;
}

enum command_outcome exec_run(struct command_call *call, struct transaction *transaction) {
    struct exec *exec = exec_new(call, transaction);
    if (exec == NULL) {
        transaction_free(transaction);
        command_error_status(call, STROBE_NO_MEMORY);
        return COMMAND_DONE;
    }
    size_t keys = transaction->keys_count < PREFETCHED ? transaction->keys_count : PREFETCHED;
    strobe_prefetch(call->map, transaction->keys, keys);
    enter_with_snapshots(exec);
    bool broken = transaction_is_broken(transaction, &exec->access);
    if (!broken) run_all(exec);
    if (exec->access.slept != 0) metrics_count(call->metrics, METRICS_LOCK_WAIT_NS, exec->access.slept);
    strobe_leave(&exec->access);
    free_dead(exec);
    if (!broken) {
        show_all(exec);
        return finish(exec, call);
    }
    strobe_reply_null_array(call->reply);
    exec_free(exec);
    return COMMAND_DONE;
}

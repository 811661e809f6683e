/* cmd_memory.c - OBJECT and MEMORY: what a key takes, what the process takes, and what to do about it.
 *
 * A value has no encoding here: OBJECT ENCODING tells the one that Redis would give it when it is SET. What is not
 * tracked is refused in Redis's words rather than invented. Sizes are the allocator's: the bytes of a block, not those
 * that were asked for. MEMORY PURGE is done by another thread, since giving back gigabytes takes long; its connection
 * waits as a job that looks whether it is done. */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "protocol/number.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/memory.h"
#include "server/services.h"
#include "server/text.h"

typedef unsigned long long ull;

enum { EMBEDDED_MAX = 44 /* bytes of a value that Redis keeps in one block with its head */ };

/* ---- OBJECT --------------------------------------------------------------------------------------------- */

static const char *encoding_of(struct strobe_slice value) {
    int64_t number;
    if (value.len <= EMBEDDED_MAX && strobe_number_parse_int64(value, &number)) return "int";
    return value.len <= EMBEDDED_MAX ? "embstr" : "raw";
}

enum command_outcome cmd_object_encoding(struct command_call *call) {
    const char *encoding = NULL;
    struct strobe_key key;
    if (command_key(call, 2, &key)) {
        struct strobe_access own, *access = command_enter(call, &key, &own);
        const struct strobe_entry *entry = strobe_find(access, &key);
        struct strobe_slice value;
        if (entry != NULL) {
            value.data = strobe_entry_value(entry, &value.len);
            encoding = encoding_of(value);
        }
        command_leave(call, access);
    }
    if (encoding == NULL) {
        strobe_reply_null(call->reply);
    } else {
        strobe_reply_bulk(call->reply, strobe_slice_make(encoding, strlen(encoding)));
    }
    return COMMAND_DONE;
}

/* Bytes that the allocator gave for the entry of word 2; 0: there is no such key. */
static uint64_t memory_of(const struct command_call *call) {
    uint64_t bytes = 0;
    struct strobe_key key;
    if (!command_key(call, 2, &key)) return 0;
    struct strobe_access own, *access = command_enter(call, &key, &own);
    const struct strobe_entry *entry = strobe_find(access, &key);
    if (entry != NULL) {
        const struct strobe_blob *blob = strobe_entry_blob(entry);
        size_t apart = blob != NULL ? strobe_blob_memory(blob) : 0;
        bytes = memory_block(strobe_entry_memory(entry) - apart) + (apart > 0 ? memory_block(apart) : 0);
    }
    command_leave(call, access);
    return bytes;
}

/* Refuses what is not tracked, in the words of WHY; without the key there is nothing to refuse. */
static enum command_outcome refuse_untracked(struct command_call *call, const char *why) {
    if (memory_of(call) == 0) {
        strobe_reply_null(call->reply);
    } else {
        strobe_reply_error(call->reply, "ERR", why);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_object_freq(struct command_call *call) {
    return refuse_untracked(call, "An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
                                  "that when switching between policies at runtime LRU and LFU data will take some "
                                  "time to adjust.");
}

enum command_outcome cmd_object_idletime(struct command_call *call) {
    return refuse_untracked(call, "An LRU maxmemory policy is not selected, idle time not tracked.");
}

enum command_outcome cmd_object_refcount(struct command_call *call) {
    if (memory_of(call) == 0) {
        strobe_reply_null(call->reply);
    } else {
        strobe_reply_integer(call->reply, 1);
    }
    return COMMAND_DONE;
}

/* ---- MEMORY USAGE --------------------------------------------------------------------------------------- */

enum command_outcome cmd_memory_usage(struct command_call *call) {
    for (size_t i = 3; i < command_argc(call); i += 2) {
        int64_t samples = -1;
        if (command_is(call, i, "SAMPLES") && i + 1 < command_argc(call) && !command_integer(call, i + 1, &samples)) {
            return COMMAND_DONE;
        }
        if (samples < 0) {
            command_error_syntax(call);
            return COMMAND_DONE;
        }
    }
    uint64_t bytes = memory_of(call);
    if (bytes == 0) {
        strobe_reply_null(call->reply);
    } else {
        strobe_reply_integer(call->reply, (int64_t)bytes);
    }
    return COMMAND_DONE;
}

/* ---- MEMORY STATS --------------------------------------------------------------------------------------- */

struct picture {
    struct memory_figures memory;
    struct strobe_stats map;
    uint64_t used, peak, startup, buffers;
};

static void take_picture(const struct command_call *call, struct picture *picture) {
    struct rusage usage;
    memory_figures(&picture->memory);
    strobe_map_stats(call->map, &picture->map);
    picture->used = picture->memory.allocated != 0 ? picture->memory.allocated : picture->memory.resident;
    picture->peak = getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
    if (picture->peak < picture->used) picture->peak = picture->used;
    picture->startup = services_startup_memory(call->services);
    picture->buffers = services_buffers(call->services);
}

static void add_bytes(struct strobe_reply *reply, const char *name, uint64_t bytes) {
    strobe_reply_bulk(reply, strobe_slice_make(name, strlen(name)));
    strobe_reply_integer(reply, (int64_t)bytes);
}

static void add_ratio(struct strobe_reply *reply, const char *name, double part, double whole) {
    strobe_reply_bulk(reply, strobe_slice_make(name, strlen(name)));
    strobe_reply_real(reply, whole == 0 ? 0 : part / whole);
}

/* How far A is beyond B, as a ratio and in bytes: two pairs. */
static void add_beyond(struct strobe_reply *reply, const char *ratio, const char *bytes, uint64_t a, uint64_t b) {
    add_ratio(reply, ratio, (double)a, (double)b);
    add_bytes(reply, bytes, a - b); /* negative where B is larger, as Redis has it */
}

enum command_outcome cmd_memory_stats(struct command_call *call) {
    struct strobe_reply *reply = call->reply;
    struct picture picture;
    take_picture(call, &picture);
    const struct memory_figures *memory = &picture.memory;
    uint64_t keys = picture.map.entries, data = picture.map.entry_bytes;
    uint64_t net = picture.used > picture.startup ? picture.used - picture.startup : 0;
    strobe_reply_map(reply, 25);
    add_bytes(reply, "peak.allocated", picture.peak);
    add_bytes(reply, "total.allocated", picture.used);
    add_bytes(reply, "startup.allocated", picture.startup);
    add_bytes(reply, "clients.normal", picture.buffers);
    strobe_reply_bulk(reply, STROBE_SLICE("db.0"));
    strobe_reply_map(reply, 2);
    add_bytes(reply, "overhead.hashtable.main", picture.map.segment_bytes);
    add_bytes(reply, "overhead.hashtable.expires", 0);
    add_bytes(reply, "overhead.total", picture.used > data ? picture.used - data : 0);
    add_bytes(reply, "keys.count", keys);
    add_bytes(reply, "keys.bytes-per-key", keys > 0 ? net / keys : 0);
    add_bytes(reply, "dataset.bytes", data);
    add_ratio(reply, "dataset.percentage", 100 * (double)data, (double)net);
    add_ratio(reply, "peak.percentage", 100 * (double)picture.used, (double)picture.peak);
    add_bytes(reply, "allocator.allocated", memory->allocated);
    add_bytes(reply, "allocator.active", memory->active);
    add_bytes(reply, "allocator.resident", memory->pages);
    add_bytes(reply, "allocator.retained", memory->retained);
    add_beyond(reply, "allocator-fragmentation.ratio", "allocator-fragmentation.bytes", memory->active,
               memory->allocated);
    add_beyond(reply, "allocator-rss.ratio", "allocator-rss.bytes", memory->pages, memory->active);
    add_beyond(reply, "rss-overhead.ratio", "rss-overhead.bytes", memory->resident, memory->pages);
    add_beyond(reply, "fragmentation", "fragmentation.bytes", memory->resident, picture.used);
    add_bytes(reply, "strobe.segments", picture.map.segment_bytes);
    add_bytes(reply, "strobe.scans", picture.map.snapshot_bytes);
    return COMMAND_DONE;
}

/* ---- MEMORY DOCTOR -------------------------------------------------------------------------------------- */

enum {
    SMALL = 5 << 20,           /* bytes: with less in use nothing can be told */
    RESIDENT_HIGH = 140,       /* percent of what is in use */
    RESIDENT_SLACK = 16 << 20, /* bytes beyond it that are never worth a word */
    LIMIT_NEAR = 75,           /* percent of a limit */
    MACHINE_NEAR = 85
};

static bool is_near(uint64_t figure, uint64_t limit, unsigned percent) {
    return (double)figure * 100 >= (double)limit * percent;
}

static double mib(uint64_t bytes) {
    return (double)bytes / (1 << 20);
}

/* A sentence for each thing that is not well; returns how many. */
static unsigned diagnose(const struct picture *picture, const struct config *config, struct text *text) {
    const struct memory_figures *memory = &picture->memory;
    uint64_t total = memory_total();
    unsigned found = 0;
    if (is_near(memory->resident, total, MACHINE_NEAR)) {
        text_addf(text,
                  "The process has %.1f MiB resident of the %.1f MiB that this machine or its cgroup allows; past "
                  "that the system ends it. Expire or delete keys (%llu of %llu expire), or run it with more "
                  "memory.\n",
                  mib(memory->resident), mib(total), (ull)picture->map.expiring, (ull)picture->map.entries);
        found++;
    }
    if (memory->resident > picture->used + RESIDENT_SLACK && is_near(memory->resident, picture->used, RESIDENT_HIGH)) {
        text_addf(text,
                  "%.1f MiB are resident, but only %.1f MiB in use (%.2f times): memory that was given back is "
                  "still with the process. It goes within seconds by itself; MEMORY PURGE returns it at once.\n",
                  mib(memory->resident), mib(picture->used), (double)memory->resident / (double)picture->used);
        found++;
    }
    if (is_near(picture->map.snapshot_bytes, config->scan_memory, LIMIT_NEAR)) {
        text_addf(text,
                  "%u open snapshots hold %.1f MiB of scan-memory = %.1f MiB; past that those idle longest are "
                  "closed. Read scans to their end, lower scan-idle-timeout (%llu s), or raise scan-memory.\n",
                  (unsigned)picture->map.snapshots, mib(picture->map.snapshot_bytes), mib(config->scan_memory),
                  (ull)config->scan_idle_timeout / 1000);
        found++;
    }
    if (is_near(picture->buffers, config->max_buffers, LIMIT_NEAR)) {
        text_addf(text,
                  "Connections hold %.1f MiB in buffers of max-buffers = %.1f MiB; past that the largest is "
                  "closed. CLIENT LIST shows whose they are (tot-mem); raise max-buffers, or lower "
                  "max-reply-buffer (%.1f MiB).\n",
                  mib(picture->buffers), mib(config->max_buffers), mib(config->max_reply_buffer));
        found++;
    }
    return found;
}

enum command_outcome cmd_memory_doctor(struct command_call *call) {
    struct picture picture;
    struct text text;
    take_picture(call, &picture);
    text_init(&text);
    if (picture.used < SMALL) {
        text_addf(&text, "Only %.1f MiB are in use, with %llu keys: too little to tell anything.\n", mib(picture.used),
                  (ull)picture.map.entries);
    } else if (diagnose(&picture, services_config(call->services), &text) == 0) {
        text_addf(&text,
                  "All is well: %llu keys in %.1f MiB, %.1f MiB in use, %.1f MiB resident, %.1f MiB held for "
                  "scans, %.1f MiB in buffers.\n",
                  (ull)picture.map.entries, mib(picture.map.entry_bytes), mib(picture.used),
                  mib(picture.memory.resident), mib(picture.map.snapshot_bytes), mib(picture.buffers));
    }
    return command_text(call, &text);
}

/* ---- MEMORY MALLOC-STATS, PURGE --------------------------------------------------------------------------- */

static void add_piece(void *context, const char *piece) {
    text_add(context, strobe_slice_make(piece, strlen(piece)));
}

enum command_outcome cmd_memory_malloc_stats(struct command_call *call) {
    struct text text;
    text_init(&text);
    if (!memory_report(add_piece, &text)) text_addf(&text, "Stats not supported for the current allocator");
    return command_text(call, &text);
}

/* Held by the job, and by the thread that purges. */
struct purge {
    struct command_job job;
    struct services *services;
    atomic_uint holders;
    atomic_bool done;
};

static void purge_release(struct purge *purge) {
    /* Acquire and release: the last holder's free comes after what the other did. */
    if (atomic_fetch_sub_explicit(&purge->holders, 1, memory_order_acq_rel) == 1) free(purge);
}

static void purge_run(void *argument) {
    struct purge *purge = argument;
    services_settle_memory(purge->services);
    memory_purge();
    atomic_store_explicit(&purge->done, true, memory_order_release);
    purge_release(purge);
}

static enum command_slice purge_slice(struct command_job *job, struct strobe_reply *reply) {
    struct purge *purge = (struct purge *)job;
    if (!atomic_load_explicit(&purge->done, memory_order_acquire)) return COMMAND_SLICE_MORE;
    strobe_reply_ok(reply);
    return COMMAND_SLICE_DONE;
}

static void purge_drop(struct command_job *job) {
    purge_release((struct purge *)job);
}

enum command_outcome cmd_memory_purge(struct command_call *call) {
    struct purge *purge = calloc(1, sizeof *purge);
    if (purge == NULL) {
        command_error_status(call, STROBE_NO_MEMORY);
        return COMMAND_DONE;
    }
    purge->job = (struct command_job){purge_slice, purge_drop, sizeof *purge};
    purge->services = call->services;
    atomic_init(&purge->holders, 2);
    atomic_init(&purge->done, false);
    memory_forget_cached();
    services_defer(call->services, purge_run, purge);
    call->job = &purge->job;
    return COMMAND_LATER;
}

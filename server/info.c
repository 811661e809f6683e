/* info.c - INFO: a list of sections, each a function that writes its fields.
 *
 * The names are Redis's where the thing is the same, and begin with strobe_ where only we have it. A
 * figure that we do not measure is left out rather than invented. */
#include "server/info.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "map/map.h"
#include "server/clients.h"
#include "server/clock.h"
#include "server/command.h"
#include "server/config.h"
#include "server/latency.h"
#include "server/memory.h"
#include "server/metrics.h"
#include "server/pause.h"
#include "server/scans.h"
#include "server/services.h"
#include "server/text.h"

/* What the sections are made from, looked up once. */
struct facts {
    struct services *services;
    struct metrics_sum sum;
    struct strobe_stats map;
    struct memory_figures memory;
};

typedef unsigned long long ull;

/* 40 hexadecimal digits that another process would not have. */
static void make_run_id(const struct facts *facts, char id[41]) {
    uint64_t state = metrics_start_ms(services_metrics(facts->services)) * 0x9e3779b97f4a7c15u + (uint64_t)getpid();
    for (int i = 0; i < 40; i++) {
        state = (state ^ state >> 29) * 0xbf58476d1ce4e5b9u;
        id[i] = "0123456789abcdef"[state >> 60];
    }
    id[40] = '\0';
}

/* A path may have any bytes but zeros; a field is one line. */
static void write_path(struct text *text, const char *name, const char *path) {
    text_addf(text, "%s:", name);
    for (; *path != '\0'; path++) {
        bool is_control = (unsigned char)*path < ' ' || *path == 0x7f;
        text_add(text, strobe_slice_make(is_control ? "?" : path, 1));
    }
    text_addf(text, "\r\n");
}

static void write_server(struct facts *facts, struct text *text) {
    struct services *services = facts->services;
    struct utsname name;
    struct timespec now;
    char run_id[41];
    make_run_id(facts, run_id);
    uint64_t now_ms = clock_wall_ms();
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t start_ms = metrics_start_ms(services_metrics(services));
    uint64_t up = now_ms > start_ms ? (now_ms - start_ms) / 1000 : 0;
    if (uname(&name) != 0) memset(&name, 0, sizeof name);
    text_addf(text, "redis_version:" INFO_REDIS_VERSION "\r\nstrobe_version:%s\r\n", services_version());
    text_addf(text, "redis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_mode:standalone\r\n");
    text_addf(text, "os:%s %s %s\r\narch_bits:%zu\r\nmultiplexing_api:libuv\r\n", name.sysname, name.release,
              name.machine, 8 * sizeof(void *));
    text_addf(text, "gcc_version:%d.%d.%d\r\n", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
    text_addf(text, "process_id:%ld\r\nrun_id:%s\r\ntcp_port:%u\r\n", (long)getpid(), run_id,
              (unsigned)services_port(services));
    text_addf(text, "server_time_usec:%llu\r\n", (ull)now.tv_sec * 1000000 + (ull)now.tv_nsec / 1000);
    text_addf(text, "uptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\n", (ull)up, (ull)up / 86400);
    write_path(text, "executable", services_executable(services));
    write_path(text, "config_file", services_config_path(services));
    text_addf(text, "strobe_threads:%u\r\n", services_threads(services));
}

static void write_clients(struct facts *facts, struct text *text) {
    text_addf(text, "connected_clients:%zu\r\n", clients_count(services_clients(facts->services)));
    text_addf(text, "cluster_connections:0\r\nmaxclients:%llu\r\n", (ull)services_clients_max(facts->services));
    text_addf(text, "blocked_clients:%zu\r\n", pause_waiting(services_pause(facts->services)));
    text_addf(text, "tracking_clients:0\r\nclients_in_timeout_table:0\r\n");
}

/* "1.23M", as Redis writes sizes for people. */
static void write_human(struct text *text, const char *name, uint64_t bytes) {
    static const char units[] = "BKMGTP";
    double size = (double)bytes;
    size_t unit = 0;
    while (size >= 1024 && units[unit + 1] != '\0') {
        size /= 1024;
        unit++;
    }
    text_addf(text, "%s:%llu\r\n", name, (ull)bytes);
    if (unit == 0) {
        text_addf(text, "%s_human:%lluB\r\n", name, (ull)bytes);
    } else {
        text_addf(text, "%s_human:%.2f%c\r\n", name, size, units[unit]);
    }
}

static void write_memory(struct facts *facts, struct text *text) {
    const struct memory_figures *memory = &facts->memory;
    struct rusage usage;
    uint64_t used = memory->allocated != 0 ? memory->allocated : memory->resident;
    uint64_t peak = getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : memory->resident;
    write_human(text, "used_memory", used);
    write_human(text, "used_memory_rss", memory->resident);
    write_human(text, "used_memory_peak", peak > used ? peak : used);
    text_addf(text, "used_memory_dataset:%llu\r\n", (ull)facts->map.entry_bytes);
    write_human(text, "total_system_memory", memory_total());
    write_human(text, "maxmemory", 0);
    text_addf(text, "maxmemory_policy:noeviction\r\n");
    text_addf(text, "allocator_allocated:%llu\r\nallocator_active:%llu\r\n", (ull)memory->allocated,
              (ull)memory->active);
    text_addf(text, "allocator_resident:%llu\r\n", (ull)memory->resident);
    text_addf(text, "mem_fragmentation_ratio:%.2f\r\n", used == 0 ? 0 : (double)memory->resident / (double)used);
    text_addf(text, "mem_fragmentation_bytes:%lld\r\n", (long long)memory->resident - (long long)used);
    text_addf(text, "mem_clients_normal:%zu\r\nmem_allocator:%s\r\n", services_buffers(facts->services),
              memory_allocator_name());
    text_addf(text, "strobe_entry_bytes:%llu\r\nstrobe_segment_bytes:%llu\r\nstrobe_scan_bytes:%llu\r\n",
              (ull)facts->map.entry_bytes, (ull)facts->map.segment_bytes, (ull)facts->map.snapshot_bytes);
}

static void write_persistence(struct facts *facts, struct text *text) {
    (void)facts;
    text_addf(text, "loading:0\r\nasync_loading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:0\r\n");
    text_addf(text, "aof_rewrite_in_progress:0\r\n");
}

static void write_stats(struct facts *facts, struct text *text) {
    const struct metrics_sum *sum = &facts->sum;
    struct scans_stats scans;
    scans_stats(services_scans(facts->services), &scans);
    text_addf(text, "total_connections_received:%llu\r\n", (ull)metrics_total(sum->accepted, METRICS_DOORS));
    text_addf(
        text, "total_commands_processed:%llu\r\n",
        (ull)(metrics_total(sum->commands, METRICS_COMMANDS_MAX) + metrics_total(sum->http_requests, METRICS_METHODS)));
    text_addf(text, "total_net_input_bytes:%llu\r\n", (ull)sum->counters[METRICS_BYTES_IN]);
    text_addf(text, "total_net_output_bytes:%llu\r\n", (ull)sum->counters[METRICS_BYTES_OUT]);
    text_addf(text, "rejected_connections:%llu\r\n", (ull)sum->counters[METRICS_REFUSED_CLIENTS]);
    text_addf(text, "expired_keys:%llu\r\nevicted_keys:0\r\n", (ull)facts->map.expired);
    text_addf(text, "keyspace_hits:%llu\r\n", (ull)sum->counters[METRICS_HITS]);
    text_addf(text, "keyspace_misses:%llu\r\n", (ull)sum->counters[METRICS_MISSES]);
    text_addf(text, "pubsub_channels:0\r\npubsub_patterns:0\r\nlatest_fork_usec:0\r\ntotal_forks:0\r\n");
    text_addf(text, "total_error_replies:%llu\r\n",
              (ull)(metrics_total(sum->commands_failed, METRICS_COMMANDS_MAX) +
                    metrics_total(sum->commands_rejected, METRICS_COMMANDS_MAX) +
                    sum->counters[METRICS_UNKNOWN_COMMANDS]));
    text_addf(text, "total_reads_processed:%llu\r\n", (ull)sum->counters[METRICS_READS]);
    text_addf(text, "total_writes_processed:%llu\r\n", (ull)sum->counters[METRICS_WRITES]);
    text_addf(text, "strobe_scans_open:%llu\r\nstrobe_scans_finished:%llu\r\n", (ull)scans.open, (ull)scans.finished);
    text_addf(text, "strobe_scans_opened:%llu\r\nstrobe_scans_expired:%llu\r\nstrobe_scans_evicted:%llu\r\n",
              (ull)scans.opened, (ull)scans.expired, (ull)scans.evicted);
    text_addf(text, "strobe_lock_waits:%llu\r\nstrobe_segments:%llu\r\nstrobe_splits:%llu\r\nstrobe_merges:%llu\r\n",
              (ull)facts->map.lock_waits, (ull)facts->map.segments, (ull)facts->map.splits, (ull)facts->map.merges);
}

static void write_replication(struct facts *facts, struct text *text) {
    char run_id[41];
    make_run_id(facts, run_id);
    text_addf(text, "role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n");
    text_addf(text, "master_replid:%s\r\nmaster_replid2:0000000000000000000000000000000000000000\r\n", run_id);
    text_addf(text, "master_repl_offset:0\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:0\r\n");
}

static void write_cpu(struct facts *facts, struct text *text) {
    struct rusage usage;
    (void)facts;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    text_addf(text, "used_cpu_sys:%ld.%06ld\r\n", (long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec);
    text_addf(text, "used_cpu_user:%ld.%06ld\r\n", (long)usage.ru_utime.tv_sec, (long)usage.ru_utime.tv_usec);
}

/* The time is that of the calls in the histogram: not of those within EXEC, which has their time, or POST /batch. */
static void write_commandstats(struct facts *facts, struct text *text) {
    struct latency *latency = services_latency(facts->services);
    const struct metrics_sum *sum = &facts->sum;
    uint64_t counts[LATENCY_BUCKETS];
    for (unsigned i = 0; i < command_count(); i++) {
        if (sum->commands[i] == 0 && sum->commands_rejected[i] == 0) continue;
        uint64_t ns = latency_time(latency, i), timed = latency_histogram(latency, i, counts);
        text_addf(text, "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu\r\n",
                  command_rows[i].name, (ull)sum->commands[i], (ull)ns / 1000,
                  timed == 0 ? 0 : (double)ns / 1000 / (double)timed, (ull)sum->commands_rejected[i],
                  (ull)sum->commands_failed[i]);
    }
}

static void write_cluster(struct facts *facts, struct text *text) {
    (void)facts;
    text_addf(text, "cluster_enabled:0\r\n");
}

static void write_keyspace(struct facts *facts, struct text *text) {
    if (facts->map.entries == 0) return;
    text_addf(text, "db0:keys=%llu,expires=%llu,avg_ttl=0\r\n", (ull)facts->map.entries, (ull)facts->map.expiring);
}

static const struct section {
    const char *name, *title;
    void (*write)(struct facts *facts, struct text *text);
    bool by_default;
} sections[] = {
    {"server", "Server", write_server, true},
    {"clients", "Clients", write_clients, true},
    {"memory", "Memory", write_memory, true},
    {"persistence", "Persistence", write_persistence, true},
    {"stats", "Stats", write_stats, true},
    {"replication", "Replication", write_replication, true},
    {"cpu", "CPU", write_cpu, true},
    {"commandstats", "Commandstats", write_commandstats, false},
    {"cluster", "Cluster", write_cluster, true},
    {"keyspace", "Keyspace", write_keyspace, true},
};

static bool is_word(struct strobe_slice word, const char *text) {
    return strobe_slice_equal_nocase(word, strobe_slice_make(text, strlen(text)));
}

static bool is_wanted(const struct section *section, const struct strobe_slice *words, size_t count) {
    if (count == 0) return section->by_default;
    for (size_t i = 0; i < count; i++) {
        if (is_word(words[i], section->name) || is_word(words[i], "all") || is_word(words[i], "everything"))
            return true;
        if (section->by_default && is_word(words[i], "default")) return true;
    }
    return false;
}

void info_reset(struct services *services) {
    struct strobe_stats map;
    strobe_map_stats(services_map(services), &map);
    metrics_reset(services_metrics(services), map.expired);
    latency_reset_histograms(services_latency(services));
}

void info_write(struct services *services, const struct strobe_slice *words, size_t count, struct text *text) {
    struct facts facts = {.services = services};
    bool first = true;
    strobe_map_stats(services_map(services), &facts.map);
    metrics_since_reset(services_metrics(services), &facts.sum, &facts.map.expired);
    memory_figures(&facts.memory);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (!is_wanted(&sections[i], words, count)) continue;
        text_addf(text, "%s# %s\r\n", first ? "" : "\r\n", sections[i].title);
        sections[i].write(&facts, text);
        first = false;
    }
}

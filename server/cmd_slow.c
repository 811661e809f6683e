/* cmd_slow.c - SLOWLOG and LATENCY: what was slow, and how long commands take. How it is timed: timing.c. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol/number.h"
#include "server/clock.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/latency.h"
#include "server/metrics.h"
#include "server/services.h"
#include "server/slowlog.h"
#include "server/text.h"

typedef unsigned long long ull;

enum { SLOWLOG_DEFAULT = 10 /* entries of SLOWLOG GET, as in Redis */ };

static struct strobe_slice slice_of(const char *text) {
    return strobe_slice_make(text, strlen(text));
}

/* ---- SLOWLOG -------------------------------------------------------------------------------------------- */

struct listing {
    struct strobe_reply *reply;
    bool phases;
};

static void begin_entries(void *context, size_t count) {
    struct listing *listing = context;
    strobe_reply_array(listing->reply, count);
}

static void write_phases(struct strobe_reply *reply, const struct slowlog_entry *entry) {
    strobe_reply_map(reply, SLOWLOG_PHASES + 1);
    for (unsigned i = 0; i < SLOWLOG_PHASES; i++) {
        strobe_reply_bulk(reply, slice_of(slowlog_phase_name((enum slowlog_phase)i)));
        if (entry->phases[i] == SLOWLOG_NOT_FLUSHED) {
            strobe_reply_null(reply);
        } else {
            strobe_reply_integer(reply, (int64_t)entry->phases[i]);
        }
    }
    strobe_reply_bulk(reply, STROBE_SLICE("commands"));
    strobe_reply_integer(reply, (int64_t)entry->commands);
}

static void write_entry(void *context, const struct slowlog_entry *entry) {
    struct listing *listing = context;
    struct strobe_reply *reply = listing->reply;
    strobe_reply_array(reply, listing->phases ? 7 : 6);
    strobe_reply_integer(reply, (int64_t)entry->id);
    strobe_reply_integer(reply, (int64_t)entry->time_s);
    strobe_reply_integer(reply, (int64_t)entry->duration_us);
    strobe_reply_array(reply, entry->argc);
    for (size_t i = 0; i < entry->argc; i++) strobe_reply_bulk(reply, entry->words[i]);
    strobe_reply_bulk(reply, slice_of(entry->peer));
    strobe_reply_bulk(reply, entry->name);
    if (listing->phases) write_phases(reply, entry);
}

enum command_outcome cmd_slowlog_get(struct command_call *call) {
    struct listing listing = {.reply = call->reply};
    size_t argc = command_argc(call);
    int64_t most = SLOWLOG_DEFAULT;
    listing.phases = argc > 2 && command_is(call, argc - 1, "PHASES");
    if (listing.phases) argc--;
    if (argc > 3) {
        strobe_reply_errorf(call->reply, "ERR",
                            "unknown subcommand or wrong number of arguments for '%.3s'. Try SLOWLOG HELP.",
                            command_arg(call, 1).data);
        return COMMAND_DONE;
    }
    if (argc == 3 && (!strobe_number_parse_int64(command_arg(call, 2), &most) || most < -1)) {
        strobe_reply_error(call->reply, "ERR", "count should be greater than or equal to -1");
        return COMMAND_DONE;
    }
    slowlog_visit(services_slowlog(call->services), most < 0 ? SIZE_MAX : (size_t)most, begin_entries, write_entry,
                  &listing);
    return COMMAND_DONE;
}

enum command_outcome cmd_slowlog_len(struct command_call *call) {
    strobe_reply_integer(call->reply, (int64_t)slowlog_len(services_slowlog(call->services)));
    return COMMAND_DONE;
}

enum command_outcome cmd_slowlog_reset(struct command_call *call) {
    slowlog_reset(services_slowlog(call->services));
    strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

/* ---- LATENCY HISTOGRAM ---------------------------------------------------------------------------------- */

/* Was ROW asked for, by its own name or its container's? */
static bool is_asked_for(const struct command_call *call, const struct command *row) {
    struct strobe_slice name = strobe_slice_make(row->name, row->name_len);
    if (command_argc(call) == 2) return true;
    for (size_t i = 2; i < command_argc(call); i++) {
        struct strobe_slice word = command_arg(call, i);
        if (strobe_slice_equal_nocase(name, word)) return true;
        if (word.len > 0 && word.len < name.len && name.data[word.len] == '|' &&
            strobe_slice_equal_nocase(strobe_slice_make(name.data, word.len), word)) {
            return true;
        }
    }
    return false;
}

static void write_histogram(struct strobe_reply *reply, const char *name, uint64_t calls,
                            const uint64_t counts[LATENCY_BUCKETS]) {
    uint64_t sum = 0;
    size_t used = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) used += counts[i] > 0;
    strobe_reply_bulk(reply, slice_of(name));
    strobe_reply_map(reply, 2);
    strobe_reply_bulk(reply, STROBE_SLICE("calls"));
    strobe_reply_integer(reply, (int64_t)calls);
    strobe_reply_bulk(reply, STROBE_SLICE("histogram_usec"));
    strobe_reply_map(reply, used);
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        if (counts[i] == 0) continue;
        sum += counts[i];
        strobe_reply_integer(reply, (int64_t)latency_bucket_us(i));
        strobe_reply_integer(reply, (int64_t)sum);
    }
}

enum command_outcome cmd_latency_histogram(struct command_call *call) {
    struct latency *latency = services_latency(call->services);
    struct strobe_reply_aside aside;
    size_t rows = 0;
    strobe_reply_aside_begin(call->reply, &aside);
    for (unsigned i = 0; i < command_count(); i++) {
        uint64_t counts[LATENCY_BUCKETS];
        if (!is_asked_for(call, &command_rows[i])) continue;
        uint64_t calls = latency_histogram(latency, i, counts);
        if (calls == 0) continue;
        write_histogram(call->reply, command_rows[i].name, calls, counts);
        rows++;
    }
    strobe_reply_aside_end(call->reply, &aside);
    strobe_reply_map(call->reply, rows);
    strobe_reply_splice(call->reply, &aside);
    return COMMAND_DONE;
}

/* ---- LATENCY's events ----------------------------------------------------------------------------------- */

static bool is_event(enum latency_event event, struct strobe_slice word) {
    return strobe_slice_equal(slice_of(latency_event_name(event)), word);
}

enum command_outcome cmd_latency_latest(struct command_call *call) {
    struct latency *latency = services_latency(call->services);
    struct latency_history history[LATENCY_EVENTS];
    size_t count = 0;
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        latency_history(latency, (enum latency_event)i, &history[i]);
        count += history[i].count > 0;
    }
    strobe_reply_array(call->reply, count);
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        if (history[i].count == 0) continue;
        const struct latency_sample *last = &history[i].samples[history[i].count - 1];
        strobe_reply_array(call->reply, 4);
        strobe_reply_bulk(call->reply, slice_of(latency_event_name((enum latency_event)i)));
        strobe_reply_integer(call->reply, (int64_t)last->time_s);
        strobe_reply_integer(call->reply, (int64_t)last->ms);
        strobe_reply_integer(call->reply, (int64_t)history[i].max_ms);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_latency_history(struct command_call *call) {
    struct latency_history history = {.count = 0};
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        if (!is_event((enum latency_event)i, command_arg(call, 2))) continue;
        latency_history(services_latency(call->services), (enum latency_event)i, &history);
    }
    strobe_reply_array(call->reply, history.count);
    for (size_t i = 0; i < history.count; i++) {
        strobe_reply_array(call->reply, 2);
        strobe_reply_integer(call->reply, (int64_t)history.samples[i].time_s);
        strobe_reply_integer(call->reply, (int64_t)history.samples[i].ms);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_latency_reset(struct command_call *call) {
    int64_t count = 0;
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        bool wanted = command_argc(call) == 2;
        for (size_t j = 2; j < command_argc(call); j++) {
            wanted = wanted || is_event((enum latency_event)i, command_arg(call, j));
        }
        if (wanted) count += latency_event_reset(services_latency(call->services), (enum latency_event)i);
    }
    strobe_reply_integer(call->reply, count);
    return COMMAND_DONE;
}

/* ---- LATENCY DOCTOR ------------------------------------------------------------------------------------- */

static void describe_event(struct text *text, enum latency_event event, const struct latency_history *history,
                           uint64_t threshold_ms) {
    const struct latency_sample *last = &history->samples[history->count - 1];
    uint64_t sum = 0, now = clock_wall_ms() / 1000;
    for (size_t i = 0; i < history->count; i++) sum += history->samples[i].ms;
    text_addf(text,
              "%s: slow in %zu seconds kept, the longest %llu ms, their mean %llu ms, the latest %llu ms, %llu s "
              "ago.",
              latency_event_name(event), history->count, (ull)history->max_ms, (ull)(sum / history->count),
              (ull)last->ms, (ull)(now > last->time_s ? now - last->time_s : 0));
    switch (event) {
    case LATENCY_EVENT_COMMAND:
    case LATENCY_EVENT_FAST_COMMAND:
        text_addf(text,
                  " SLOWLOG GET 10 PHASES shows those over slowlog-threshold = %llu ms, and where their time "
                  "went.\n",
                  (ull)threshold_ms);
        break;
    default:
        text_addf(text, " A slice of the sweep is meant to take half a millisecond; one this long was kept from its "
                        "processor.\n");
        break;
    }
}

/* What makes loops wait whatever the commands are; returns how many sentences. */
static unsigned describe_setup(struct command_call *call, struct text *text) {
    const struct config *config = services_config(call->services);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct metrics_sum sum;
    struct strobe_stats map;
    unsigned found = 0;
    metrics_add_up(services_metrics(call->services), &sum);
    strobe_map_stats(call->map, &map);
    if (processors > 0 && services_threads(call->services) > (unsigned long)processors) {
        text_addf(text,
                  "threads = %u, but there are %ld processors: loops wait for each other to leave one. Set "
                  "threads = %ld, or auto.\n",
                  services_threads(call->services), processors, processors);
        found++;
    }
    uint64_t slept_ms = sum.counters[METRICS_LOCK_WAIT_NS] / 1000000;
    uint64_t up_ms = clock_wall_ms() - metrics_start_ms(services_metrics(call->services));
    if (slept_ms * 100 > up_ms) {
        text_addf(text,
                  "Commands were off the processor for %llu ms, waiting for shards (%llu waits in %llu s): raise "
                  "shards = %llu, or spread the keys that all write.\n",
                  (ull)slept_ms, (ull)map.lock_waits, (ull)(up_ms / 1000), (ull)config->shards);
        found++;
    }
    return found;
}

enum command_outcome cmd_latency_doctor(struct command_call *call) {
    uint64_t threshold_ms = services_config(call->services)->slowlog_threshold;
    unsigned found = 0;
    struct text text;
    text_init(&text);
    for (unsigned i = 0; i < LATENCY_EVENTS; i++) {
        struct latency_history history;
        latency_history(services_latency(call->services), (enum latency_event)i, &history);
        if (history.count == 0) continue;
        describe_event(&text, (enum latency_event)i, &history, threshold_ms);
        found++;
    }
    found += describe_setup(call, &text);
    if (found == 0) {
        text_addf(&text, "All is well: since the start, or LATENCY RESET, nothing took slowlog-threshold = %llu ms.\n",
                  (ull)threshold_ms);
    }
    return command_text(call, &text);
}

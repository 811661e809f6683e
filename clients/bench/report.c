/* report.c - the figures of a run as text, as one line, or as JSON.
 *
 * In JSON all times are whole nanoseconds, all rates whole numbers a second, and every member is always there, null
 * where there is nothing to say. man/strobe-bench.1 lists them. */
#include "clients/bench/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/json.h"

static const struct {
    const char *name; /* in JSON */
    const char *text;
    double percent;
} percentiles[] = {
    {"p50", "p50", 50}, {"p90", "p90", 90}, {"p99", "p99", 99}, {"p99_9", "p99.9", 99.9}, {"p99_99", "p99.99", 99.99},
};

enum { PERCENTILES = sizeof percentiles / sizeof *percentiles };

static const char *const kind_names[LOAD_KINDS_COUNT] = {
#define REPORT_KIND(name, text) text,
    LOAD_KINDS(REPORT_KIND)
#undef REPORT_KIND
};

static const struct {
    const char *field, *text;
} faults[TALLY_FAULTS_COUNT] = {
#define REPORT_FAULT(name, field, text) {field, text},
    TALLY_FAULTS(REPORT_FAULT)
#undef REPORT_FAULT
};

/* COUNT in a time of NS nanoseconds, by the second. */
static uint64_t per_second(uint64_t count, uint64_t ns) {
    return ns == 0 ? 0 : (uint64_t)((double)count * 1e9 / (double)ns);
}

static uint64_t elapsed(const struct tally *tally) {
    return tally->ended > tally->started ? tally->ended - tally->started : 0;
}

static uint64_t cpu_each(const struct tally *tally) {
    uint64_t requests = tally_requests(tally);

    return requests == 0 ? 0 : tally->cpu / requests;
}

/* All kinds together; to be freed. */
static struct histogram *all_kinds(const struct tally *tally) {
    struct histogram *all = malloc(sizeof *all);

    if (all == NULL) return NULL;
    histogram_init(all);
    for (int i = 0; i < LOAD_KINDS_COUNT; i++) histogram_merge(all, &tally->latency[i]);
    return all;
}

/* ---- for people ------------------------------------------------------------------------------------- */

static void print_row(FILE *file, const char *name, const struct histogram *histogram, uint64_t ns) {
    fprintf(file, "%-8s %12" PRIu64 " %12" PRIu64, name, histogram->total, per_second(histogram->total, ns));
    for (int i = 0; i < PERCENTILES; i++)
        fprintf(file, " %10.1f", (double)histogram_percentile(histogram, percentiles[i].percent) / 1e3);
    fprintf(file, " %10.1f\n", (double)histogram->most / 1e3);
}

static void print_latencies(const struct outcome *outcome, const struct histogram *all, FILE *file) {
    const struct tally *load = &outcome->load;
    int kinds = 0;

    fprintf(file, "%-8s %12s %12s", "", "requests", "/s");
    for (int i = 0; i < PERCENTILES; i++) fprintf(file, " %7s us", percentiles[i].text);
    fprintf(file, " %7s us\n", "max");
    for (int i = 0; i < LOAD_KINDS_COUNT; i++) {
        if (load->latency[i].total == 0) continue;
        print_row(file, kind_names[i], &load->latency[i], elapsed(load));
        kinds++;
    }
    if (kinds != 1) print_row(file, "all", all, elapsed(load));
}

static void print_scan(const struct scan *scan, bool all_set, FILE *file) {
    uint64_t ns = elapsed(&scan->tally);

    fprintf(file, "scan     %" PRIu64 " keys, %" PRIu64 " /s; %" PRIu64 " scans ended, %" PRIu64 " of them whole",
            scan->keys, per_second(scan->keys, ns), scan->scans, scan->whole);
    if (all_set) fprintf(file, ", %" PRIu64 " keys missing", scan->missing);
    fprintf(file, ", %" PRIu64 " twice\n", scan->repeated);
}

static void print_text(const struct outcome *outcome, const struct histogram *all, FILE *file) {
    const struct bench_options *options = outcome->options;
    const struct tally *load = &outcome->load, *prefill = &outcome->prefill;

    fprintf(file, "%s %s, %" PRIu64 " clients, %" PRIu64 " threads, pipelines of %" PRIu64 ", %" PRIu64 " keys\n",
            options_door_name(options->door), options->unix_socket != NULL ? options->unix_socket : options->host,
            options->clients, options->threads, options->pipeline, options->keys);
    if (prefill->ended != 0)
        fprintf(file, "prefill  %" PRIu64 " keys in %.2f s\n", tally_requests(prefill), (double)elapsed(prefill) / 1e9);
    if (options->clients == 0) return;
    print_latencies(outcome, all, file);
    fprintf(file,
            "         %.2f s; %" PRIu64 " hits, %" PRIu64 " misses; %" PRIu64 " bytes sent, %" PRIu64
            " received; %" PRIu64 " ns of our own processor time for each\n",
            (double)elapsed(load) / 1e9, load->hits, load->misses, load->sent, load->received, cpu_each(load));
    if (options->rate != 0)
        fprintf(file,
                "rate     %" PRIu64 " /s asked for: %" PRIu64 " requests due, %" PRIu64
                " answered; sent late by %.1f us (p50), %.1f us (p99)\n",
                options->rate, load->intended, tally_requests(load), (double)histogram_percentile(&load->lag, 50) / 1e3,
                (double)histogram_percentile(&load->lag, 99) / 1e3);
}

static void print_faults(const struct outcome *outcome, FILE *errors) {
    const struct tally *load = &outcome->load;

    for (int i = 0; i < TALLY_FAULTS_COUNT; i++)
        if (load->faults[i] != 0) fprintf(errors, "strobe-bench: %" PRIu64 " %s\n", load->faults[i], faults[i].text);
    if (load->first_fault[0] != '\0') fprintf(errors, "strobe-bench: the first: %s\n", load->first_fault);
    if (outcome->interrupted) fputs("strobe-bench: interrupted; these are the figures so far\n", errors);
}

static void print_line(const struct outcome *outcome, const struct histogram *all, FILE *file) {
    fprintf(file, "%" PRIu64 " requests, %" PRIu64 " /s, p50 %.1f us, p99 %.1f us, %" PRIu64 " faults\n", all->total,
            per_second(all->total, elapsed(&outcome->load)), (double)histogram_percentile(all, 50) / 1e3,
            (double)histogram_percentile(all, 99) / 1e3, tally_faults(&outcome->load));
}

/* ---- for programs ----------------------------------------------------------------------------------- */

static void put_u64(struct strobe_json *json, const char *name, uint64_t number) {
    strobe_json_name(json, name);
    strobe_json_u64(json, number);
}

static void put_text(struct strobe_json *json, const char *name, const char *text) {
    strobe_json_name(json, name);
    if (text == NULL)
        strobe_json_null(json);
    else
        strobe_json_text(json, text);
}

static void put_bool(struct strobe_json *json, const char *name, bool yes) {
    strobe_json_name(json, name);
    strobe_json_bool(json, yes);
}

static void put_histogram(struct strobe_json *json, const char *name, const struct histogram *histogram) {
    strobe_json_name(json, name);
    if (histogram->total == 0) {
        strobe_json_null(json);
        return;
    }
    strobe_json_object_begin(json);
    put_u64(json, "count", histogram->total);
    put_u64(json, "mean", histogram_mean(histogram));
    put_u64(json, "min", histogram->least);
    for (int i = 0; i < PERCENTILES; i++)
        put_u64(json, percentiles[i].name, histogram_percentile(histogram, percentiles[i].percent));
    put_u64(json, "max", histogram->most);
    strobe_json_object_end(json);
}

static void put_options(struct strobe_json *json, const struct bench_options *options) {
    static const char *const dists[] = {
#define REPORT_DIST(name, text) text,
        KEYS_DISTS(REPORT_DIST)
#undef REPORT_DIST
    };

    strobe_json_name(json, "options");
    strobe_json_object_begin(json);
    put_text(json, "door", options_door_name(options->door));
    put_text(json, "host", options->unix_socket != NULL ? NULL : options->host);
    put_u64(json, "port", options->unix_socket != NULL ? 0 : options->port);
    put_text(json, "unix_socket", options->unix_socket);
    put_u64(json, "clients", options->clients);
    put_u64(json, "threads", options->threads);
    put_u64(json, "pipeline", options->pipeline);
    put_u64(json, "gets", options->ratio.gets);
    put_u64(json, "sets", options->ratio.sets);
    put_text(json, "command", options->command);
    put_u64(json, "keys", options->keys);
    put_u64(json, "key_minimum", options->key_minimum);
    put_u64(json, "key_size", options->key_size);
    put_text(json, "dist", dists[options->dist]);
    put_u64(json, "size_min", options->size.least);
    put_u64(json, "size_max", options->size.most);
    put_u64(json, "ttl_ms", options->ttl);
    put_u64(json, "rate", options->rate);
    put_bool(json, "check", options->check);
    strobe_json_object_end(json);
}

static void put_faults(struct strobe_json *json, const struct tally *load) {
    strobe_json_name(json, "faults");
    strobe_json_object_begin(json);
    put_u64(json, "all", tally_faults(load));
    for (int i = 0; i < TALLY_FAULTS_COUNT; i++) put_u64(json, faults[i].field, load->faults[i]);
    put_text(json, "first", load->first_fault[0] == '\0' ? NULL : load->first_fault);
    strobe_json_object_end(json);
}

static void put_prefill(struct strobe_json *json, const struct tally *prefill) {
    strobe_json_name(json, "prefill");
    if (prefill->ended == 0) {
        strobe_json_null(json);
        return;
    }
    strobe_json_object_begin(json);
    put_u64(json, "keys", tally_requests(prefill));
    put_u64(json, "elapsed_ns", elapsed(prefill));
    put_u64(json, "requests_per_second", per_second(tally_requests(prefill), elapsed(prefill)));
    strobe_json_object_end(json);
}

static void put_rate(struct strobe_json *json, const struct outcome *outcome) {
    strobe_json_name(json, "rate");
    if (outcome->options->rate == 0) {
        strobe_json_null(json);
        return;
    }
    strobe_json_object_begin(json);
    put_u64(json, "asked", outcome->options->rate);
    put_u64(json, "intended", outcome->load.intended);
    put_u64(json, "sent", outcome->load.lag.total);
    put_histogram(json, "late_ns", &outcome->load.lag);
    strobe_json_object_end(json);
}

static void put_scan(struct strobe_json *json, const struct outcome *outcome) {
    const struct scan *scan = &outcome->scan;

    strobe_json_name(json, "scan");
    if (!outcome->scanned) {
        strobe_json_null(json);
        return;
    }
    strobe_json_object_begin(json);
    put_u64(json, "elapsed_ns", elapsed(&scan->tally));
    put_u64(json, "scans", scan->scans);
    put_u64(json, "whole", scan->whole);
    put_u64(json, "keys", scan->keys);
    put_u64(json, "keys_per_second", per_second(scan->keys, elapsed(&scan->tally)));
    put_u64(json, "missing", scan->missing);
    put_u64(json, "repeated", scan->repeated);
    put_u64(json, "bytes_received", scan->tally.received);
    put_u64(json, "cpu_ns", scan->tally.cpu);
    put_histogram(json, "page_ns", &scan->page);
    strobe_json_object_end(json);
}

static void put_outcome(struct strobe_json *json, const struct outcome *outcome, const struct histogram *all) {
    const struct tally *load = &outcome->load;

    strobe_json_object_begin(json);
    put_text(json, "version", STROBE_VERSION);
    put_options(json, outcome->options);
    put_bool(json, "interrupted", outcome->interrupted);
    put_u64(json, "elapsed_ns", elapsed(load));
    put_u64(json, "requests", all->total);
    put_u64(json, "requests_per_second", per_second(all->total, elapsed(load)));
    put_u64(json, "bytes_sent", load->sent);
    put_u64(json, "bytes_received", load->received);
    put_u64(json, "hits", load->hits);
    put_u64(json, "misses", load->misses);
    put_faults(json, load);
    strobe_json_name(json, "latency_ns");
    strobe_json_object_begin(json);
    put_histogram(json, "all", all);
    for (int i = 0; i < LOAD_KINDS_COUNT; i++) put_histogram(json, kind_names[i], &load->latency[i]);
    strobe_json_object_end(json);
    put_rate(json, outcome);
    put_prefill(json, &outcome->prefill);
    put_scan(json, outcome);
    strobe_json_name(json, "client");
    strobe_json_object_begin(json);
    put_u64(json, "cpu_ns", load->cpu);
    put_u64(json, "cpu_ns_per_request", cpu_each(load));
    strobe_json_object_end(json);
    strobe_json_object_end(json);
    strobe_json_newline(json);
}

static bool print_json(const struct outcome *outcome, const struct histogram *all, FILE *file) {
    struct strobe_out_pool pool;
    struct strobe_out out;
    struct strobe_json json;
    struct iovec runs[8];

    strobe_out_pool_init(&pool, 1);
    strobe_out_init(&out, &pool, 1 << 20);
    strobe_json_init(&json, &out);
    put_outcome(&json, outcome, all);
    bool good = strobe_out_status(&out) == STROBE_BUF_OK;
    for (size_t count; good && (count = strobe_out_gather(&out, runs, 8)) > 0;) {
        size_t len = 0;
        for (size_t i = 0; i < count; i++) len += fwrite(runs[i].iov_base, 1, runs[i].iov_len, file);
        good = ferror(file) == 0;
        strobe_out_consume(&out, len);
    }
    strobe_out_fini(&out);
    strobe_out_pool_fini(&pool);
    return good;
}

bool report(const struct outcome *outcome, FILE *file, FILE *errors) {
    const struct bench_options *options = outcome->options;
    struct histogram *all = all_kinds(&outcome->load);
    bool good = all != NULL;

    if (good && options->json)
        good = print_json(outcome, all, file);
    else if (good && options->quiet)
        print_line(outcome, all, file);
    else if (good)
        print_text(outcome, all, file);
    if (good && outcome->scanned && !options->json) print_scan(&outcome->scan, outcome->all_set, file);
    print_faults(outcome, errors);
    free(all);
    return good && fflush(file) == 0 && ferror(file) == 0;
}

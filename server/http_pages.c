/* http_pages.c - the pages that are the same for everybody: what this is, whether it lives, what it counts.
 *
 *      /          for a browser a page, for curl a few lines to paste
 *      /healthz   the process answers: 200 while it runs
 *      /readyz    it can serve: 503 as soon as it stops
 *      /metrics   Prometheus text (exposition format 0.0.4): the workers' counters added up, and gauges of the map
 *
 * None of them is on the way of a key, so they are written plainly: printf into a chain, then sent with its length.
 * A label's values are words of ours; nothing of a client's gets here, so nothing needs an escape.
 * Not here: counting (metrics.c), the map's figures (map/), jemalloc's (memory.c).
 */
#include "server/http_pages.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/buf.h"
#include "server/command.h"
#include "server/conn.h"
#include "server/memory.h"
#include "server/metrics.h"
#include "server/scans.h"
#include "server/services.h"
#include "server/worker.h"

enum { PAGE_MAX = 1 << 20, LINE_MAX_BYTES = 512 };

/* Appends a printed line. */
static void print(struct strobe_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct strobe_out *out, const char *format, ...) {
    char line[LINE_MAX_BYTES];
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (len > 0) {
        strobe_out_append(out, strobe_slice_make(line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1));
    }
}

/* ---- / ---------------------------------------------------------------------------------------------------- */

/* Lines to paste: what stands before the port, and behind it. */
static const struct {
    const char *before, *behind;
} examples[] = {
    {"  curl -d 'hello' localhost:", "/kv/greeting          write      ?ttl=30 expires in 30 s"},
    {"  curl localhost:", "/kv/greeting                     read       If-None-Match, If-Match with the ETag"},
    {"  curl -X PATCH 'localhost:", "/kv/visits?incr=1'     count      ?append puts the body behind the value"},
    {"  curl -r 0-3 localhost:", "/kv/greeting              a part of it"},
    {"  curl -X DELETE localhost:", "/kv/greeting           remove"},
    {"  curl 'localhost:", "/kv/?prefix=g&limit=100'        list       JSON pages of one instant"},
    {"  curl 'localhost:", "/kv/?stream&values'             everything, as of one instant, one JSON object a line"},
    {"  curl -d '[[\"GET\",\"greeting\"]]' localhost:", "/batch   commands   a line or an array; ?atomic: as one"},
    {"  curl localhost:", "/metrics                         counters   also /stats, /healthz, /readyz, /openapi.json"},
};

static void print_text_page(struct strobe_out *page, uint32_t port, uint32_t http_port) {
    print(page, "strobe %s - a key-value server whose scan is a photograph\n\n", services_version());
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        print(page, "%s%" PRIu32 "%s\n", examples[i].before, http_port, examples[i].behind);
    }
    if (port != 0) print(page, "\nThe text protocol (telnet, redis-cli) is on port %" PRIu32 ".\n", port);
}

static const char html_page[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><title>strobe</title>\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:3em auto;padding:0 1em}"
    "code{background:#8883;padding:.1em .3em;border-radius:3px}td{padding:.2em 1em .2em 0;vertical-align:top}"
    ":root{color-scheme:light dark}</style></head><body>\n"
    "<h1>strobe %s</h1>\n"
    "<p>A key-value server whose scan is a photograph: a listing shows every key exactly once, as of one instant, "
    "while writers keep writing.</p>\n"
    "<table>\n"
    "<tr><td><a href=\"/kv/?limit=100\">/kv/</a></td><td>the keys, in JSON pages; "
    "<code>prefix</code>, <code>match</code>, <code>limit</code>, <code>values</code>, <code>cursor</code></td></tr>\n"
    "<tr><td><code>/kv/KEY</code></td><td>one entry: <code>GET</code>, <code>PUT</code>, "
    "<code>PATCH</code> with <code>?incr=N</code> or <code>?append</code>, <code>DELETE</code></td></tr>\n"
    "<tr><td><code>/batch</code></td><td><code>POST</code> commands as JSON, an array or a line each; "
    "<code>?atomic</code> makes them one transaction</td></tr>\n"
    "<tr><td><a href=\"/kv/?stream\">/kv/?stream</a></td><td>all keys of this instant, one JSON object a "
    "line</td></tr>\n"
    "<tr><td><a href=\"/metrics\">/metrics</a></td><td>counters, for Prometheus</td></tr>\n"
    "<tr><td><a href=\"/stats\">/stats</a></td><td>what <code>INFO</code> says, as JSON</td></tr>\n"
    "<tr><td><a href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a></td><td>for load balancers</td></tr>\n"
    "<tr><td><a href=\"/openapi.json\">/openapi.json</a></td><td>all of this, for programs</td></tr>\n"
    "</table>\n"
    "<p>From a shell: <code>curl -d hello localhost:%" PRIu32 "/kv/greeting</code></p>\n"
    "</body></html>\n";

void http_pages_root(struct http_call *call) {
    const struct services *services = worker_services(call->worker);
    struct strobe_out page;

    strobe_out_init(&page, call->reply.out->pool, PAGE_MAX);
    if (strobe_http_request_accepts(call->request, STROBE_HTTP_FIELD_ACCEPT, "text/html")) {
        char text[sizeof html_page + 64];
        int len = snprintf(text, sizeof text, html_page, services_version(), services_http_port(services));
        strobe_out_append(&page, strobe_slice_make(text, (size_t)len));
        http_routes_send(call,
                         STROBE_SLICE("Content-Type: text/html; charset=utf-8\r\nVary: Accept\r\n"
                                      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
                                      "X-Content-Type-Options: nosniff\r\n"),
                         &page);
    } else {
        print_text_page(&page, services_port(services), services_http_port(services));
        http_routes_send(call, STROBE_SLICE("Content-Type: text/plain; charset=utf-8\r\nVary: Accept\r\n"), &page);
    }
}

void http_pages_health(struct http_call *call) {
    strobe_http_reply_text(&call->reply, 200, "text/plain; charset=utf-8", STROBE_SLICE("ok\n"));
}

void http_pages_ready(struct http_call *call) {
    if (conn_stopping(call->conn)) {
        http_routes_refuse(call, http_refusal(503, "The server is stopping."));
    } else {
        strobe_http_reply_text(&call->reply, 200, "text/plain; charset=utf-8", STROBE_SLICE("ready\n"));
    }
}

/* ---- /metrics --------------------------------------------------------------------------------------------- */

/* The two lines before the first sample of a family. */
static void print_family(struct strobe_out *out, const char *name, const char *type, const char *help) {
    print(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_value(struct strobe_out *out, const char *name, const char *type, const char *help, uint64_t value) {
    print_family(out, name, type, help);
    print(out, "%s %" PRIu64 "\n", name, value);
}

static void print_labelled(struct strobe_out *out, const char *name, const char *label, const char *value,
                           uint64_t number) {
    print(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, number);
}

static void print_counters(struct strobe_out *out, const struct metrics_sum *sum) {
    static const struct {
        const char *family, *label, *help;
    } rows[METRICS_COUNTERS] = {
#define ROW(name, family, label, help) {family, label, help},
        METRICS_COUNTER_LIST(ROW)
#undef ROW
    };

    for (unsigned i = 0; i < METRICS_COUNTERS; i++) {
        if (i == 0 || strcmp(rows[i].family, rows[i - 1].family) != 0) {
            print_family(out, rows[i].family, "counter", rows[i].help);
        }
        if (rows[i].label[0] != '\0') {
            print(out, "%s{%s} %" PRIu64 "\n", rows[i].family, rows[i].label, sum->counters[i]);
        } else {
            print(out, "%s %" PRIu64 "\n", rows[i].family, sum->counters[i]);
        }
    }
}

static void print_connections(struct strobe_out *out, const struct metrics_sum *sum) {
    static const char *const doors[METRICS_DOORS] = {
#define TEXT(name, text) text,
        METRICS_DOOR_LIST(TEXT)
#undef TEXT
    };

    print_family(out, "strobe_connections", "gauge", "Connections open now");
    for (unsigned i = 0; i < METRICS_DOORS; i++) {
        uint64_t open = sum->accepted[i] > sum->closed[i] ? sum->accepted[i] - sum->closed[i] : 0;

        print_labelled(out, "strobe_connections", "door", doors[i], open);
    }
    print_family(out, "strobe_connections_accepted_total", "counter", "Connections accepted");
    for (unsigned i = 0; i < METRICS_DOORS; i++) {
        print_labelled(out, "strobe_connections_accepted_total", "door", doors[i], sum->accepted[i]);
    }
    print_family(out, "strobe_connections_closed_total", "counter", "Connections closed");
    for (unsigned i = 0; i < CONN_REASONS; i++) {
        print_labelled(out, "strobe_connections_closed_total", "reason", conn_reason_text((enum conn_reason)i),
                       sum->closes[i]);
    }
}

static void print_requests(struct strobe_out *out, const struct metrics_sum *sum) {
    static const char *const methods[METRICS_METHODS] = {
#define TEXT(name, text) text,
        METRICS_METHOD_LIST(TEXT)
#undef TEXT
    };
    static const char *const classes[6] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};

    print_family(out, "strobe_http_requests_total", "counter", "HTTP requests answered");
    for (unsigned i = 0; i < METRICS_METHODS; i++) {
        print_labelled(out, "strobe_http_requests_total", "method", methods[i], sum->http_requests[i]);
    }
    print_family(out, "strobe_http_replies_total", "counter", "HTTP replies");
    for (unsigned i = 2; i < 6; i++) {
        print_labelled(out, "strobe_http_replies_total", "status", classes[i], sum->http_replies[i]);
    }
    print_family(out, "strobe_commands_total", "counter", "Calls of the text protocol's commands");
    for (unsigned i = 0; i < command_count(); i++) {
        if (sum->commands[i] != 0) {
            print_labelled(out, "strobe_commands_total", "command", command_rows[i].name, sum->commands[i]);
        }
    }
    print_family(out, "strobe_commands_failed_total", "counter", "Calls that were answered with an error");
    for (unsigned i = 0; i < command_count(); i++) {
        if (sum->commands_failed[i] != 0) {
            print_labelled(out, "strobe_commands_failed_total", "command", command_rows[i].name,
                           sum->commands_failed[i]);
        }
    }
    print_family(out, "strobe_commands_rejected_total", "counter", "Requests refused before they were a call");
    for (unsigned i = 0; i < command_count(); i++) {
        if (sum->commands_rejected[i] != 0) {
            print_labelled(out, "strobe_commands_rejected_total", "command", command_rows[i].name,
                           sum->commands_rejected[i]);
        }
    }
}

static void print_map(struct strobe_out *out, struct strobe_map *map) {
    struct strobe_stats stats;

    strobe_map_stats(map, &stats);
    print_value(out, "strobe_keys", "gauge", "Keys, with those expired but not yet swept", stats.entries);
    print_value(out, "strobe_keys_expiring", "gauge", "Keys that have an expiry time", stats.expiring);
    print_value(out, "strobe_keys_expired_total", "counter", "Keys whose memory was taken back after expiry",
                stats.expired);
    print_value(out, "strobe_map_segments", "gauge", "Segments of the map", stats.segments);
    print_value(out, "strobe_map_slots", "gauge", "Places for keys in them", stats.slots);
    print_value(out, "strobe_map_splits_total", "counter", "Segments split", stats.splits);
    print_value(out, "strobe_map_merges_total", "counter", "Segments merged", stats.merges);
    print_family(out, "strobe_map_lock_waits_total", "counter", "Times that a shard's lock was found taken");
    for (unsigned i = 0; i < strobe_shard_count(map); i++) {
        char shard[12];

        (void)snprintf(shard, sizeof shard, "%u", i);
        print_labelled(out, "strobe_map_lock_waits_total", "shard", shard, strobe_shard_lock_waits(map, i));
    }
    print_value(out, "strobe_snapshots", "gauge", "Snapshots open now", stats.snapshots);
    print_value(out, "strobe_snapshot_copies_total", "counter", "Segments copied for snapshots", stats.copies_made);
    print_value(out, "strobe_snapshots_revoked_total", "counter", "Snapshots closed by the limit on their memory",
                stats.revoked);
    print_family(out, "strobe_memory_bytes", "gauge", "Memory by what it is for and as the allocator sees it");
    print_labelled(out, "strobe_memory_bytes", "kind", "live", stats.entry_bytes + stats.segment_bytes);
    print_labelled(out, "strobe_memory_bytes", "kind", "scan", stats.snapshot_bytes);
}

/* Continues the family that print_map began. */
static void print_memory(struct strobe_out *out, const struct services *services) {
    struct memory_figures figures;

    memory_figures(&figures);
    print_labelled(out, "strobe_memory_bytes", "kind", "buffers", services_buffers(services));
    print_labelled(out, "strobe_memory_bytes", "kind", "allocated", figures.allocated);
    print_labelled(out, "strobe_memory_bytes", "kind", "active", figures.active);
    print_labelled(out, "strobe_memory_bytes", "kind", "resident", figures.resident);
    print_labelled(out, "strobe_memory_bytes", "kind", "retained", figures.retained);
}

static void print_scans(struct strobe_out *out, struct scans *scans) {
    struct scans_stats stats;

    scans_stats(scans, &stats);
    print_value(out, "strobe_scans", "gauge", "Scans open now", stats.open);
    print_value(out, "strobe_scans_opened_total", "counter", "Scans opened, by SCAN 0 and listings", stats.opened);
    print_value(out, "strobe_scans_expired_total", "counter", "Scans closed for being idle", stats.expired);
    print_value(out, "strobe_scans_evicted_total", "counter", "Scans closed to make room for another", stats.evicted);
}

void http_pages_metrics(struct http_call *call) {
    struct services *services = worker_services(call->worker);
    struct metrics *metrics = services_metrics(services);
    struct metrics_sum sum;
    struct strobe_out page;

    call->was_long = true;
    metrics_add_up(metrics, &sum);
    strobe_out_init(&page, call->reply.out->pool, PAGE_MAX);
    print_family(&page, "strobe_build_info", "gauge", "Version of the server");
    print(&page, "strobe_build_info{version=\"%s\"} 1\n", services_version());
    print_family(&page, "strobe_start_time_seconds", "gauge", "When the server started, in seconds since 1970");
    print(&page, "strobe_start_time_seconds %.3f\n", (double)metrics_start_ms(metrics) / 1000);
    print_value(&page, "strobe_threads", "gauge", "Event loops", services_threads(services));
    print_counters(&page, &sum);
    print_connections(&page, &sum);
    print_requests(&page, &sum);
    print_map(&page, call->map);
    print_memory(&page, services);
    print_scans(&page, services_scans(services));
    http_routes_send(
        call, STROBE_SLICE("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nCache-Control: no-store\r\n"),
        &page);
}

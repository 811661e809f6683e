/* http_stats.c - /stats: what INFO says, as JSON, for programs that speak HTTP.
 *
 *      # Memory\r\nused_memory:1048576\r\n   ->   {"memory":{"used_memory":1048576}}
 *
 * Made from INFO's own text, so that there is one list of what is told (info.c). A section is an object, a figure a
 * number, everything else a string. Not here: counters and histograms for Prometheus (/metrics, http_pages.c).
 */
#include "server/http_stats.h"

#include <ctype.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/json.h"
#include "protocol/json_words.h"
#include "server/info.h"
#include "server/text.h"
#include "server/worker.h"

enum { PAGE_MAX = 1 << 20, NAME_MAX_BYTES = 64 };

/* Takes the next line off TEXT, without its end. */
static struct strobe_slice take_line(struct strobe_slice *text) {
    const char *end = memchr(text->data, '\n', text->len);
    size_t len = end != NULL ? (size_t)(end - text->data) : text->len;
    struct strobe_slice line = strobe_slice_make(text->data, len);

    *text = strobe_slice_make(text->data + len + (end != NULL), text->len - len - (end != NULL));
    if (line.len > 0 && line.data[line.len - 1] == '\r') line.len--;
    return line;
}

/* NAME as a member's, in small letters, as INFO is asked for a section. */
static void write_name(struct strobe_json *json, struct strobe_slice name) {
    char text[NAME_MAX_BYTES];
    size_t len = name.len < sizeof text ? name.len : sizeof text - 1;

    for (size_t i = 0; i < len; i++) text[i] = (char)tolower((unsigned char)name.data[i]);
    text[len] = '\0';
    strobe_json_name(json, text);
}

static void write_field(struct strobe_json *json, struct strobe_slice line) {
    const char *colon = memchr(line.data, ':', line.len);
    struct strobe_slice value;

    if (colon == NULL) return;
    value = strobe_slice_make(colon + 1, line.len - (size_t)(colon + 1 - line.data));
    write_name(json, strobe_slice_make(line.data, (size_t)(colon - line.data)));
    if (value.len > 0 && strobe_json_number_len(value) == value.len) {
        strobe_json_number(json, value);
    } else {
        strobe_json_string(json, value);
    }
}

static void write_sections(struct strobe_json *json, struct strobe_slice text) {
    bool inside = false;

    strobe_json_object_begin(json);
    while (text.len > 0) {
        struct strobe_slice line = take_line(&text);
        if (line.len > 2 && line.data[0] == '#') {
            if (inside) strobe_json_object_end(json);
            inside = true;
            write_name(json, strobe_slice_make(line.data + 2, line.len - 2));
            strobe_json_object_begin(json);
        } else if (line.len > 0 && inside) {
            write_field(json, line);
        }
    }
    if (inside) strobe_json_object_end(json);
    strobe_json_object_end(json);
    strobe_json_newline(json);
}

void http_stats_get(struct http_call *call) {
    struct strobe_out page;
    struct strobe_json json;
    struct text text;

    call->was_long = true;
    text_init(&text);
    info_write(worker_services(call->worker), NULL, 0, &text);
    if (text.failed) {
        text_fini(&text);
        http_routes_refuse(call, http_no_memory);
        return;
    }
    strobe_out_init(&page, call->reply.out->pool, PAGE_MAX);
    strobe_json_init(&json, &page);
    write_sections(&json, text_slice(&text));
    text_fini(&text);
    http_routes_send(call,
                     STROBE_SLICE("Content-Type: application/json\r\nCache-Control: no-store\r\n"
                                  "X-Content-Type-Options: nosniff\r\n"),
                     &page);
}

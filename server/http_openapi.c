/* http_openapi.c - /openapi.json: the routes, told in OpenAPI 3.0, made from a table when it is asked for.
 *
 *      http_operations (a row a method)  +  parameters, statuses (a row each, named in the others)  ->  JSON
 *
 * tests/server/test_http_openapi.c holds the rows equal to the routes, tests/wire/test_http_openapi.py what they say to
 * what the server does, and tests/wire/test_http_table.py sees every status that it meets in the list.
 * Not here: doing it (http_routes.c). */
#include "server/http_openapi.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "protocol/buf.h"
#include "protocol/json.h"
#include "server/services.h"
#include "server/worker.h"

enum { PAGE_MAX = 1 << 20, WORD_MAX = 48 };

#define JSON   "application/json"
#define NDJSON "application/x-ndjson"
#define TEXT   "text/plain"

/* What the door, the policy and the loop may say to any request. */
#define COMMON "400 403 408 413 414 417 431 501 503 505"

const struct http_operation http_operations[] = {
    {STROBE_METHOD_GET, "/kv/{key}", "readValue", "Reads a value, or a range of it",
     "If-Match If-None-Match Range If-Range", NULL, "*/*", "200 206 304 404 412 416"},
    {STROBE_METHOD_PUT, "/kv/{key}", "writeValue", "Writes a value",
     "ttl keepttl TTL If-Match If-None-Match Content-Type", "*/*", "", "201 204 411 412 415 507"},
    {STROBE_METHOD_POST, "/kv/{key}", "postValue", "Writes a value, as PUT does",
     "ttl keepttl TTL If-Match If-None-Match Content-Type", "*/*", "", "201 204 411 412 415 507"},
    {STROBE_METHOD_PATCH, "/kv/{key}", "changeValue",
     "Adds to a number, or appends the body; answers the sum or length", "incr append If-Match If-None-Match", "*/*",
     TEXT, "200 412 415 507"},
    {STROBE_METHOD_DELETE, "/kv/{key}", "removeKey", "Removes a key", "If-Match If-None-Match", NULL, "",
     "204 404 412 507"},
    {STROBE_METHOD_GET, "/kv/", "listKeys",
     "Lists the keys of one instant: a page as JSON, or all as a stream of lines whose last has done and count",
     "prefix match limit cursor values stream Accept Accept-Encoding", NULL, JSON " " NDJSON, "200 410 507"},
    {STROBE_METHOD_DELETE, "/kv/", "removePrefix", "Removes the keys of a prefix, as of one instant", "prefix all",
     NULL, JSON, "200 507"},
    {STROBE_METHOD_POST, "/batch", "runCommands",
     "Runs commands in order: an array of arrays of words, or one such array a line; answers in the same form",
     "atomic", JSON " " NDJSON, JSON " " NDJSON, "200 415 507"},
    {STROBE_METHOD_GET, "/", "readFrontPage", "What this is: text for curl, a page for a browser", "Accept", NULL,
     TEXT " text/html", "200"},
    {STROBE_METHOD_GET, "/openapi.json", "readDescription", "This description", "", NULL, JSON, "200"},
    {STROBE_METHOD_GET, "/healthz", "readHealth", "Answers as long as the process runs", "", NULL, TEXT, "200"},
    {STROBE_METHOD_GET, "/readyz", "readReadiness", "Answers 503 as soon as the server stops", "", NULL, TEXT, "200"},
    {STROBE_METHOD_GET, "/metrics", "readMetrics", "Counters and gauges in Prometheus's text format", "", NULL, TEXT,
     "200"},
    {STROBE_METHOD_GET, "/stats", "readStats", "What INFO says: sections and their fields", "", NULL, JSON, "200"},
};

size_t http_operations_count(void) {
    return sizeof http_operations / sizeof *http_operations;
}

static const struct {
    const char *name, *place, *type, *text;
} parameters[] = {
    {"ttl", "query", "string", "Time to live: 30 or 30s, 500ms, 5m, 2h, 1d"},
    {"keepttl", "query", "boolean", "Keeps the time to live that the entry has"},
    {"incr", "query", "integer", "What to add; 1 when it has no value"},
    {"append", "query", "boolean", "Puts the body behind the value"},
    {"prefix", "query", "string", "Only keys that begin with it"},
    {"match", "query", "string", "Only keys that match this glob"},
    {"limit", "query", "integer", "Keys of a page, 1 to 10000; 1000 unless said"},
    {"cursor", "query", "string", "The cursor of the last page"},
    {"values", "query", "boolean", "With values, versions and times to live"},
    {"stream", "query", "boolean", "The whole snapshot as lines; so does Accept: application/x-ndjson"},
    {"all", "query", "boolean", "Removes every key, when there is no prefix"},
    {"atomic", "query", "boolean", "All commands as one transaction, or none"},
    {"TTL", "header", "string", "As the parameter ttl, which counts before it"},
    {"If-Match", "header", "string", "ETags of which the entry must have one, or * if it must exist"},
    {"If-None-Match", "header", "string", "ETags of which the entry may have none, or * if it must not exist"},
    {"If-Range", "header", "string", "The ETag for which Range counts"},
    {"Range", "header", "string", "A single range: bytes=0-99, bytes=100-, bytes=-10"},
    {"Content-Type", "header", "string", "Kept with the value; a form's counts as none"},
    {"Accept", "header", "string", "Which of the forms is wanted"},
    {"Accept-Encoding", "header", "string", "gzip: a stream comes compressed"},
};

static const struct {
    const char *code, *text;
} statuses[] = {
    {"200", "Done"},
    {"201", "Written; there was no such key"},
    {"204", "Done"},
    {"206", "The range that was asked for"},
    {"304", "The value is the one of If-None-Match"},
    {"400", "The request cannot be understood; the detail says why"},
    {"403", "The Host or the Origin is not allowed"},
    {"404", "There is no such key"},
    {"408", "The rest of the request did not come in time"},
    {"410", "The scan of the cursor has expired"},
    {"411", "The request does not say how long its body is"},
    {"412", "A condition does not hold; the ETag is that of now"},
    {"413", "The body is too large"},
    {"414", "The target or the key is too long"},
    {"415", "The body is of a kind that is not taken"},
    {"416", "The range begins behind the end"},
    {"417", "The expectation cannot be met"},
    {"431", "The header is too large"},
    {"501", "A method or coding that is not known"},
    {"503", "Too busy, or stopping; try again"},
    {"505", "A version of HTTP that is not spoken"},
    {"507", "There is no memory or room for it"},
};

/* ---- writing ---------------------------------------------------------------------------------------------- */

/* The next word of a LIST, which is moved on. */
static bool next_word(const char **list, char word[WORD_MAX]) {
    size_t len;

    *list += strspn(*list, " ");
    len = strcspn(*list, " ");
    if (len == 0) return false;
    assert(len < WORD_MAX);
    memcpy(word, *list, len);
    word[len] = '\0';
    *list += len;
    return true;
}

static void member(struct strobe_json *json, const char *name, const char *text) {
    strobe_json_name(json, name);
    strobe_json_text(json, text);
}

static void write_schema(struct strobe_json *json, const char *type) {
    strobe_json_name(json, "schema");
    strobe_json_object_begin(json);
    member(json, "type", type);
    strobe_json_object_end(json);
}

/* "content" with each of the media TYPES; bytes for any type, a string for lines and text. */
static void write_content(struct strobe_json *json, const char *types) {
    char type[WORD_MAX];

    strobe_json_name(json, "content");
    strobe_json_object_begin(json);
    while (next_word(&types, type)) {
        strobe_json_name(json, type);
        strobe_json_object_begin(json);
        if (strcmp(type, JSON) != 0) write_schema(json, "string");
        strobe_json_object_end(json);
    }
    strobe_json_object_end(json);
}

static void write_parameter(struct strobe_json *json, const char *name) {
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (strcmp(parameters[i].name, name) != 0) continue;
        strobe_json_object_begin(json);
        member(json, "name", name);
        member(json, "in", parameters[i].place);
        member(json, "description", parameters[i].text);
        if (strcmp(parameters[i].type, "boolean") == 0) {
            strobe_json_name(json, "allowEmptyValue");
            strobe_json_bool(json, true);
        }
        write_schema(json, parameters[i].type);
        strobe_json_object_end(json);
        return;
    }
    assert(false); /* the row names a parameter that is in no row */
}

static void write_parameters(struct strobe_json *json, const char *names) {
    char name[WORD_MAX];

    strobe_json_name(json, "parameters");
    strobe_json_array_begin(json);
    while (next_word(&names, name)) write_parameter(json, name);
    strobe_json_array_end(json);
}

static void write_problem(struct strobe_json *json) {
    strobe_json_name(json, "content");
    strobe_json_object_begin(json);
    strobe_json_name(json, "application/problem+json");
    strobe_json_object_begin(json);
    strobe_json_name(json, "schema");
    strobe_json_object_begin(json);
    member(json, "$ref", "#/components/schemas/Problem");
    strobe_json_object_end(json);
    strobe_json_object_end(json);
    strobe_json_object_end(json);
}

static bool has_word(const char *list, const char *wanted) {
    char word[WORD_MAX];

    while (next_word(&list, word)) {
        if (strcmp(word, wanted) == 0) return true;
    }
    return false;
}

/* The statuses that are in LIST or for all; a HEAD has none of the bodies. */
static void write_responses(struct strobe_json *json, const char *list, const char *answers, bool is_head) {
    strobe_json_name(json, "responses");
    strobe_json_object_begin(json);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        const char *code = statuses[i].code;

        if (!has_word(list, code) && !has_word(COMMON, code)) continue;
        strobe_json_name(json, code);
        strobe_json_object_begin(json);
        member(json, "description", statuses[i].text);
        if (code[0] >= '4' && !is_head) write_problem(json);
        if (code[0] == '2' && answers[0] != '\0' && !is_head) write_content(json, answers);
        strobe_json_object_end(json);
    }
    strobe_json_object_end(json);
}

static void write_id(struct strobe_json *json, const char *before, const char *id) {
    char text[WORD_MAX];

    snprintf(text, sizeof text, "%s%s", before, id);
    member(json, "operationId", text);
}

/* One method; with IS_HEAD the HEAD that goes with a GET. */
static void write_operation(struct strobe_json *json, const struct http_operation *operation, bool is_head) {
    static const char *const names[STROBE_METHOD_COUNT] = {
        [STROBE_METHOD_GET] = "get",     [STROBE_METHOD_PUT] = "put",       [STROBE_METHOD_POST] = "post",
        [STROBE_METHOD_PATCH] = "patch", [STROBE_METHOD_DELETE] = "delete",
    };

    strobe_json_name(json, is_head ? "head" : names[operation->method]);
    strobe_json_object_begin(json);
    write_id(json, is_head ? "head-" : "", operation->id);
    member(json, "summary", is_head ? "The head of what GET answers" : operation->summary);
    write_parameters(json, operation->parameters);
    if (operation->body != NULL) {
        strobe_json_name(json, "requestBody");
        strobe_json_object_begin(json);
        write_content(json, operation->body);
        strobe_json_object_end(json);
    }
    write_responses(json, operation->statuses, operation->answers, is_head);
    strobe_json_object_end(json);
}

/* The OPTIONS that every path has. ID: of its first method. */
static void write_options(struct strobe_json *json, const char *id) {
    strobe_json_name(json, "options");
    strobe_json_object_begin(json);
    write_id(json, "options-", id);
    member(json, "summary", "Says in Allow which methods there are; answers a preflight");
    write_responses(json, "204", "", false);
    strobe_json_object_end(json);
}

static void write_key(struct strobe_json *json) {
    strobe_json_name(json, "parameters");
    strobe_json_array_begin(json);
    strobe_json_object_begin(json);
    member(json, "name", "key");
    member(json, "in", "path");
    strobe_json_name(json, "required");
    strobe_json_bool(json, true);
    member(json, "description", "All that follows /kv/, slashes included; other bytes percent-encoded");
    write_schema(json, "string");
    strobe_json_object_end(json);
    strobe_json_array_end(json);
}

static void write_paths(struct strobe_json *json) {
    const struct http_operation *end = http_operations + http_operations_count();

    strobe_json_name(json, "paths");
    strobe_json_object_begin(json);
    for (const struct http_operation *first = http_operations, *at = first; first < end; first = at) {
        strobe_json_name(json, first->path);
        strobe_json_object_begin(json);
        if (strchr(first->path, '{') != NULL) write_key(json);
        for (; at < end && strcmp(at->path, first->path) == 0; at++) {
            write_operation(json, at, false);
            if (at->method == STROBE_METHOD_GET) write_operation(json, at, true);
        }
        write_options(json, first->id);
        strobe_json_object_end(json);
    }
    strobe_json_object_end(json);
}

/* The one schema: RFC 9457. */
static void write_components(struct strobe_json *json) {
    static const char *const members[][2] = {
        {"type", "string"}, {"title", "string"}, {"status", "integer"}, {"detail", "string"}};

    strobe_json_name(json, "components");
    strobe_json_object_begin(json);
    strobe_json_name(json, "schemas");
    strobe_json_object_begin(json);
    strobe_json_name(json, "Problem");
    strobe_json_object_begin(json);
    member(json, "type", "object");
    strobe_json_name(json, "properties");
    strobe_json_object_begin(json);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        strobe_json_name(json, members[i][0]);
        strobe_json_object_begin(json);
        member(json, "type", members[i][1]);
        strobe_json_object_end(json);
    }
    strobe_json_object_end(json);
    strobe_json_object_end(json);
    strobe_json_object_end(json);
    strobe_json_object_end(json);
}

void http_openapi_get(struct http_call *call) {
    struct strobe_out page;
    struct strobe_json json;

    strobe_out_init(&page, call->reply.out->pool, PAGE_MAX);
    strobe_json_init(&json, &page);
    strobe_json_object_begin(&json);
    member(&json, "openapi", "3.0.3");
    strobe_json_name(&json, "info");
    strobe_json_object_begin(&json);
    member(&json, "title", "strobe");
    member(&json, "version", services_version());
    member(&json, "description", "An in-memory key-value server whose scan is a photograph.");
    strobe_json_object_end(&json);
    write_paths(&json);
    write_components(&json);
    strobe_json_object_end(&json);
    strobe_json_newline(&json);
    http_routes_send(call, STROBE_SLICE("Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"),
                     &page);
}

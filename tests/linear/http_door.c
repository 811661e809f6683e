/* http_door.c - see http_door.h. JSON is written and read only as far as these commands and their replies have it. */
#include "tests/linear/http_door.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/linear/step.h"

void http_door_add(struct player *p, const struct history_step *step) {
    static const char *const methods[HISTORY_VERBS] = {
        [HISTORY_GETVER] = "GET", [HISTORY_SETVER] = "PUT", [HISTORY_CAS] = "PUT",
        [HISTORY_INCR] = "PATCH", [HISTORY_DEL] = "DELETE", [HISTORY_DELIFVER] = "DELETE",
    };
    struct wire *w = &p->wire;

    wire_addf(w, "%s /kv/k%" PRIu64 ":%" PRIu32 "%s HTTP/1.1\r\nHost: localhost\r\n", methods[step->verb],
              p->round->number, step->key, step->verb == HISTORY_INCR ? "?incr" : "");
    if (step_commands[step->verb].has_version && step->version == 0)
        wire_addf(w, "If-None-Match: *\r\n");
    else if (step_commands[step->verb].has_version)
        wire_addf(w, "If-Match: \"%" PRIu64 "\"\r\n", step->version);
    if (!step_commands[step->verb].has_value) {
        wire_addf(w, "\r\n");
        return;
    }
    wire_addf(w, "Content-Length: %zu\r\n\r\n", step_value_len(step->value));
    step_add_value(w, step->value);
}

/* The number in a header line, behind NAME and a quote if there is one; or NUMBER if it is another line. */
static uint64_t header_number(const char *line, const char *name, uint64_t number) {
    size_t len = strlen(name);
    return strncasecmp(line, name, len) == 0 ? strtoull(line + len + (line[len] == '"'), NULL, 10) : number;
}

struct http_reply {
    unsigned status;
    uint64_t version; /* its ETag, or 0 */
    size_t len;       /* of the player's body */
};

static void take_bytes(struct player *p, size_t *have, size_t len) {
    if (len >= PLAYER_BODY_MAX - *have) wire_wrong("a reply of more than %u bytes", PLAYER_BODY_MAX);
    memcpy(p->body + *have, wire_bytes(&p->wire, len), len);
    *have += len;
    p->body[*have] = '\0';
}

static void take_chunks(struct player *p, size_t *have) {
    size_t len;

    do {
        len = strtoul(wire_line(&p->wire), NULL, 16);
        take_bytes(p, have, len);
        if (*wire_line(&p->wire) != '\0') wire_wrong("a chunk goes on behind its end");
    } while (len > 0);
}

static struct http_reply read_http_reply(struct player *p) {
    struct http_reply reply = {0};
    const char *line = wire_line(&p->wire);
    bool chunked = false;
    size_t len = 0;

    if (sscanf(line, "HTTP/1.1 %3u", &reply.status) != 1) wire_wrong("HTTP was answered with %s", line);
    while (*(line = wire_line(&p->wire)) != '\0') {
        reply.version = header_number(line, "ETag: ", reply.version);
        len = (size_t)header_number(line, "Content-Length: ", len);
        chunked |= strcasecmp(line, "Transfer-Encoding: chunked") == 0;
    }
    if (chunked)
        take_chunks(p, &reply.len);
    else
        take_bytes(p, &reply.len, reply.status == 204 ? 0 : len);
    return reply;
}

void http_door_read(struct player *p, struct history_step *step) {
    const struct http_reply reply = read_http_reply(p);
    const bool deletes = step->verb == HISTORY_DEL || step->verb == HISTORY_DELIFVER;

    if (reply.status == 200 && step->verb == HISTORY_GETVER) {
        step_saw_value(step, p->body, reply.len);
    } else if (reply.status == 200 && step->verb == HISTORY_INCR) {
        step->result = HISTORY_NUMBER;
        step->seen = step_parse_value(p->body, reply.len);
    } else if (reply.status == 400 && step->verb == HISTORY_INCR) {
        step->result = HISTORY_REFUSED;
        return;
    } else if ((reply.status == 201 || reply.status == 204) && step_commands[step->verb].has_value) {
        step->result = HISTORY_OK;
    } else if (deletes && (reply.status == 204 || reply.status == 404 || (reply.status == 412 && step->version != 0))) {
        step->result = HISTORY_NUMBER;
        step->seen = reply.status == 204;
        return;
    } else if ((reply.status == 404 && step->verb == HISTORY_GETVER) ||
               (reply.status == 412 && step->verb == HISTORY_CAS)) {
        step->result = HISTORY_NIL;
        return;
    } else {
        wire_wrong("%s over HTTP was answered with %u", step_commands[step->verb].name, reply.status);
    }
    step_saw_version(p, step, reply.version);
}

/* A piece of the body of a batch, as a chunk. */
static void add_chunk(struct player *p, const char *text) {
    wire_addf(&p->wire, "%zx\r\n%s\r\n", strlen(text), text);
}

static void add_chunk_step(struct player *p, const struct history_step *step, const char *before) {
    const struct step_command *command = &step_commands[step->verb];
    char text[120];

    (void)snprintf(text, sizeof(text), "%s[\"%s\",\"k%" PRIu64 ":%" PRIu32 "\"", before, command->name,
                   p->round->number, step->key);
    add_chunk(p, text);
    if (command->has_value) {
        wire_addf(&p->wire, "%zx\r\n,\"", step_value_len(step->value) + 3);
        step_add_value(&p->wire, step->value);
        wire_addf(&p->wire, "\"\r\n");
    }
    if (command->has_version) {
        (void)snprintf(text, sizeof(text), "%s%s%s,\"%" PRIu64 "\"", command->option != NULL ? ",\"" : "",
                       command->option != NULL ? command->option : "", command->option != NULL ? "\"" : "",
                       step->version);
        add_chunk(p, text);
    }
    if (command->last != NULL) add_chunk(p, ",\"RETVER\"");
    add_chunk(p, "]");
}

void http_door_add_batch(struct player *p, const struct history_op *op) {
    wire_addf(&p->wire, "POST /batch?atomic HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < op->count; i++) add_chunk_step(p, &op->steps[i], i == 0 ? "[" : ",");
    wire_addf(&p->wire, "1\r\n]\r\n0\r\n\r\n");
}

/* Moves *AT behind TEXT, if it stands there. */
static bool skip(char **at, const char *text) {
    size_t len = strlen(text);
    if (strncmp(*at, text, len) != 0) return false;
    *at += len;
    return true;
}

/* A JSON string of digits. */
static void read_json_value(struct history_step *step, char **at) {
    size_t len = strcspn(*at, "\"");
    step_saw_value(step, *at, len);
    *at += len + 1;
}

/* A string of digits up to its closing quote: versions are strings in JSON. */
static void read_json_version(struct player *p, struct history_step *step, char **at) {
    step_saw_version(p, step, strtoull(*at, at, 10));
    if (!skip(at, "\"")) wire_wrong("a version in a batch ends with %.100s", *at);
}

/* {"result":...} or {"error":...} */
static void read_json_step(struct player *p, struct history_step *step, char **at) {
    const char *start = *at;

    if (skip(at, "{\"error\":")) {
        step->result = HISTORY_REFUSED;
        *at += strcspn(*at, "}");
    } else if (!skip(at, "{\"result\":")) {
        wire_wrong("a batch was answered with %.100s", start);
    } else if (skip(at, "null")) {
        step->result = HISTORY_NIL;
    } else if (skip(at, "\"OK\"")) {
        step->result = HISTORY_OK;
    } else if (skip(at, "[\"")) {
        read_json_value(step, at);
        if (!skip(at, ",\"")) wire_wrong("GETVER in a batch was answered with %.100s", start);
        read_json_version(p, step, at);
        if (!skip(at, "]")) wire_wrong("GETVER in a batch was answered with %.100s", start);
    } else if (!skip(at, "\"")) {
        step->result = HISTORY_NUMBER;
        step->seen = strtoll(*at, at, 10);
    } else if (step->verb == HISTORY_SETVER || step->verb == HISTORY_CAS) {
        step->result = HISTORY_OK;
        read_json_version(p, step, at);
    } else {
        read_json_value(step, at);
    }
    if (!skip(at, "}") || (step->result == HISTORY_REFUSED && step->verb != HISTORY_INCR))
        wire_wrong("%s in a batch was answered with %.100s", step_commands[step->verb].name, start);
}

void http_door_read_batch(struct player *p, struct history_op *op) {
    const struct http_reply reply = read_http_reply(p);
    char *at = p->body;

    if (reply.status != 200) wire_wrong("a batch was answered with %u", reply.status);
    for (unsigned i = 0; i < op->count; i++) {
        if (!skip(&at, i == 0 ? "[" : ",")) wire_wrong("a batch of %u was answered with %u", op->count, i);
        read_json_step(p, &op->steps[i], &at);
    }
    if (strcmp(at, "]\n") != 0) wire_wrong("a batch of %u was answered with more: %.100s", op->count, at);
}

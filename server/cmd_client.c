/* cmd_client.c - what CLIENT tells about all connections, and does to them: LIST, INFO, KILL, PAUSE, and how one wants
 * to be treated: REPLY, NO-EVICT, NO-TOUCH.
 *
 *     KILL:  mark those that match -> every loop closes its own when it comes by -> the answer
 *     PAUSE: begin -> every loop comes by, so no command that should wait is under way -> the answer
 *
 * A connection belongs to its loop, so nobody else closes it. When KILL or PAUSE is answered it holds on all loops. Not
 * here: holding commands back (resp_door.c, http_door.c), the words that clients say about themselves
 * (cmd_connection.c). */
#include <stdatomic.h>
#include <stdlib.h>

#include "protocol/number.h"
#include "server/clients.h"
#include "server/clock.h"
#include "server/commands.h"
#include "server/monitors.h"
#include "server/pause.h"
#include "server/roll_job.h"
#include "server/services.h"
#include "server/session.h"
#include "server/text.h"

enum {
    SHOWN = 128,    /* bytes of a word that an error repeats */
    IDS_MAX = 16384 /* in one LIST, which writes a line for each, however often it is named */
};

/* -ERR with WORD in it, where FORMAT says "%.*s". */
static void error_word(struct command_call *call, const char *before, struct strobe_slice word, const char *after) {
    int len = 0;
    while (len < SHOWN && (size_t)len < word.len && word.data[len] != '\0') len++;
    strobe_reply_errorf(call->reply, "ERR", "%s'%.*s'%s", before, len, word.data, after);
}

/* ---- LIST and INFO -------------------------------------------------------------------------------------- */

static uint64_t age(uint64_t now, uint64_t then) {
    return now > then ? (now - then) / 1000 : 0;
}

/* The letters that Redis has for what a client is doing. */
static const char *flags_of(const struct client *client, char flags[8]) {
    size_t len = 0;
    if (client_has(client, CLIENT_MONITORS)) flags[len++] = 'O';
    if (atomic_load_explicit(&client->waiting, memory_order_relaxed) >= 0) flags[len++] = 'x';
    if (client_has(client, CLIENT_WAITS)) flags[len++] = 'b';
    if (strcmp(client->door, "unix") == 0) flags[len++] = 'U';
    if (client_has(client, CLIENT_NO_EVICT)) flags[len++] = 'e';
    if (client_has(client, CLIENT_NO_TOUCH)) flags[len++] = 'T';
    if (len == 0) flags[len++] = 'N';
    flags[len] = '\0';
    return flags;
}

/* RUNNING: what it runs now, which the client itself learns when that is done; NULL: it is not the one who asks. */
static void describe(struct text *text, const struct client *client, const char *running, uint64_t now) {
    const char *last = atomic_load_explicit(&client->command, memory_order_relaxed);
    const char *command = running != NULL ? running : last;
    size_t held = atomic_load_explicit(&client->input_held, memory_order_relaxed);
    size_t input = atomic_load_explicit(&client->input_memory, memory_order_relaxed);
    size_t output = atomic_load_explicit(&client->output_memory, memory_order_relaxed);
    char flags[8];
    text_addf(text,
              "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s db=0 sub=0 psub=0 ssub=0 multi=%d",
              (unsigned long long)client->id, client->peer, client->local, client->fd, client_word(client, CLIENT_NAME),
              (unsigned long long)age(now, client->since_ms),
              (unsigned long long)age(now, atomic_load_explicit(&client->active_ms, memory_order_relaxed)),
              flags_of(client, flags), atomic_load_explicit(&client->waiting, memory_order_relaxed));
    text_addf(text, " qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=%zu tot-mem=%zu", held,
              input > held ? input - held : 0, output, atomic_load_explicit(&client->memory, memory_order_relaxed));
    text_addf(text, " events=r cmd=%s user=default redir=-1 resp=%u", command == NULL ? "NULL" : command,
              atomic_load_explicit(&client->resp, memory_order_relaxed));
    text_addf(text, " lib-name=%s", client_word(client, CLIENT_LIB_NAME));
    text_addf(text, " lib-ver=%s", client_word(client, CLIENT_LIB_VER));
    text_addf(text, " door=%s loop=%u\n", client->door, client->loop);
}

struct list {
    struct text text;
    uint64_t now_ms;
    const struct client *only; /* NULL: all */
    const struct client *asking;
    const char *running; /* by ASKING */
    const uint64_t *ids; /* COUNT of them, sorted; NULL: all */
    size_t count;
    struct entry *entries; /* what was listed of IDS, at most COUNT */
    size_t listed;
};

/* The line of a client in a list's text. */
struct entry {
    uint64_t id;
    size_t start, len;
};

/* Of ids, and of entries, which begin with theirs. */
static int compare_ids(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return a < b ? -1 : a > b;
}

static bool list_client(void *context, struct client *client) {
    struct list *list = context;
    if (list->only != NULL && client != list->only) return true;
    if (list->ids != NULL && bsearch(&client->id, list->ids, list->count, sizeof list->ids[0], compare_ids) == NULL) {
        return true;
    }
    if (client_has(client, CLIENT_KILLED)) return true;
    size_t start = text_slice(&list->text).len;
    describe(&list->text, client, client == list->asking ? list->running : NULL, list->now_ms);
    if (list->entries != NULL) {
        list->entries[list->listed++] =
            (struct entry){.id = client->id, .start = start, .len = text_slice(&list->text).len - start};
    }
    return !list->text.failed && list->only == NULL;
}

static void make_list(struct command_call *call, struct list *list) {
    list->now_ms = strobe_map_tick(call->map);
    list->asking = call->session->client;
    list->running = call->exec != NULL ? "exec" : call->command->name; /* as Redis has it */
    text_init(&list->text);
    clients_visit(services_clients(call->services), list_client, list);
}

static void reply_text(struct command_call *call, struct text *text) {
    if (text->failed) {
        command_error_status(call, STROBE_NO_MEMORY);
    } else {
        strobe_reply_verbatim(call->reply, "txt", text_slice(text));
    }
    text_fini(text);
}

static void reply_list(struct command_call *call, struct list *list) {
    make_list(call, list);
    reply_text(call, &list->text);
}

enum command_outcome cmd_client_info(struct command_call *call) {
    struct list list = {.only = call->session->client};
    reply_list(call, &list);
    return COMMAND_DONE;
}

/* Kinds of clients that Redis tells apart. All of ours are normal. */
enum { TYPE_NORMAL, TYPE_OTHER, TYPE_UNKNOWN };

/* The kind that word I names; an error is written for UNKNOWN. */
static int read_type(struct command_call *call, size_t i) {
    if (command_is(call, i, "normal")) return TYPE_NORMAL;
    if (command_is(call, i, "master") || command_is(call, i, "replica") || command_is(call, i, "slave") ||
        command_is(call, i, "pubsub")) {
        return TYPE_OTHER;
    }
    error_word(call, "Unknown client type ", command_arg(call, i), "");
    return TYPE_UNKNOWN;
}

static void list_type(struct command_call *call) {
    int type = read_type(call, 3);
    struct list list = {.only = NULL};
    if (type == TYPE_NORMAL) reply_list(call, &list);
    if (type == TYPE_OTHER) strobe_reply_verbatim(call->reply, "txt", STROBE_SLICE(""));
}

/* Reads the ids that CALL names from word 3 on. An error is written when it answers false. */
static bool read_ids(struct command_call *call, uint64_t *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int64_t id;
        if (!strobe_number_parse_int64(command_arg(call, 3 + i), &id)) {
            strobe_reply_error(call->reply, "ERR", "Invalid client ID");
            return false;
        }
        ids[i] = id > 0 ? (uint64_t)id : 0; /* nobody's */
    }
    return true;
}

/* The lines of LIST in the order in which their ids were asked for, however often. */
static void reply_in_order(struct command_call *call, const struct list *list, const uint64_t *ids) {
    struct text text;
    text_init(&text);
    text.failed = list->text.failed;
    for (size_t i = 0; i < list->count && !text.failed; i++) {
        const struct entry *entry = bsearch(&ids[i], list->entries, list->listed, sizeof list->entries[0], compare_ids);
        if (entry == NULL) continue;
        text_add(&text, strobe_slice_make(text_slice(&list->text).data + entry->start, entry->len));
    }
    reply_text(call, &text);
}

static void list_ids(struct command_call *call) {
    size_t count = command_argc(call) - 3;
    if (count > IDS_MAX) {
        strobe_reply_errorf(call->reply, "ERR", "more than %d ids at once", (int)IDS_MAX);
        return;
    }
    uint64_t *ids = calloc(2 * count, sizeof *ids); /* as they were asked for, and sorted */
    struct list list = {.ids = ids, .count = count, .entries = calloc(count, sizeof(struct entry))};
    if (ids == NULL || list.entries == NULL) {
        command_error_status(call, STROBE_NO_MEMORY);
    } else if (read_ids(call, ids, count)) {
        memcpy(ids + count, ids, count * sizeof *ids);
        qsort(ids, count, sizeof *ids, compare_ids);
        make_list(call, &list);
        reply_in_order(call, &list, ids + count);
        text_fini(&list.text);
    }
    free(list.entries);
    free(ids);
}

enum command_outcome cmd_client_list(struct command_call *call) {
    struct list list = {.only = NULL};
    if (command_argc(call) == 2) {
        reply_list(call, &list);
    } else if (command_argc(call) == 4 && command_is(call, 2, "TYPE")) {
        list_type(call);
    } else if (command_argc(call) >= 4 && command_is(call, 2, "ID")) {
        list_ids(call);
    } else {
        command_error_syntax(call);
    }
    return COMMAND_DONE;
}

/* ---- KILL ----------------------------------------------------------------------------------------------- */

/* Whom to kill: all that fit each condition that was said. */
struct victims {
    struct strobe_slice addr, laddr; /* DATA is NULL: any */
    uint64_t id;                     /* 0: any */
    uint64_t born_before_ms;         /* 0: any */
    bool nobody;                     /* a kind of client that we have not */
    bool skip_me;
    const struct client *me;
    int64_t killed;
    bool killed_me;
};

static bool is_address(struct strobe_slice wanted, const char *address) {
    return wanted.data == NULL || strobe_slice_equal(wanted, strobe_slice_make(address, strlen(address)));
}

static bool is_victim(const struct victims *victims, const struct client *client) {
    if (victims->nobody || client_has(client, CLIENT_KILLED)) return false;
    if (victims->id != 0 && client->id != victims->id) return false;
    if (victims->born_before_ms != 0 && client->since_ms > victims->born_before_ms) return false;
    if (victims->skip_me && client == victims->me) return false;
    return is_address(victims->addr, client->peer) && is_address(victims->laddr, client->local);
}

/* Marks CLIENT, if it fits; oneself leaves after the reply. */
static bool kill_client(void *context, struct client *client) {
    struct victims *victims = context;
    if (!is_victim(victims, client)) return true;
    victims->killed++;
    if (client == victims->me) {
        victims->killed_me = true;
    } else {
        client_mark(client, CLIENT_KILLED, true);
    }
    return true;
}

static bool read_id(struct command_call *call, size_t i, uint64_t *id) {
    int64_t value;
    if (!strobe_number_parse_int64(command_arg(call, i), &value) || value < 1) {
        strobe_reply_error(call->reply, "ERR", "client-id should be greater than 0");
        return false;
    }
    *id = (uint64_t)value;
    return true;
}

static bool read_max_age(struct command_call *call, size_t i, uint64_t *born_before_ms) {
    uint64_t now = clock_wall_ms();
    int64_t seconds;
    if (!strobe_number_parse_int64(command_arg(call, i), &seconds)) {
        strobe_reply_error(call->reply, "ERR", "maxage is not an integer or out of range");
        return false;
    }
    if (seconds < 1) {
        strobe_reply_error(call->reply, "ERR", "maxage should be greater than 0");
        return false;
    }
    *born_before_ms = (uint64_t)seconds < now / 1000 ? now - (uint64_t)seconds * 1000 : 1;
    return true;
}

static bool read_user(struct command_call *call, size_t i) {
    if (strobe_slice_equal(command_arg(call, i), STROBE_SLICE("default"))) return true;
    error_word(call, "No such user ", command_arg(call, i), "");
    return false;
}

/* Reads the condition at word I, whose value is the word behind it. An error is written when it answers false. */
static bool read_condition(struct command_call *call, size_t i, struct victims *victims) {
    struct strobe_slice value = command_arg(call, i + 1);
    if (command_is(call, i, "ID")) return read_id(call, i + 1, &victims->id);
    if (command_is(call, i, "MAXAGE")) return read_max_age(call, i + 1, &victims->born_before_ms);
    if (command_is(call, i, "USER")) return read_user(call, i + 1);
    if (command_is(call, i, "TYPE")) {
        int type = read_type(call, i + 1);
        victims->nobody = type != TYPE_NORMAL;
        return type != TYPE_UNKNOWN;
    }
    if (command_is(call, i, "ADDR")) {
        victims->addr = value;
    } else if (command_is(call, i, "LADDR")) {
        victims->laddr = value;
    } else if (command_is(call, i, "SKIPME") && (command_is(call, i + 1, "yes") || command_is(call, i + 1, "no"))) {
        victims->skip_me = command_is(call, i + 1, "yes");
    } else {
        command_error_syntax(call);
        return false;
    }
    return true;
}

static bool read_victims(struct command_call *call, struct victims *victims) {
    if (command_argc(call) == 3) { /* the old form */
        victims->addr = command_arg(call, 2);
        return true;
    }
    victims->skip_me = true;
    for (size_t i = 2; i < command_argc(call); i += 2) {
        if (i + 1 == command_argc(call)) {
            command_error_syntax(call);
            return false;
        }
        if (!read_condition(call, i, victims)) return false;
    }
    return true;
}

enum command_outcome cmd_client_kill(struct command_call *call) {
    struct victims victims = {.me = call->session->client};
    bool is_old = command_argc(call) == 3;
    if (!read_victims(call, &victims)) return COMMAND_DONE;
    struct roll_job *job = roll_job_new(call);
    if (job == NULL) return COMMAND_DONE;
    clients_visit(services_clients(call->services), kill_client, &victims);
    call->session->leaving |= victims.killed_me;
    if (victims.killed > victims.killed_me) {
        return roll_job_start(job, call, is_old ? ROLL_OK : victims.killed);
    }
    roll_job_free(job);
    if (!is_old) {
        strobe_reply_integer(call->reply, victims.killed);
    } else if (victims.killed == 0) {
        strobe_reply_error(call->reply, "ERR", "No such client");
    } else {
        strobe_reply_ok(call->reply);
    }
    return COMMAND_DONE;
}

/* ---- PAUSE ---------------------------------------------------------------------------------------------- */

enum command_outcome cmd_client_pause(struct command_call *call) {
    enum pause_mode mode = PAUSE_ALL;
    int64_t duration;
    if (command_argc(call) > 4) {
        strobe_reply_error(call->reply, "ERR",
                           "unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.");
        return COMMAND_DONE;
    }
    if (command_argc(call) == 4) {
        if (command_is(call, 3, "WRITE")) {
            mode = PAUSE_WRITES;
        } else if (!command_is(call, 3, "ALL")) {
            strobe_reply_error(call->reply, "ERR", "CLIENT PAUSE mode must be WRITE or ALL");
            return COMMAND_DONE;
        }
    }
    if (!strobe_number_parse_int64(command_arg(call, 2), &duration)) {
        strobe_reply_error(call->reply, "ERR", "timeout is not an integer or out of range");
        return COMMAND_DONE;
    }
    if (duration < 0) {
        strobe_reply_error(call->reply, "ERR", "timeout is negative");
        return COMMAND_DONE;
    }
    struct roll_job *job = roll_job_new(call);
    if (job == NULL) return COMMAND_DONE;
    pause_begin(services_pause(call->services), mode, (uint64_t)duration);
    return roll_job_start(job, call, ROLL_OK);
}

enum command_outcome cmd_client_unpause(struct command_call *call) {
    pause_end(services_pause(call->services));
    services_wake(call->services);
    strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

/* Nobody ever blocks here, but for a pause, which Redis does not end for one either. */
enum command_outcome cmd_client_unblock(struct command_call *call) {
    int64_t id;
    if (command_argc(call) > 4) {
        strobe_reply_error(call->reply, "ERR",
                           "unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.");
    } else if (command_argc(call) == 4 && !command_is(call, 3, "TIMEOUT") && !command_is(call, 3, "ERROR")) {
        strobe_reply_error(call->reply, "ERR", "CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    } else if (command_integer(call, 2, &id)) {
        strobe_reply_integer(call->reply, 0);
    }
    return COMMAND_DONE;
}

/* ---- how one is treated --------------------------------------------------------------------------------- */

enum command_outcome cmd_client_reply(struct command_call *call) {
    struct session *session = call->session;
    if (command_is(call, 2, "ON")) {
        session_set_replies(session, 0);
        strobe_reply_ok(call->reply);
    } else if (command_is(call, 2, "OFF")) {
        session_set_replies(session, SESSION_REPLIES_OFF);
    } else if (command_is(call, 2, "SKIP")) {
        if (!(session->replies & SESSION_REPLIES_OFF)) session->replies |= SESSION_REPLIES_SKIP_NEXT;
    } else {
        command_error_syntax(call);
    }
    return COMMAND_DONE;
}

static enum command_outcome mark_me(struct command_call *call, enum client_mark mark) {
    if (!command_is(call, 2, "on") && !command_is(call, 2, "off")) {
        command_error_syntax(call);
        return COMMAND_DONE;
    }
    client_mark(call->session->client, mark, command_is(call, 2, "on"));
    strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

enum command_outcome cmd_client_no_evict(struct command_call *call) {
    return mark_me(call, CLIENT_NO_EVICT);
}

enum command_outcome cmd_client_no_touch(struct command_call *call) {
    return mark_me(call, CLIENT_NO_TOUCH);
}

/* Nobody's invalidations go anywhere. */
enum command_outcome cmd_client_getredir(struct command_call *call) {
    strobe_reply_integer(call->reply, -1);
    return COMMAND_DONE;
}

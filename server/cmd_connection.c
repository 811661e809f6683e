/* cmd_connection.c - the commands about the connection itself, and what CLIENT tells about all of them.
 *
 * A connection's own words are changed on its own thread; others see them through the registry, under its
 * lock. */
#include <stdatomic.h>
#include <stdlib.h>

#include "protocol/number.h"
#include "server/clients.h"
#include "server/commands.h"
#include "server/info.h"
#include "server/services.h"
#include "server/session.h"
#include "server/text.h"

enum command_outcome cmd_ping(struct command_call *call) {
    if (command_argc(call) > 2) {
        command_error_arity(call);
    } else if (command_argc(call) == 2) {
        strobe_reply_bulk(call->reply, command_arg(call, 1));
    } else {
        strobe_reply_status(call->reply, STROBE_SLICE("PONG"));
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_echo(struct command_call *call) {
    strobe_reply_bulk(call->reply, command_arg(call, 1));
    return COMMAND_DONE;
}

enum command_outcome cmd_quit(struct command_call *call) {
    strobe_reply_ok(call->reply);
    return COMMAND_CLOSE;
}

enum command_outcome cmd_select(struct command_call *call) {
    int64_t index;
    if (!command_integer(call, 1, &index)) return COMMAND_DONE;
    if (index != 0) {
        strobe_reply_error(call->reply, "ERR", "DB index is out of range");
    } else {
        strobe_reply_ok(call->reply);
    }
    return COMMAND_DONE;
}

/* ---- words about oneself -------------------------------------------------------------------------------- */

/* Printable and without spaces, as Redis wants names. */
static bool is_plain(struct strobe_slice word) {
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '!' || word.data[i] > '~') return false;
    }
    return true;
}

/* Says WORD of this connection. An error, in which it is called NAME, is written when it answers false. */
static bool say(struct command_call *call, enum client_word which, struct strobe_slice word, const char *name) {
    if (!is_plain(word)) {
        strobe_reply_errorf(call->reply, "ERR", "%s cannot contain spaces, newlines or special characters.", name);
        return false;
    }
    if (word.len > CLIENT_WORD_MAX) {
        strobe_reply_errorf(call->reply, "ERR", "%s is longer than %d bytes", name, (int)CLIENT_WORD_MAX);
        return false;
    }
    if (client_say(services_clients(call->services), call->session->client, which, word)) return true;
    command_error_status(call, STROBE_NO_MEMORY);
    return false;
}

enum command_outcome cmd_client_setname(struct command_call *call) {
    if (say(call, CLIENT_NAME, command_arg(call, 2), "Client names")) strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

enum command_outcome cmd_client_setinfo(struct command_call *call) {
    struct strobe_slice option = command_arg(call, 2), word = command_arg(call, 3);
    bool said = false;
    if (command_is(call, 2, "LIB-NAME")) {
        said = say(call, CLIENT_LIB_NAME, word, "lib-name");
    } else if (command_is(call, 2, "LIB-VER")) {
        said = say(call, CLIENT_LIB_VER, word, "lib-ver");
    } else {
        strobe_reply_errorf(call->reply, "ERR", "Unrecognized option '%.*s'",
                            (int)(option.len > 128 ? 128 : option.len), option.data);
    }
    if (said) strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

enum command_outcome cmd_client_getname(struct command_call *call) {
    const char *name = client_word(call->session->client, CLIENT_NAME);
    if (name[0] == '\0') {
        strobe_reply_null(call->reply);
    } else {
        strobe_reply_bulk(call->reply, strobe_slice_make(name, strlen(name)));
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_client_id(struct command_call *call) {
    strobe_reply_integer(call->reply, (int64_t)call->session->client->id);
    return COMMAND_DONE;
}

enum command_outcome cmd_reset(struct command_call *call) {
    transaction_free(session_take_transaction(call->session));
    session_set_resp(call->session, call->reply, STROBE_RESP2);
    if (say(call, CLIENT_NAME, STROBE_SLICE(""), "Client names")) {
        strobe_reply_status(call->reply, STROBE_SLICE("RESET"));
    }
    return COMMAND_DONE;
}

/* ---- HELLO ---------------------------------------------------------------------------------------------- */

/* Reads HELLO's options; *NAME is the word after SETNAME. There is no password yet, so AUTH is right for
 * the user that Redis would have then. An error is written when it answers false. */
static bool read_hello_options(struct command_call *call, size_t *name) {
    for (size_t i = 2; i < command_argc(call); i++) {
        size_t more = command_argc(call) - 1 - i;
        if (command_is(call, i, "SETNAME") && more >= 1) {
            *name = ++i;
        } else if (command_is(call, i, "AUTH") && more >= 2) {
            if (!strobe_slice_equal(command_arg(call, i + 1), STROBE_SLICE("default"))) {
                strobe_reply_error(call->reply, "WRONGPASS", "invalid username-password pair or user is disabled.");
                return false;
            }
            i += 2;
        } else {
            struct strobe_slice word = command_arg(call, i);
            strobe_reply_errorf(call->reply, "ERR", "Syntax error in HELLO option '%.*s'",
                                (int)(word.len > 128 ? 128 : word.len), word.data);
            return false;
        }
    }
    return true;
}

static void reply_hello(struct command_call *call) {
    struct strobe_reply *reply = call->reply;
    strobe_reply_map(reply, 7);
    strobe_reply_bulk(reply, STROBE_SLICE("server"));
    strobe_reply_bulk(reply, STROBE_SLICE("redis"));
    strobe_reply_bulk(reply, STROBE_SLICE("version"));
    strobe_reply_bulk(reply, STROBE_SLICE(INFO_REDIS_VERSION));
    strobe_reply_bulk(reply, STROBE_SLICE("proto"));
    strobe_reply_integer(reply, call->session->resp);
    strobe_reply_bulk(reply, STROBE_SLICE("id"));
    strobe_reply_integer(reply, (int64_t)call->session->client->id);
    strobe_reply_bulk(reply, STROBE_SLICE("mode"));
    strobe_reply_bulk(reply, STROBE_SLICE("standalone"));
    strobe_reply_bulk(reply, STROBE_SLICE("role"));
    strobe_reply_bulk(reply, STROBE_SLICE("master"));
    strobe_reply_bulk(reply, STROBE_SLICE("modules"));
    strobe_reply_array(reply, 0);
}

enum command_outcome cmd_hello(struct command_call *call) {
    int64_t version = call->session->resp;
    size_t name = 0;
    if (command_argc(call) >= 2) {
        if (!strobe_number_parse_int64(command_arg(call, 1), &version)) {
            strobe_reply_error(call->reply, "ERR", "Protocol version is not an integer or out of range");
            return COMMAND_DONE;
        }
        if (version != STROBE_RESP2 && version != STROBE_RESP3) {
            strobe_reply_error(call->reply, "NOPROTO", "unsupported protocol version");
            return COMMAND_DONE;
        }
    }
    if (!read_hello_options(call, &name)) return COMMAND_DONE;
    if (name != 0 && !say(call, CLIENT_NAME, command_arg(call, name), "Client names")) return COMMAND_DONE;
    session_set_resp(call->session, call->reply, (enum strobe_resp_version)version);
    reply_hello(call);
    return COMMAND_DONE;
}

/* ---- CLIENT LIST ---------------------------------------------------------------------------------------- */

struct list {
    struct text text;
    uint64_t now_ms;
    const struct command_call *call;
    size_t first_id; /* word of the first wanted id; 0: all */
};

static uint64_t age(uint64_t now, uint64_t then) {
    return now > then ? (now - then) / 1000 : 0;
}

static void describe(struct text *text, const struct client *client, uint64_t now) {
    const char *command = atomic_load_explicit(&client->command, memory_order_relaxed);
    size_t held = atomic_load_explicit(&client->input_held, memory_order_relaxed);
    size_t input = atomic_load_explicit(&client->input_memory, memory_order_relaxed);
    size_t output = atomic_load_explicit(&client->output_memory, memory_order_relaxed);
    int waiting = atomic_load_explicit(&client->waiting, memory_order_relaxed);
    text_addf(text,
              "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s db=0 sub=0 psub=0 ssub=0 multi=%d",
              (unsigned long long)client->id, client->peer, client->local, client->fd, client_word(client, CLIENT_NAME),
              (unsigned long long)age(now, client->since_ms),
              (unsigned long long)age(now, atomic_load_explicit(&client->active_ms, memory_order_relaxed)),
              waiting >= 0 ? "x" : "N", waiting);
    text_addf(text, " qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=%zu tot-mem=%zu", held,
              input > held ? input - held : 0, output, input + output);
    text_addf(text, " events=r cmd=%s user=default redir=-1 resp=%u", command == NULL ? "NULL" : command,
              atomic_load_explicit(&client->resp, memory_order_relaxed));
    text_addf(text, " lib-name=%s", client_word(client, CLIENT_LIB_NAME));
    text_addf(text, " lib-ver=%s", client_word(client, CLIENT_LIB_VER));
    text_addf(text, " door=%s loop=%u\n", client->door, client->loop);
}

static bool is_listed(const struct list *list, uint64_t id) {
    if (list->first_id == 0) return true;
    for (size_t i = list->first_id; i < command_argc(list->call); i++) {
        uint64_t wanted;
        if (strobe_number_parse_uint64(command_arg(list->call, i), &wanted) && wanted == id) return true;
    }
    return false;
}

static bool list_client(void *context, const struct client *client) {
    struct list *list = context;
    if (is_listed(list, client->id)) describe(&list->text, client, list->now_ms);
    return !list->text.failed;
}

static bool list_own(void *context, const struct client *client) {
    struct list *list = context;
    if (client != list->call->session->client) return true;
    describe(&list->text, client, list->now_ms);
    return false;
}

static enum command_outcome reply_list(struct command_call *call, size_t first_id, bool own) {
    struct list list = {.now_ms = strobe_map_tick(call->map), .call = call, .first_id = first_id};
    text_init(&list.text);
    clients_visit(services_clients(call->services), own ? list_own : list_client, &list);
    if (list.text.failed) {
        command_error_status(call, STROBE_NO_MEMORY);
    } else {
        strobe_reply_verbatim(call->reply, "txt", text_slice(&list.text));
    }
    text_fini(&list.text);
    return COMMAND_DONE;
}

enum command_outcome cmd_client_info(struct command_call *call) {
    return reply_list(call, 0, true);
}

enum command_outcome cmd_client_list(struct command_call *call) {
    if (command_argc(call) == 2) return reply_list(call, 0, false);
    if (command_argc(call) == 4 && command_is(call, 2, "TYPE")) {
        struct strobe_slice type = command_arg(call, 3);
        if (command_is(call, 3, "normal")) return reply_list(call, 0, false);
        if (command_is(call, 3, "master") || command_is(call, 3, "replica") || command_is(call, 3, "slave") ||
            command_is(call, 3, "pubsub")) {
            strobe_reply_verbatim(call->reply, "txt", STROBE_SLICE(""));
            return COMMAND_DONE;
        }
        strobe_reply_errorf(call->reply, "ERR", "Unknown client type '%.*s'", (int)(type.len > 128 ? 128 : type.len),
                            type.data);
        return COMMAND_DONE;
    }
    if (command_argc(call) < 4 || !command_is(call, 2, "ID")) {
        command_error_syntax(call);
        return COMMAND_DONE;
    }
    for (size_t i = 3; i < command_argc(call); i++) {
        uint64_t id;
        if (!strobe_number_parse_uint64(command_arg(call, i), &id) || id == 0) {
            strobe_reply_error(call->reply, "ERR", "Invalid client ID");
            return COMMAND_DONE;
        }
    }
    return reply_list(call, 3, false);
}

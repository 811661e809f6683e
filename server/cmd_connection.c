/* cmd_connection.c - the commands about the connection itself; what CLIENT does to others is in cmd_client.c.
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
    session_end_monitor(call->session);
    session_set_replies(call->session, call->session->replies & SESSION_REPLIES_SKIP); /* its own may be skipped */
    client_mark(call->session->client, CLIENT_NO_EVICT, false);
    client_mark(call->session->client, CLIENT_NO_TOUCH, false);
    if (say(call, CLIENT_NAME, STROBE_SLICE(""), "Client names")) {
        strobe_reply_status(call->reply, STROBE_SLICE("RESET"));
    }
    return COMMAND_DONE;
}

/* ---- HELLO ---------------------------------------------------------------------------------------------- */

/* There is one user, who needs no password, as Redis has it when none is configured. An error is written when word I
 * names another. */
static bool is_user(struct command_call *call, size_t i) {
    if (strobe_slice_equal(command_arg(call, i), STROBE_SLICE("default"))) return true;
    strobe_reply_error(call->reply, "WRONGPASS", "invalid username-password pair or user is disabled.");
    return false;
}

enum command_outcome cmd_auth(struct command_call *call) {
    if (command_argc(call) > 3) {
        command_error_syntax(call);
    } else if (command_argc(call) == 2) {
        strobe_reply_error(call->reply, "ERR",
                           "AUTH <password> called without any password configured for the default user. Are you sure "
                           "your configuration is correct?");
    } else if (is_user(call, 1)) {
        strobe_reply_ok(call->reply);
    }
    return COMMAND_DONE;
}

/* Reads HELLO's options; *NAME is the word after SETNAME. An error is written when it answers false. */
static bool read_hello_options(struct command_call *call, size_t *name) {
    for (size_t i = 2; i < command_argc(call); i++) {
        size_t more = command_argc(call) - 1 - i;
        if (command_is(call, i, "SETNAME") && more >= 1) {
            *name = ++i;
        } else if (command_is(call, i, "AUTH") && more >= 2) {
            if (!is_user(call, i + 1)) return false;
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

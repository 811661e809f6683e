/* cmd_control.c - MONITOR and SHUTDOWN: the commands that concern the whole process. */
#include "server/clients.h"
#include "server/commands.h"
#include "server/log.h"
#include "server/monitors.h"
#include "server/services.h"
#include "server/session.h"

/* A second MONITOR is answered by nothing, as in Redis. */
enum command_outcome cmd_monitor(struct command_call *call) {
    struct session *session = call->session;
    if (call->exec != NULL || session->conn == NULL) {
        strobe_reply_error(call->reply, "ERR", "MONITOR isn't allowed for DENY BLOCKING client");
        return COMMAND_DONE;
    }
    if (session->monitor != NULL) return COMMAND_DONE;
    session->monitor = monitors_join(services_monitors(call->services), session->client->loop, session->conn);
    if (session->monitor == NULL) {
        command_error_status(call, STROBE_NO_MEMORY);
        return COMMAND_DONE;
    }
    client_mark(session->client, CLIENT_MONITORS, true);
    session_set_replies(session, session->replies);
    strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

struct shutdown {
    bool save, nosave, now, force, abort;
};

/* false: a word that is none of them, or two that contradict each other. */
static bool read_shutdown(const struct command_call *call, struct shutdown *how) {
    for (size_t i = 1; i < command_argc(call); i++) {
        if (command_is(call, i, "SAVE")) {
            how->save = true;
        } else if (command_is(call, i, "NOSAVE")) {
            how->nosave = true;
        } else if (command_is(call, i, "NOW")) {
            how->now = true;
        } else if (command_is(call, i, "FORCE")) {
            how->force = true;
        } else if (command_is(call, i, "ABORT")) {
            how->abort = true;
        } else {
            return false;
        }
    }
    return !(how->save && how->nosave) && !(how->abort && (how->save || how->nosave || how->now || how->force));
}

/* The stop waits for no replicas, so NOW changes nothing and ABORT finds nothing to abort. There is no file to SAVE to:
 * that is refused, unless FORCE says to stop all the same. */
enum command_outcome cmd_shutdown(struct command_call *call) {
    struct shutdown how = {.save = false};
    if (!read_shutdown(call, &how)) {
        command_error_syntax(call);
        return COMMAND_DONE;
    }
    if (how.abort) {
        strobe_reply_error(call->reply, "ERR", "No shutdown in progress.");
        return COMMAND_DONE;
    }
    struct log *log = services_log(call->services);
    const char *peer = call->session != NULL ? call->session->client->peer : "";
    if (how.save && !how.force) {
        log_warn(log, "server", "SHUTDOWN SAVE is refused: there is no data file peer=%s", peer);
        strobe_reply_error(call->reply, "ERR", "Errors trying to SHUTDOWN. Check logs.");
        return COMMAND_DONE;
    }
    log_info(log, "server", "SHUTDOWN peer=%s", peer);
    services_ask_stop(call->services);
    return COMMAND_CLOSE;
}

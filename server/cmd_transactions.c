/* cmd_transactions.c - MULTI, EXEC, DISCARD, WATCH, UNWATCH: the words around a transaction.
 *
 *     (none) --WATCH--> watching --MULTI--> waiting --EXEC--> executed, all at once, or not at all
 *        +----------------MULTI-------------^   +----DISCARD, RESET, the connection's end--> nothing
 *
 * Between MULTI and EXEC command_execute() calls commands_wait() in place of a row's handler, but for rows with
 * COMMAND_AT_ONCE. A command that is refused then (unknown, wrong number of words, not allowed, too much) spoils the
 * transaction: EXEC answers EXECABORT. */
#include "server/commands.h"
#include "server/exec.h"
#include "server/session.h"
#include "server/transaction.h"

enum command_outcome cmd_multi(struct command_call *call) {
    if (session_waits(call->session)) {
        strobe_reply_error(call->reply, "ERR", "MULTI calls can not be nested");
    } else if (session_multi(call->session)) {
        strobe_reply_ok(call->reply);
    } else {
        command_error_status(call, STROBE_NO_MEMORY);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_exec(struct command_call *call) {
    if (!session_waits(call->session)) {
        strobe_reply_error(call->reply, "ERR", "EXEC without MULTI");
        return COMMAND_DONE;
    }
    struct transaction *transaction = session_take_transaction(call->session);
    if (!transaction->spoiled) return exec_run(call, transaction);
    transaction_free(transaction);
    strobe_reply_error(call->reply, "EXECABORT", "Transaction discarded because of previous errors.");
    return COMMAND_DONE;
}

enum command_outcome cmd_discard(struct command_call *call) {
    if (!session_waits(call->session)) {
        strobe_reply_error(call->reply, "ERR", "DISCARD without MULTI");
        return COMMAND_DONE;
    }
    transaction_free(session_take_transaction(call->session));
    strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

enum command_outcome cmd_watch(struct command_call *call) {
    if (session_waits(call->session)) {
        strobe_reply_error(call->reply, "ERR", "WATCH inside MULTI is not allowed");
        return COMMAND_DONE;
    }
    struct transaction *transaction = session_transaction(call->session);
    if (transaction == NULL) {
        command_error_status(call, STROBE_NO_MEMORY);
    } else if (transaction_watch(transaction, call)) {
        strobe_reply_ok(call->reply);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_unwatch(struct command_call *call) {
    transaction_free(session_take_transaction(call->session));
    strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

void commands_wait(struct command_call *call) {
    struct session *session = call->session;
    if (call->command->flags & COMMAND_NO_MULTI) {
        strobe_reply_error(call->reply, "ERR", "Command not allowed inside a transaction");
        session_spoil(session);
    } else if (transaction_queue(session->transaction, call)) {
        session_queued(session);
        strobe_reply_status(call->reply, STROBE_SLICE("QUEUED"));
    } else {
        session_spoil(session);
    }
}

void commands_abort(struct command_call *call, const char *why) {
    transaction_free(session_take_transaction(call->session));
    strobe_reply_errorf(call->reply, "EXECABORT", "Transaction discarded because of: %s", why);
}

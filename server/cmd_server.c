/* cmd_server.c - the commands that tell about the server: INFO, TIME, SAVE and its kin, HELP. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "protocol/number.h"
#include "server/commands.h"
#include "server/info.h"
#include "server/metrics.h"
#include "server/services.h"
#include "server/text.h"

enum command_outcome cmd_info(struct command_call *call) {
    struct text text;
    text_init(&text);
    info_write(call->services, call->request->args + 1, command_argc(call) - 1, &text);
    return command_text(call, &text);
}

enum command_outcome cmd_time(struct command_call *call) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    strobe_reply_array(call->reply, 2);
    strobe_reply_bulk_uint64(call->reply, (uint64_t)now.tv_sec);
    strobe_reply_bulk_uint64(call->reply, (uint64_t)now.tv_nsec / 1000);
    return COMMAND_DONE;
}

/* ---- saving --------------------------------------------------------------------------------------------- */

/* Nothing was saved yet: the start stands for it, as in Redis. */
enum command_outcome cmd_lastsave(struct command_call *call) {
    strobe_reply_integer(call->reply, (int64_t)(metrics_start_ms(services_metrics(call->services)) / 1000));
    return COMMAND_DONE;
}

static enum command_outcome refuse_saving(struct command_call *call) {
    strobe_reply_error(call->reply, "ERR", "there is nothing to save to: this server has no data-file");
    return COMMAND_DONE;
}

enum command_outcome cmd_save(struct command_call *call) {
    return refuse_saving(call);
}

enum command_outcome cmd_bgsave(struct command_call *call) {
    if (command_argc(call) > 2 || (command_argc(call) == 2 && !command_is(call, 1, "SCHEDULE"))) {
        command_error_syntax(call);
        return COMMAND_DONE;
    }
    return refuse_saving(call);
}

#ifdef STROBE_DEBUG

/* DEBUG SLEEP seconds: this connection's loop does nothing meanwhile, which is what it is for. */
enum command_outcome cmd_debug(struct command_call *call) {
    double seconds;
    if (command_argc(call) != 3 || !command_is(call, 1, "SLEEP")) {
        struct strobe_slice word = command_arg(call, 1);
        strobe_reply_errorf(call->reply, "ERR",
                            "unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                            (int)(word.len > 128 ? 128 : word.len), word.data);
    } else if (!strobe_number_parse_double(command_arg(call, 2), &seconds) || seconds < 0 || seconds > 3600) {
        strobe_reply_error(call->reply, "ERR", "value is not a valid float");
    } else {
        struct timespec left = {.tv_sec = (time_t)seconds};
        left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
        while (nanosleep(&left, &left) != 0) continue;
        strobe_reply_ok(call->reply);
    }
    return COMMAND_DONE;
}

#endif

/* ---- HELP ----------------------------------------------------------------------------------------------- */

/* A row's name as it is typed: "CLIENT ID". */
static void add_name(struct text *text, const struct command *command) {
    for (size_t i = 0; i < command->name_len; i++) {
        char c = command->name[i];
        text_addf(text, "%c", c == '|' ? ' ' : c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    if (command->syntax[0] != '\0') text_addf(text, " %s", command->syntax);
}

static void add_group(struct text *text, const char *group) {
    text_addf(text, "\n%s\n", group);
    for (unsigned i = 0; i < command_count(); i++) {
        const struct command *command = &command_rows[i];
        if (strcmp(command->group, group) != 0 || command->run == cmd_container) continue;
        text_addf(text, "  ");
        add_name(text, command);
        text_addf(text, "\n      %s\n", command->summary);
    }
}

enum command_outcome cmd_help(struct command_call *call) {
    static const char *const groups[] = {"string", "generic", "transactions", "connection", "server"};
    struct text text;
    text_init(&text);
    if (command_argc(call) == 1) {
        text_addf(&text, "strobe %s: SET greeting hello, GET greeting, SCAN 0, QUIT. HELP name tells about one.\n",
                  services_version());
        for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) add_group(&text, groups[i]);
        return command_text(call, &text);
    }
    const struct command *command =
        command_find_words(services_commands(call->services), call->request->args + 1, command_argc(call) - 1);
    if (command == NULL) {
        text_addf(&text, "No such command. HELP alone lists all.\n");
        return command_text(call, &text);
    }
    add_name(&text, command);
    text_addf(&text, "\n  %s\n  since: %s\n  group: %s\n  cost: %s\n", command->summary, command->since, command->group,
              command->complexity);
    return command_text(call, &text);
}

/* CLIENT, CONFIG: only their subcommands do something. */
enum command_outcome cmd_container(struct command_call *call) {
    command_error_subcommand(call);
    return COMMAND_DONE;
}

/* Is SUB a subcommand of the container whose name with its '|' is the first PREFIX bytes of NAME? */
static bool is_sub(const struct command *sub, const char *name, size_t prefix) {
    return sub->name_len > prefix && memcmp(sub->name, name, prefix) == 0;
}

/* "CLIENT" or "SETINFO": LEN letters of a name, as they are typed, and then TAIL. */
static void reply_line(struct strobe_reply *reply, const char *name, size_t len, const char *tail) {
    char line[256];
    size_t at = 0;
    while (at < len) {
        line[at] = name[at] == '-' ? '-' : (char)(name[at] - 'a' + 'A');
        at++;
    }
    int more = snprintf(line + at, sizeof line - at, "%s", tail);
    strobe_reply_status(reply, strobe_slice_make(line, at + (size_t)more));
}

/* CLIENT HELP and its like: a line for each subcommand, and one for what it does, as Redis lays it out. */
enum command_outcome cmd_help_of_container(struct command_call *call) {
    const char *name = call->command->name;
    size_t prefix = (size_t)(strchr(name, '|') - name) + 1, lines = 1;
    for (unsigned i = 0; i < command_count(); i++) lines += is_sub(&command_rows[i], name, prefix) ? 2 : 0;
    strobe_reply_array(call->reply, lines);
    reply_line(call->reply, name, prefix - 1, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (unsigned i = 0; i < command_count(); i++) {
        const struct command *sub = &command_rows[i];
        char tail[160];
        if (!is_sub(sub, name, prefix)) continue;
        snprintf(tail, sizeof tail, "%s%s", sub->syntax[0] != '\0' ? " " : "", sub->syntax);
        reply_line(call->reply, sub->name + prefix, sub->name_len - prefix, tail);
        snprintf(tail, sizeof tail, "    %s.", sub->summary);
        reply_line(call->reply, sub->name, 0, tail);
    }
    return COMMAND_DONE;
}

/* cmd_command.c - COMMAND: what the rows of commands.def say, in the shapes that Redis 7 gives.
 *
 *     INFO  [name, arity, flags, first key, last key, step, categories, tips, key specifications, subcommands]
 *     DOCS  {name: {summary, since, group, complexity, arguments, subcommands}}
 *
 * Tips tell a cluster's proxy how to spread a command; there is no cluster, so there are none. */
#include <string.h>

#include "protocol/glob.h"
#include "server/commands.h"
#include "server/services.h"
#include "server/syntax.h"

/* Names in one INFO or DOCS, each of which writes kilobytes; bytes of a pattern, with which every name is matched. */
enum { NAMES_MAX = 512, PATTERN_MAX = 1024 };

static struct strobe_slice slice_of(const char *text) {
    return strobe_slice_make(text, strlen(text));
}

static bool is_sub(const struct command *command) {
    return memchr(command->name, '|', command->name_len) != NULL;
}

/* Is SUB a subcommand of COMMAND? */
static bool is_sub_of(const struct command *sub, const struct command *command) {
    return sub->name_len > command->name_len && sub->name[command->name_len] == '|' &&
           memcmp(sub->name, command->name, command->name_len) == 0;
}

static size_t count_subs(const struct command *command) {
    size_t count = 0;
    for (unsigned i = 0; i < command_count(); i++) count += is_sub_of(&command_rows[i], command);
    return count;
}

static size_t count_containers(void) {
    size_t count = 0;
    for (unsigned i = 0; i < command_count(); i++) count += !is_sub(&command_rows[i]);
    return count;
}

/* ---- categories ----------------------------------------------------------------------------------------- */

#define CATEGORY_LIST(X)         \
    X(KEYSPACE, "@keyspace")     \
    X(READ, "@read")             \
    X(WRITE, "@write")           \
    X(STRING, "@string")         \
    X(ADMIN, "@admin")           \
    X(FAST, "@fast")             \
    X(SLOW, "@slow")             \
    X(DANGEROUS, "@dangerous")   \
    X(CONNECTION, "@connection") \
    X(TRANSACTION, "@transaction")

enum category {
#define CATEGORY_ENUM(name, text) CATEGORY_##name,
    CATEGORY_LIST(CATEGORY_ENUM)
#undef CATEGORY_ENUM
        CATEGORIES
};

static const char *const category_names[] = {
#define CATEGORY_NAME(name, text) text,
    CATEGORY_LIST(CATEGORY_NAME)
#undef CATEGORY_NAME
};

static bool is_in(const struct command *command, enum category category) {
    unsigned flags = command->flags;
    bool container = (flags & COMMAND_CONTAINER) != 0;
    switch (category) {
    case CATEGORY_KEYSPACE:
        return (strcmp(command->group, "generic") == 0 && !container) || (flags & COMMAND_CAT_KEYSPACE) != 0;
    case CATEGORY_READ: return (flags & COMMAND_READONLY) != 0;
    case CATEGORY_WRITE: return (flags & COMMAND_WRITE) != 0;
    case CATEGORY_STRING: return strcmp(command->group, "string") == 0;
    case CATEGORY_ADMIN: return (flags & (COMMAND_ADMIN | COMMAND_CAT_ADMIN)) != 0;
    case CATEGORY_FAST: return (flags & COMMAND_FAST) != 0;
    case CATEGORY_SLOW: return (flags & COMMAND_FAST) == 0;
    case CATEGORY_DANGEROUS: return (flags & (COMMAND_ADMIN | COMMAND_CAT_DANGEROUS)) != 0;
    case CATEGORY_CONNECTION:
        return (strcmp(command->group, "connection") == 0 && !container) || (flags & COMMAND_CAT_CONNECTION) != 0;
    case CATEGORY_TRANSACTION: return strcmp(command->group, "transactions") == 0;
    case CATEGORIES: break;
    }
    return false;
}

/* ---- COMMAND INFO --------------------------------------------------------------------------------------- */

static void write_flags(struct strobe_reply *reply, unsigned flags) {
    static const char *const names[] = {
#define FLAG_NAME(name, text) text,
        COMMAND_FLAG_LIST(FLAG_NAME)
#undef FLAG_NAME
    };
    size_t count = 0;
    for (unsigned bit = 0; bit < COMMAND_BITS; bit++) count += flags >> bit & 1;
    strobe_reply_set(reply, count);
    for (unsigned bit = 0; bit < COMMAND_BITS; bit++) {
        if (flags >> bit & 1) strobe_reply_status(reply, slice_of(names[bit]));
    }
}

static void write_categories(struct strobe_reply *reply, const struct command *command) {
    size_t count = 0;
    for (unsigned i = 0; i < CATEGORIES; i++) count += is_in(command, (enum category)i);
    strobe_reply_set(reply, count);
    for (unsigned i = 0; i < CATEGORIES; i++) {
        if (is_in(command, (enum category)i)) strobe_reply_status(reply, slice_of(category_names[i]));
    }
}

/* The words of TEXT up to a ';', as a set. Returns what follows the ';'. */
static const char *write_words(struct strobe_reply *reply, const char *text) {
    size_t len = strcspn(text, ";"), words = 1;
    for (size_t i = 0; i < len; i++) words += text[i] == ' ';
    strobe_reply_set(reply, words);
    for (size_t at = 0; at < len;) {
        size_t word = strcspn(text + at, " ;");
        strobe_reply_status(reply, strobe_slice_make(text + at, word));
        at += word + 1;
    }
    return text[len] == ';' ? text + len + 1 : text + len;
}

/* The head of a part of a key place: its name, its type, and the map of COUNT members that follow. */
static void write_spec(struct strobe_reply *reply, struct strobe_slice name, struct strobe_slice type, size_t count) {
    strobe_reply_bulk(reply, name);
    strobe_reply_map(reply, 2);
    strobe_reply_bulk(reply, STROBE_SLICE("type"));
    strobe_reply_bulk(reply, type);
    strobe_reply_bulk(reply, STROBE_SLICE("spec"));
    strobe_reply_map(reply, count);
}

/* One place where keys stand: from word FIRST on, LAST words further (-1: to the end), every STEP. */
static const char *write_key_place(struct strobe_reply *reply, const char *key_flags, int first, int last, int step) {
    strobe_reply_map(reply, 3);
    strobe_reply_bulk(reply, STROBE_SLICE("flags"));
    const char *rest = write_words(reply, key_flags);
    write_spec(reply, STROBE_SLICE("begin_search"), STROBE_SLICE("index"), 1);
    strobe_reply_bulk(reply, STROBE_SLICE("index"));
    strobe_reply_integer(reply, first);
    write_spec(reply, STROBE_SLICE("find_keys"), STROBE_SLICE("range"), 3);
    strobe_reply_bulk(reply, STROBE_SLICE("lastkey"));
    strobe_reply_integer(reply, last);
    strobe_reply_bulk(reply, STROBE_SLICE("keystep"));
    strobe_reply_integer(reply, step);
    strobe_reply_bulk(reply, STROBE_SLICE("limit"));
    strobe_reply_integer(reply, 0);
    return rest;
}

static void write_key_places(struct strobe_reply *reply, const struct command *command) {
    const char *rest = command->key_flags;
    bool each = strchr(rest, ';') != NULL; /* every key has its own flags */
    if (command->first_key == 0) {
        strobe_reply_set(reply, 0);
    } else if (!each) {
        strobe_reply_set(reply, 1);
        int last = command->last_key < 0 ? command->last_key : command->last_key - command->first_key;
        write_key_place(reply, rest, command->first_key, last, command->key_step);
    } else {
        strobe_reply_set(reply, (size_t)(command->last_key - command->first_key + 1));
        for (int i = command->first_key; i <= command->last_key; i++) rest = write_key_place(reply, rest, i, 0, 1);
    }
}

/* NULL: no such command. Subcommands have none of their own, so this goes one step deep. */
static void write_info(struct strobe_reply *reply, const struct command *command) {
    if (command == NULL) {
        strobe_reply_null(reply);
        return;
    }
    strobe_reply_array(reply, 10);
    strobe_reply_bulk(reply, strobe_slice_make(command->name, command->name_len));
    strobe_reply_integer(reply, command->arity);
    write_flags(reply, command->flags);
    strobe_reply_integer(reply, command->first_key);
    strobe_reply_integer(reply, command->last_key);
    strobe_reply_integer(reply, command->key_step);
    write_categories(reply, command);
    strobe_reply_set(reply, 0);
    write_key_places(reply, command);
    size_t subs = count_subs(command);
    if (subs == 0) {
        strobe_reply_set(reply, 0); /* Redis has an array of some, and a set of none */
    } else {
        strobe_reply_array(reply, subs);
    }
    for (unsigned i = 0; i < command_count(); i++) {
        if (is_sub_of(&command_rows[i], command)) write_info(reply, &command_rows[i]);
    }
}

/* Are the names of CALL, which begin with word 2, few enough? An error is written when not. */
static bool names_fit(struct command_call *call) {
    if (command_argc(call) - 2 <= NAMES_MAX) return true;
    strobe_reply_errorf(call->reply, "ERR", "more than %d commands at once", (int)NAMES_MAX);
    return false;
}

static enum command_outcome info_all(struct command_call *call) {
    strobe_reply_array(call->reply, count_containers());
    for (unsigned i = 0; i < command_count(); i++) {
        if (!is_sub(&command_rows[i])) write_info(call->reply, &command_rows[i]);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_command(struct command_call *call) {
    return info_all(call);
}

enum command_outcome cmd_command_info(struct command_call *call) {
    if (command_argc(call) == 2) return info_all(call);
    if (!names_fit(call)) return COMMAND_DONE;
    strobe_reply_array(call->reply, command_argc(call) - 2);
    for (size_t i = 2; i < command_argc(call); i++) {
        write_info(call->reply, command_find(services_commands(call->services), command_arg(call, i)));
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_command_count(struct command_call *call) {
    strobe_reply_integer(call->reply, (int64_t)count_containers());
    return COMMAND_DONE;
}

/* ---- COMMAND DOCS --------------------------------------------------------------------------------------- */

static void write_pair(struct strobe_reply *reply, const char *name, const char *text) {
    strobe_reply_bulk(reply, slice_of(name));
    strobe_reply_bulk(reply, slice_of(text));
}

static void write_docs(struct strobe_reply *reply, const struct command *command) {
    size_t subs = count_subs(command);
    bool arguments = command->syntax[0] != '\0';
    strobe_reply_bulk(reply, strobe_slice_make(command->name, command->name_len));
    strobe_reply_map(reply, 4 + (size_t)arguments + (subs > 0));
    write_pair(reply, "summary", command->summary);
    write_pair(reply, "since", command->since);
    write_pair(reply, "group", command->group);
    write_pair(reply, "complexity", command->complexity);
    if (arguments) {
        strobe_reply_bulk(reply, STROBE_SLICE("arguments"));
        syntax_write(reply, slice_of(command->syntax));
    }
    if (subs == 0) return;
    strobe_reply_bulk(reply, STROBE_SLICE("subcommands"));
    strobe_reply_map(reply, subs);
    for (unsigned i = 0; i < command_count(); i++) {
        if (is_sub_of(&command_rows[i], command)) write_docs(reply, &command_rows[i]);
    }
}

enum command_outcome cmd_command_docs(struct command_call *call) {
    const struct command_table *table = services_commands(call->services);
    if (command_argc(call) == 2) {
        strobe_reply_map(call->reply, count_containers());
        for (unsigned i = 0; i < command_count(); i++) {
            if (!is_sub(&command_rows[i])) write_docs(call->reply, &command_rows[i]);
        }
        return COMMAND_DONE;
    }
    if (!names_fit(call)) return COMMAND_DONE;
    size_t found = 0;
    for (size_t i = 2; i < command_argc(call); i++) found += command_find(table, command_arg(call, i)) != NULL;
    strobe_reply_map(call->reply, found);
    for (size_t i = 2; i < command_argc(call); i++) {
        const struct command *command = command_find(table, command_arg(call, i));
        if (command != NULL) write_docs(call->reply, command);
    }
    return COMMAND_DONE;
}

/* ---- COMMAND LIST and GETKEYS --------------------------------------------------------------------------- */

/* COMMAND LIST FILTERBY's condition: word 3 says which, word 4 what. */
static bool is_listed(const struct command_call *call, const struct command *command) {
    if (command_argc(call) == 2) return true;
    struct strobe_slice wanted = command_arg(call, 4);
    if (command_is(call, 3, "PATTERN")) {
        return strobe_glob_match_nocase(wanted, strobe_slice_make(command->name, command->name_len));
    }
    for (unsigned i = 0; command_is(call, 3, "ACLCAT") && i < CATEGORIES; i++) {
        if (strobe_slice_equal_nocase(slice_of(category_names[i] + 1), wanted)) return is_in(command, (enum category)i);
    }
    return false;
}

enum command_outcome cmd_command_list(struct command_call *call) {
    bool filter = command_argc(call) == 5 && command_is(call, 2, "FILTERBY") &&
                  (command_is(call, 3, "MODULE") || command_is(call, 3, "ACLCAT") || command_is(call, 3, "PATTERN"));
    if (command_argc(call) != 2 && !filter) {
        command_error_syntax(call);
        return COMMAND_DONE;
    }
    if (filter && command_arg(call, 4).len > PATTERN_MAX) {
        strobe_reply_errorf(call->reply, "ERR", "the pattern has more than %d bytes", (int)PATTERN_MAX);
        return COMMAND_DONE;
    }
    size_t count = 0;
    for (unsigned i = 0; i < command_count(); i++) count += is_listed(call, &command_rows[i]);
    strobe_reply_array(call->reply, count);
    for (unsigned i = 0; i < command_count(); i++) {
        const struct command *command = &command_rows[i];
        if (is_listed(call, command))
            strobe_reply_bulk(call->reply, strobe_slice_make(command->name, command->name_len));
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_command_getkeys(struct command_call *call) {
    const struct strobe_slice *words = call->request->args + 2;
    size_t count = command_argc(call) - 2;
    const struct command *command = command_find_words(services_commands(call->services), words, count);
    const char *complaint = NULL;
    if (command == NULL) {
        complaint = "Invalid command specified";
    } else if (command->first_key == 0) {
        complaint = "The command has no key arguments";
    } else if (command->arity > 0 ? count != (size_t)command->arity : count < (size_t)-command->arity) {
        complaint = "Invalid number of arguments specified for command";
    }
    if (complaint != NULL) {
        strobe_reply_error(call->reply, "ERR", complaint);
        return COMMAND_DONE;
    }
    size_t first = (size_t)command->first_key, step = (size_t)command->key_step;
    size_t last = command->last_key < 0 ? count - (size_t)-command->last_key : (size_t)command->last_key;
    strobe_reply_array(call->reply, (last - first) / step + 1);
    for (size_t i = first; i <= last; i += step) strobe_reply_bulk(call->reply, words[i]);
    return COMMAND_DONE;
}

/* command.c - finds the row of a request and runs it; the words that all handlers share.
 *
 *     words -> command_find_words -> row -> arity -> handler -> reply
 *                 hash of the name, whatever the case
 *
 * Always: a call writes exactly one reply, or leaves a job that will. A reply that ran out of memory is
 * taken back and an error put in its place; what the command did to the map stays done.
 * Not here: what commands do (cmd_*.c), COMMAND and its documentation (cmd_command.c). */
#include "server/command.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/number.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/exec.h"
#include "server/large_words.h"
#include "server/metrics.h"
#include "server/services.h"
#include "server/session.h"
#include "server/text.h"

static_assert(STROBE_COPY_MAX == STROBE_BLOB_MIN, "a value that is not copied has a blob to hold");

enum {
    TABLE_SLOTS = 512, /* a power of two, at least twice the rows */
    NAME_MAX_LEN = 48, /* of "container|subcommand" */
    ARGS_SHOWN = 128   /* bytes of a request that an error repeats */
};

#define FLAGS1(a)                      COMMAND_##a
#define FLAGS2(a, b)                   FLAGS1(a) | COMMAND_##b
#define FLAGS3(a, b, c)                FLAGS2(a, b) | COMMAND_##c
#define FLAGS4(a, b, c, d)             FLAGS3(a, b, c) | COMMAND_##d
#define FLAGS5(a, b, c, d, e)          FLAGS4(a, b, c, d) | COMMAND_##e
#define FLAGS6(a, b, c, d, e, f)       FLAGS5(a, b, c, d, e) | COMMAND_##f
#define FLAGS7(a, b, c, d, e, f, g)    FLAGS6(a, b, c, d, e, f) | COMMAND_##g
#define FLAGS8(a, b, c, d, e, f, g, h) FLAGS7(a, b, c, d, e, f, g) | COMMAND_##h

#define COMMAND(name, run, arity, flags, first, last, step, key_flags, group, since, complexity, summary, syntax) \
    {name, sizeof(name) - 1, run,   arity, flags,      first,   last,                                             \
     step, key_flags,        group, since, complexity, summary, syntax},
const struct command command_rows[] = {
#include "server/commands.def"
};
#undef COMMAND

enum { COMMAND_ROWS = sizeof command_rows / sizeof command_rows[0] };
static_assert((int)COMMAND_ROWS <= (int)METRICS_COMMANDS_MAX, "metrics has a place for each row");
static_assert(COMMAND_ROWS * 2 <= TABLE_SLOTS, "the table stays half empty, so that probing is short");

unsigned command_count(void) {
    return COMMAND_ROWS;
}

/* ---- finding a row -------------------------------------------------------------------------------------- */

struct command_table {
    uint16_t slots[TABLE_SLOTS]; /* row + 1; 0: empty */
};

static unsigned name_hash(struct strobe_slice name) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.len; i++) hash = (hash ^ ((unsigned char)name.data[i] | 0x20u)) * 16777619u;
    return (hash ^ hash >> 15) & (TABLE_SLOTS - 1);
}

static struct strobe_slice name_of(const struct command *command) {
    return strobe_slice_make(command->name, command->name_len);
}

struct command_table *command_table_new(void) {
    struct command_table *table = calloc(1, sizeof *table);
    if (table == NULL) return NULL;
    for (unsigned row = 0; row < COMMAND_ROWS; row++) {
        assert(command_rows[row].name_len <= NAME_MAX_LEN);
        unsigned slot = name_hash(name_of(&command_rows[row]));
        while (table->slots[slot] != 0) slot = (slot + 1) & (TABLE_SLOTS - 1);
        table->slots[slot] = (uint16_t)(row + 1);
    }
    return table;
}

void command_table_free(struct command_table *table) {
    free(table);
}

const struct command *command_find(const struct command_table *table, struct strobe_slice name) {
    if (name.len == 0 || name.len > NAME_MAX_LEN) return NULL;
    for (unsigned slot = name_hash(name); table->slots[slot] != 0; slot = (slot + 1) & (TABLE_SLOTS - 1)) {
        const struct command *command = &command_rows[table->slots[slot] - 1];
        if (strobe_slice_equal_nocase(name_of(command), name)) return command;
    }
    return NULL;
}

const struct command *command_find_words(const struct command_table *table, const struct strobe_slice *words,
                                         size_t count) {
    const struct command *command = command_find(table, words[0]);
    if (command == NULL || memchr(command->name, '|', command->name_len) != NULL) return NULL;
    if (!(command->flags & COMMAND_CONTAINER) || count < 2) return command;
    char both[NAME_MAX_LEN];
    size_t len = words[0].len + 1 + words[1].len;
    if (words[1].len > sizeof both || len > sizeof both) return command;
    memcpy(both, words[0].data, words[0].len);
    both[words[0].len] = '|';
    if (words[1].len > 0) memcpy(both + words[0].len + 1, words[1].data, words[1].len);
    const struct command *sub = command_find(table, strobe_slice_make(both, len));
    return sub != NULL ? sub : command;
}

/* ---- a call --------------------------------------------------------------------------------------------- */

void command_prepare(struct command_call *call) {
    const struct strobe_request *request = call->request;
    call->command = command_find_words(services_commands(call->services), request->args, request->argc);
    call->key.data = NULL;
    call->job = NULL;
    call->ran = false;
    if (call->command == NULL) return;
    size_t first = (size_t)call->command->first_key;
    if (first == 0 || first >= request->argc || !command_is_key(request->args[first])) return;
    call->key = strobe_key(call->map, request->args[first].data, request->args[first].len);
}

/* Room of LEFT bytes for text: appends BYTES up to a NUL, as Redis's own formatting would. */
static size_t append_shown(char *text, size_t at, size_t size, struct strobe_slice bytes) {
    for (size_t i = 0; i < bytes.len && at < size && bytes.data[i] != '\0'; i++) text[at++] = bytes.data[i];
    return at;
}

static void error_unknown(struct command_call *call) {
    char shown[ARGS_SHOWN * 2 + 8], name[ARGS_SHOWN];
    size_t at = 0;
    for (size_t i = 1; i < command_argc(call) && at < ARGS_SHOWN; i++) {
        size_t most = ARGS_SHOWN - at;
        shown[at++] = '\'';
        size_t end = at + most;
        at = append_shown(shown, at, end, command_arg(call, i));
        shown[at++] = '\'';
        shown[at++] = ' ';
    }
    size_t len = append_shown(name, 0, sizeof name, command_arg(call, 0));
    strobe_reply_errorf(call->reply, "ERR", "unknown command '%.*s', with args beginning with: %.*s", (int)len, name,
                        (int)at, shown);
}

static bool arity_fits(const struct command *command, size_t argc) {
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

bool command_fits(const struct command_call *call) {
    const struct command *command = call->command;
    return command != NULL && arity_fits(command, command_argc(call)) &&
           (!(command->flags & COMMAND_CONTAINER) || command_argc(call) < 2);
}

void command_refuse(struct command_call *call, const char *text) {
    strobe_reply_error(call->reply, "ERR", text);
    if (call->session != NULL) session_spoil(call->session);
    metrics_rejected(call->metrics, command_number(call->command));
}

/* Does its row take CALL as it is? An error is written when not. */
static bool is_valid(struct command_call *call) {
    const struct command *command = call->command;
    if (call->large != NULL && large_words_lost(call->large)) {
        command_error_status(call, STROBE_NO_MEMORY);
    } else if (command == NULL) {
        error_unknown(call);
    } else if (!arity_fits(command, command_argc(call))) {
        command_error_arity(call);
    } else if ((command->flags & COMMAND_CONTAINER) && command_argc(call) >= 2) {
        command_error_subcommand(call);
    } else {
        return true;
    }
    return false;
}

static enum command_outcome run(struct command_call *call) {
    if (!is_valid(call)) {
        if (call->session != NULL) session_spoil(call->session);
        return COMMAND_DONE;
    }
    if (call->session != NULL && session_waits(call->session) && !(call->command->flags & COMMAND_AT_ONCE)) {
        commands_wait(call);
        return COMMAND_DONE;
    }
    call->ran = true;
    return call->command->run(call);
}

/* Counts CALL; FAILED: its reply is an error. One that waits for EXEC counts when that runs it. */
static void count(const struct command_call *call, bool failed) {
    if (call->ran) {
        metrics_command(call->metrics, command_number(call->command), failed);
    } else if (call->command == NULL) {
        metrics_count(call->metrics, METRICS_UNKNOWN_COMMANDS, 1);
    } else if (failed) {
        metrics_rejected(call->metrics, command_number(call->command));
    }
}

enum command_outcome command_execute(struct command_call *call) {
    struct strobe_reply *reply = call->reply;
    struct strobe_reply_mark mark = strobe_reply_mark(reply);
    enum command_outcome outcome = run(call);
    if (strobe_out_status(reply->out) == STROBE_BUF_NO_MEMORY && mark.out.status == STROBE_BUF_OK) {
        strobe_reply_rewind(reply, mark);
        strobe_reply_error(reply, "ERR", "out of memory for the reply");
    }
    count(call, reply->errors != mark.errors);
    return outcome;
}

/* ---- for handlers --------------------------------------------------------------------------------------- */

bool command_key(const struct command_call *call, size_t i, struct strobe_key *key) {
    struct strobe_slice word = command_arg(call, i);
    if (call->key.data == word.data && call->key.data != NULL) {
        *key = call->key;
        return true;
    }
    if (!command_is_key(word)) return false;
    *key = strobe_key(call->map, word.data, word.len);
    return true;
}

bool command_new_key(struct command_call *call, size_t i, struct strobe_key *key) {
    if (command_key(call, i, key)) return true;
    strobe_reply_error(call->reply, "ERR", "invalid key length");
    return false;
}

void command_free_entry(const struct command_call *call, struct strobe_entry *entry) {
    if (call->access != NULL) {
        exec_bury(call->exec, entry);
    } else {
        strobe_entry_free(call->map, entry);
    }
}

struct strobe_blob *command_blob(const struct command_call *call, size_t i) {
    if (call->exec != NULL) return exec_blob(call->exec, i);
    return call->large != NULL ? large_words_blob(call->large, i) : NULL;
}

uint64_t command_now(const struct command_call *call) {
    return call->access != NULL ? strobe_access_now(call->access) : strobe_map_tick(call->map);
}

enum strobe_status command_snapshot(const struct command_call *call, struct strobe_snapshot **snapshot) {
    return call->exec != NULL ? exec_snapshot(call->exec, snapshot) : strobe_snapshot_open(call->map, false, snapshot);
}

void command_error_syntax(struct command_call *call) {
    strobe_reply_error(call->reply, "ERR", "syntax error");
}

void command_error_integer(struct command_call *call) {
    strobe_reply_error(call->reply, "ERR", "value is not an integer or out of range");
}

void command_error_arity(struct command_call *call) {
    if (call->command->run == cmd_exec) {
        commands_abort(call, "wrong number of arguments for 'exec' command");
        return;
    }
    strobe_reply_errorf(call->reply, "ERR", "wrong number of arguments for '%s' command", call->command->name);
}

void command_error_expire(struct command_call *call) {
    strobe_reply_errorf(call->reply, "ERR", "invalid expire time in '%s' command", call->command->name);
}

void command_error_subcommand(struct command_call *call) {
    char word[ARGS_SHOWN], container[NAME_MAX_LEN];
    size_t len = append_shown(word, 0, sizeof word, command_arg(call, 1));
    for (size_t i = 0; i < call->command->name_len; i++) {
        char c = call->command->name[i];
        container[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    strobe_reply_errorf(call->reply, "ERR", "unknown subcommand '%.*s'. Try %.*s HELP.", (int)len, word,
                        (int)call->command->name_len, container);
}

void command_error_status(struct command_call *call, enum strobe_status status) {
    switch (status) {
    case STROBE_NO_MEMORY: strobe_reply_error(call->reply, "OOM", "out of memory, nothing was changed"); break;
    case STROBE_TOO_BIG: strobe_reply_error(call->reply, "ERR", "value is larger than max-value"); break;
    case STROBE_TOO_MANY: strobe_reply_error(call->reply, "ERR", "too many scans"); break;
    case STROBE_CLOSED:
        strobe_reply_error(call->reply, "NOSCAN", "the scan has expired; start again with SCAN 0");
        break;
    default: strobe_reply_error(call->reply, "ERR", strobe_status_text(status)); break;
    }
}

enum command_outcome command_text(struct command_call *call, struct text *text) {
    if (text->failed) {
        command_error_status(call, STROBE_NO_MEMORY);
    } else {
        strobe_reply_verbatim(call->reply, "txt", text_slice(text));
    }
    text_fini(text);
    return COMMAND_DONE;
}

bool command_integer(struct command_call *call, size_t i, int64_t *value) {
    if (strobe_number_parse_int64(command_arg(call, i), value)) return true;
    command_error_integer(call);
    return false;
}

size_t command_value_max(const struct command_call *call) {
    return (size_t)services_config(call->services)->max_value;
}

static void release_blob(void *owner) {
    strobe_blob_release(owner);
}

void command_value_part(struct strobe_reply *reply, const struct strobe_entry *entry, size_t start, size_t len) {
    size_t whole;
    struct strobe_slice part = {strobe_entry_value(entry, &whole) + start, len};
    assert(start <= whole && len <= whole - start);
    if (len >= STROBE_COPY_MAX) {
        struct strobe_blob *blob = strobe_entry_blob(entry);
        strobe_reply_bulk_borrowed(reply, part, release_blob, strobe_blob_share(blob));
        return;
    }
    char *room = strobe_reply_bulk_begin(reply, len);
    if (room != NULL && len > 0) memcpy(room, part.data, len);
    strobe_reply_bulk_end(reply);
}

void command_value(struct strobe_reply *reply, const struct strobe_entry *entry) {
    size_t len;
    if (entry == NULL) {
        strobe_reply_null(reply);
        return;
    }
    (void)strobe_entry_value(entry, &len);
    command_value_part(reply, entry, 0, len);
}

void command_looked(const struct command_call *call, uint64_t hits, uint64_t misses) {
    if (hits != 0) metrics_count(call->metrics, METRICS_HITS, hits);
    if (misses != 0) metrics_count(call->metrics, METRICS_MISSES, misses);
}

bool command_keys_fit(struct command_call *call, size_t count) {
    if (count <= STROBE_COMMAND_KEYS_MAX) return true;
    strobe_reply_errorf(call->reply, "ERR", "too many keys in one command (%zu at most)", STROBE_COMMAND_KEYS_MAX);
    return false;
}

/* cmd_config.c - CONFIG: GET, SET, RESETSTAT, REWRITE.
 *
 * strobe's options go by their own names, and by those of Redis's that clients and tools ask for: some are ours under
 * another name, others have one value here and take no other. SET changes all that is named, or nothing, and is
 * answered when every loop has taken it over. What cannot change while the server runs is refused, and so are paths:
 * whoever can reach the port could otherwise have the log written to a file of their choice. max-clients is what holds:
 * GET tells what the limit on descriptors leaves of it, and SET refuses more; REWRITE keeps what was asked for. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/glob.h"
#include "protocol/number.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/info.h"
#include "server/log.h"
#include "server/roll_job.h"
#include "server/services.h"
#include "server/settings.h"

enum {
    NAME_MAX_LEN = 64,
    SHOWN = 128,
    PATTERNS_MAX = 8192 /* bytes of GET's words, one more for each: every name is matched with every word */
};

static struct strobe_slice slice_of(const char *text) {
    return strobe_slice_make(text, strlen(text));
}

/* ---- names ---------------------------------------------------------------------------------------------- */

/* What Redis's names stand for. */
enum kind {
    KIND_OPTION,       /* one of ours, in the same units */
    KIND_SECONDS,      /* one of ours, a time */
    KIND_MICROSECONDS, /* the same; -1 is never, which is the most that ours can be */
    KIND_LEVEL,        /* one of ours, a log level */
    KIND_FIXED,        /* always the same; to set that is allowed */
    KIND_IMMUTABLE,    /* the same, but Redis does not change it either */
    KIND_PROTECTED
};

static const struct alias {
    const char *name, *option, *value;
    enum kind kind;
} aliases[] = {
    {"appendfsync", NULL, "no", KIND_FIXED},
    {"appendonly", NULL, "no", KIND_FIXED},
    {"cluster-enabled", NULL, "no", KIND_IMMUTABLE},
    {"daemonize", NULL, "no", KIND_IMMUTABLE},
    {"databases", NULL, "1", KIND_IMMUTABLE},
    {"dbfilename", NULL, "", KIND_PROTECTED},
    {"dir", NULL, "", KIND_PROTECTED},
    {"io-threads", "threads", NULL, KIND_IMMUTABLE},
    {"logfile", "log-file", NULL, KIND_IMMUTABLE},
    {"loglevel", "log-level", NULL, KIND_LEVEL},
    {"maxclients", "max-clients", NULL, KIND_OPTION},
    {"maxmemory", NULL, "0", KIND_FIXED},
    {"maxmemory-policy", NULL, "noeviction", KIND_FIXED},
    {"notify-keyspace-events", NULL, "", KIND_FIXED},
    {"proto-max-bulk-len", "max-value", NULL, KIND_OPTION},
    {"requirepass", NULL, "", KIND_FIXED},
    {"save", NULL, "", KIND_FIXED},
    {"slowlog-log-slower-than", "slowlog-threshold", NULL, KIND_MICROSECONDS},
    {"slowlog-max-len", "slowlog-length", NULL, KIND_OPTION},
    {"tcp-keepalive", NULL, "300", KIND_FIXED},
    {"timeout", "idle-timeout", NULL, KIND_SECONDS},
    {"unixsocket", "unix-socket", NULL, KIND_IMMUTABLE},
};
enum { ALIASES = sizeof aliases / sizeof aliases[0] };

/* Redis's levels and ours; of two for one of ours the first is what we are called. */
static const struct {
    const char *redis, *ours;
} levels[] = {{"debug", "debug"}, {"notice", "info"}, {"verbose", "info"}, {"warning", "warn"}, {"nothing", "error"}};
enum { LEVELS = sizeof levels / sizeof levels[0] };

/* A name that CONFIG knows: an option of ours, maybe under Redis's name. */
struct parameter {
    const struct alias *alias; /* NULL: our own name */
    size_t option;             /* config_options(): none */
};

static bool find_parameter(struct strobe_slice word, struct parameter *parameter) {
    char name[NAME_MAX_LEN];
    *parameter = (struct parameter){.option = config_options()};
    if (word.len >= sizeof name || (word.len > 0 && memchr(word.data, '\0', word.len) != NULL)) return false;
    snprintf(name, sizeof name, "%.*s", (int)word.len, word.data);
    if (config_find(name, &parameter->option)) return true;
    for (size_t i = 0; i < ALIASES; i++) {
        if (!strobe_slice_equal_nocase(slice_of(aliases[i].name), word)) continue;
        parameter->alias = &aliases[i];
        if (aliases[i].option != NULL) (void)config_find(aliases[i].option, &parameter->option);
        return true;
    }
    return false;
}

static const char *name_of(const struct parameter *parameter) {
    return parameter->alias != NULL ? parameter->alias->name : config_option_name(parameter->option);
}

static bool is_max_clients(const struct parameter *parameter) {
    return parameter->option < config_options() && strcmp(config_option_name(parameter->option), "max-clients") == 0;
}

/* ---- GET ------------------------------------------------------------------------------------------------ */

static bool has_wildcards(struct strobe_slice pattern) {
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.data[i] != '\0' && strchr("*?[", pattern.data[i]) != NULL) return true;
    }
    return false;
}

/* The word of CALL that asks for NAME: 0 when none does. */
static size_t word_for(const struct command_call *call, const char *name) {
    for (size_t i = 2; i < command_argc(call); i++) {
        if (strobe_glob_match_nocase(command_arg(call, i), slice_of(name))) return i;
    }
    return 0;
}

static struct strobe_slice level_text(struct strobe_slice ours) {
    for (size_t i = 0; i < LEVELS; i++) {
        if (strobe_slice_equal(slice_of(levels[i].ours), ours)) return slice_of(levels[i].redis);
    }
    return ours;
}

static void reply_microseconds(struct command_call *call, size_t option, uint64_t ms) {
    uint64_t least, most;
    config_option_bounds(option, &least, &most);
    if (ms == most) {
        strobe_reply_bulk(call->reply, STROBE_SLICE("-1"));
    } else {
        strobe_reply_bulk_uint64(call->reply, ms * 1000);
    }
}

/* Under Redis's name an option that is not set is "", and a time in seconds. */
static void reply_value(struct command_call *call, const struct parameter *parameter) {
    const struct config *config = services_config(call->services);
    char text[CONFIG_VALUE_TEXT];
    if (parameter->option == config_options()) {
        strobe_reply_bulk(call->reply, slice_of(parameter->alias->value));
        return;
    }
    struct strobe_slice value = strobe_slice_make(text, config_option_text(config, parameter->option, text));
    if (is_max_clients(parameter)) {
        strobe_reply_bulk_uint64(call->reply, services_clients_max(call->services));
    } else if (parameter->alias == NULL) {
        strobe_reply_bulk(call->reply, value);
    } else if (parameter->alias->kind == KIND_SECONDS) {
        strobe_reply_bulk_uint64(call->reply, (config->idle_timeout + 999) / 1000);
    } else if (parameter->alias->kind == KIND_MICROSECONDS) {
        reply_microseconds(call, parameter->option, config->slowlog_threshold);
    } else if (parameter->alias->kind == KIND_LEVEL) {
        strobe_reply_bulk(call->reply, level_text(value));
    } else {
        strobe_reply_bulk(call->reply, strobe_slice_equal(value, STROBE_SLICE("none")) ? STROBE_SLICE("") : value);
    }
}

/* Name and value of the parameter NAME, if it is asked for: one that is named is called as it was. */
static void reply_parameter(struct command_call *call, const char *name) {
    size_t word = word_for(call, name);
    struct parameter parameter;
    if (word == 0 || !find_parameter(slice_of(name), &parameter)) return;
    strobe_reply_bulk(call->reply, has_wildcards(command_arg(call, word)) ? slice_of(name) : command_arg(call, word));
    reply_value(call, &parameter);
}

static bool patterns_fit(const struct command_call *call) {
    size_t bytes = 0;
    for (size_t i = 2; i < command_argc(call) && bytes <= PATTERNS_MAX; i++) bytes += command_arg(call, i).len + 1;
    return bytes <= PATTERNS_MAX;
}

enum command_outcome cmd_config_get(struct command_call *call) {
    size_t count = 0;
    if (!patterns_fit(call)) {
        strobe_reply_errorf(call->reply, "ERR", "the patterns have more than %d bytes together", (int)PATTERNS_MAX);
        return COMMAND_DONE;
    }
    for (size_t i = 0; i < config_options(); i++) count += word_for(call, config_option_name(i)) != 0;
    for (size_t i = 0; i < ALIASES; i++) count += word_for(call, aliases[i].name) != 0;
    strobe_reply_map(call->reply, count);
    for (size_t i = 0; i < config_options(); i++) reply_parameter(call, config_option_name(i));
    for (size_t i = 0; i < ALIASES; i++) reply_parameter(call, aliases[i].name);
    return COMMAND_DONE;
}

/* ---- SET ------------------------------------------------------------------------------------------------ */

/* What is to be set, pair for pair of CALL's words from 2 on, and what is wrong with one of them. */
struct setting {
    struct command_call *call;
    struct parameter *parameters;
    size_t count;
    const char *culprit;
    char why[CONFIG_ERROR_TEXT];
};

static bool refuse(struct setting *setting, const char *culprit, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool refuse(struct setting *setting, const char *culprit, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(setting->why, sizeof setting->why, format, arguments);
    va_end(arguments);
    setting->culprit = culprit;
    return false;
}

/* Why PARAMETER cannot be set at all, or NULL. */
static const char *why_not(const struct parameter *parameter) {
    if (parameter->alias != NULL && parameter->alias->kind == KIND_IMMUTABLE) return "can't set immutable config";
    if (parameter->alias != NULL && parameter->alias->kind == KIND_PROTECTED) return "can't set protected config";
    if (parameter->option == config_options() || config_option_settable(parameter->option)) return NULL;
    return "can't set immutable config";
}

static bool is_twice(const struct setting *setting, size_t last) {
    const struct parameter *parameter = &setting->parameters[last];
    for (size_t i = 0; i < last; i++) {
        const struct parameter *before = &setting->parameters[i];
        if (before->option == parameter->option &&
            (before->option < config_options() || before->alias == parameter->alias)) {
            return true;
        }
    }
    return false;
}

/* Finds what is named. An error is written, or said in SETTING, when it answers false. */
static bool read_names(struct setting *setting) {
    for (size_t i = 0; i < setting->count; i++) {
        struct strobe_slice word = command_arg(setting->call, 2 + 2 * i);
        struct parameter *parameter = &setting->parameters[i];
        if (!find_parameter(word, parameter)) {
            int len = (int)(word.len < SHOWN ? word.len : SHOWN);
            strobe_reply_errorf(setting->call->reply, "ERR",
                                "Unknown option or number of arguments for CONFIG SET - '%.*s'", len, word.data);
            return false;
        }
        const char *why = why_not(parameter);
        if (why != NULL) return refuse(setting, name_of(parameter), "%s", why);
        if (is_twice(setting, i)) return refuse(setting, name_of(parameter), "duplicate parameter");
    }
    return true;
}

/* Sets an option under Redis's name; errors in Redis's words. */
static bool set_alias(struct setting *setting, const struct parameter *parameter, struct config *fresh,
                      char text[CONFIG_VALUE_TEXT]) {
    const struct alias *alias = parameter->alias;
    uint64_t least, most;
    char error[CONFIG_ERROR_TEXT];
    int64_t number;
    if (parameter->option == config_options()) {
        if (strcasecmp(text, alias->value) == 0) return true;
        return refuse(setting, alias->name, "argument must be '%s', strobe knows no other", alias->value);
    }
    for (size_t i = 0; alias->kind == KIND_LEVEL && i < LEVELS; i++) {
        if (strcasecmp(levels[i].redis, text) == 0) return config_set(fresh, parameter->option, levels[i].ours, error);
    }
    if (alias->kind == KIND_LEVEL) {
        return refuse(setting, alias->name,
                      "argument(s) must be one of the following: debug, verbose, notice, warning, nothing");
    }
    bool is_bytes = strcmp(alias->name, "proto-max-bulk-len") == 0;
    if (is_bytes && config_set(fresh, parameter->option, text, error)) return true;
    if (!strobe_number_parse_int64(slice_of(text), &number)) {
        return refuse(setting, alias->name,
                      is_bytes ? "argument must be a memory value" : "argument couldn't be parsed into an integer");
    }
    config_option_bounds(parameter->option, &least, &most);
    uint64_t up = alias->kind == KIND_MICROSECONDS ? 1000 : 1, down = alias->kind == KIND_SECONDS ? 1000 : 1;
    int64_t from = alias->kind == KIND_MICROSECONDS ? -1 : (int64_t)(least / down), to = (int64_t)(most / down * up);
    if (number < from || number > to) {
        return refuse(setting, alias->name, "argument must be between %lld and %lld inclusive", (long long)from,
                      (long long)to);
    }
    if (number < 0) number = to;
    if (up > 1) snprintf(text, CONFIG_VALUE_TEXT, "%llums", (unsigned long long)(((uint64_t)number + up - 1) / up));
    if (config_set(fresh, parameter->option, text, error)) return true;
    return refuse(setting, alias->name, "%s", error);
}

/* Are there descriptors for the connections that FRESH allows? As Redis's error when not. */
static bool check_descriptors(struct setting *setting, const struct parameter *parameter, const struct config *fresh) {
    uint64_t possible = settings_clients_possible(setting->call->services, fresh->max_clients);
    if (possible == fresh->max_clients) return true;
    return refuse(setting, name_of(parameter),
                  "The operating system is not able to handle the specified number of clients, try with %llu",
                  (unsigned long long)possible);
}

static bool set_one(struct setting *setting, size_t i, struct config *fresh) {
    const struct parameter *parameter = &setting->parameters[i];
    struct strobe_slice value = command_arg(setting->call, 3 + 2 * i);
    char text[CONFIG_VALUE_TEXT], error[CONFIG_ERROR_TEXT];
    if (value.len >= sizeof text || (value.len > 0 && memchr(value.data, '\0', value.len) != NULL)) {
        return refuse(setting, name_of(parameter), "expected text of less than %zu bytes without NUL", sizeof text);
    }
    if (value.len > 0) memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    if (parameter->alias != NULL) return set_alias(setting, parameter, fresh, text);
    if (config_set(fresh, parameter->option, text, error)) return true;
    return refuse(setting, name_of(parameter), "%s", error);
}

static bool set_all(void *context, struct config *fresh) {
    struct setting *setting = context;
    for (size_t i = 0; i < setting->count; i++) {
        if (!set_one(setting, i, fresh)) return false;
        const struct parameter *parameter = &setting->parameters[i];
        if (is_max_clients(parameter) && !check_descriptors(setting, parameter, fresh)) return false;
    }
    return true;
}

static enum command_outcome set(struct setting *setting) {
    struct command_call *call = setting->call;
    enum settings_result result = SETTINGS_REFUSED;
    struct roll_job *job = roll_job_new(call);
    if (job == NULL) return COMMAND_DONE;
    if (read_names(setting)) result = settings_change(call->services, set_all, setting);
    if (result == SETTINGS_DONE) return roll_job_start(job, call, ROLL_OK);
    roll_job_free(job);
    if (result == SETTINGS_NO_MEMORY) {
        command_error_status(call, STROBE_NO_MEMORY);
    } else if (setting->culprit != NULL) {
        strobe_reply_errorf(call->reply, "ERR", "CONFIG SET failed (possibly related to argument '%s') - %s",
                            setting->culprit, setting->why);
    }
    return COMMAND_DONE;
}

enum command_outcome cmd_config_set(struct command_call *call) {
    struct setting setting = {.call = call, .count = (command_argc(call) - 2) / 2};
    if (command_argc(call) % 2 != 0) {
        command_error_syntax(call);
        return COMMAND_DONE;
    }
    if (setting.count > config_options() + ALIASES) { /* one is named twice, or is none */
        setting.count = config_options() + ALIASES + 1;
    }
    setting.parameters = calloc(setting.count, sizeof setting.parameters[0]);
    if (setting.parameters == NULL) {
        command_error_status(call, STROBE_NO_MEMORY);
        return COMMAND_DONE;
    }
    enum command_outcome outcome = set(&setting);
    free(setting.parameters);
    return outcome;
}

/* ---- RESETSTAT, REWRITE --------------------------------------------------------------------------------- */

enum command_outcome cmd_config_resetstat(struct command_call *call) {
    info_reset(call->services);
    strobe_reply_ok(call->reply);
    return COMMAND_DONE;
}

enum command_outcome cmd_config_rewrite(struct command_call *call) {
    struct log *log = services_log(call->services);
    if (services_config_path(call->services)[0] == '\0') {
        strobe_reply_error(call->reply, "ERR", "The server is running without a config file");
    } else if (settings_rewrite(call->services)) {
        log_info(log, "config", "rewrote path=%s", services_config_path(call->services));
        strobe_reply_ok(call->reply);
    } else {
        const char *why = strerror(errno);
        log_error(log, "config", "cannot rewrite path=%s error=\"%s\"", services_config_path(call->services), why);
        strobe_reply_errorf(call->reply, "ERR", "Rewriting config file: %s", why);
    }
    return COMMAND_DONE;
}

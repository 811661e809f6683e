/* config.h - the options: from their table (options.def), the config file and the command line to typed values.
 *
 * A struct config does not change once it is made; SIGHUP makes another. Any thread may read one. */
#ifndef STROBE_SERVER_CONFIG_H
#define STROBE_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What kind of value an option has: its C type, its name. */
#define CONFIG_TYPE_LIST(X)                                                                  \
    X(TEXT, char *)             /* a path or a word; NULL for "none" */                      \
    X(LIST, struct config_list) /* comma-separated words */                                  \
    X(PORT, uint32_t)           /* 0 to 65535, or CONFIG_PORT_AUTO */                        \
    X(COUNT, uint64_t)          /* a whole number within the row's bounds */                 \
    X(BYTES, uint64_t)          /* 10, 10b, 10kb, 10mb, 10gb, 10%, all in bytes */           \
    X(TIME, uint64_t)           /* 10 (seconds), 10ms, 10s, 10m, 10h, all in milliseconds */ \
    X(MODE, uint32_t)           /* octal, of a file */                                       \
    X(YESNO, bool)                                                                           \
    X(LEVEL, uint32_t) /* enum log_level */

enum config_type {
#define CONFIG_TYPE_ENUM(name, type) CONFIG_##name,
    CONFIG_TYPE_LIST(CONFIG_TYPE_ENUM)
#undef CONFIG_TYPE_ENUM
        CONFIG_TYPES
};

/* `port = auto`: any free one; the log says which. */
#define CONFIG_PORT_AUTO UINT32_MAX

struct config_list {
    char **items; /* owned, NUL-terminated */
    size_t count;
};

#define CONFIG_TYPE_TYPEDEF(name, type) typedef type config_##name##_value;
CONFIG_TYPE_LIST(CONFIG_TYPE_TYPEDEF)
#undef CONFIG_TYPE_TYPEDEF

/* Every option by its name with '_' for '-': config->max_clients. */
struct config {
#define OPTION(name, member, type, ...) config_##type##_value member;
#include "server/options.def"
#undef OPTION
    uint64_t automatic; /* a bit for each option that was said to be auto, by its place in the table */
};

/* Room for one message, cut to fit; and for any value's text. */
enum { CONFIG_ERROR_TEXT = 512, CONFIG_VALUE_TEXT = 4096 };

/* What the command line asks for. */
enum config_action { CONFIG_RUN, CONFIG_CHECK, CONFIG_HELP, CONFIG_VERSION };

/* Reads the defaults, then the file that --config names, then the options of ARGV, which win, into *OUT, owned by
 * the caller. In the file and on the command line each an option may stand once. On failure ERROR says where
 * ("strobe.conf:12: ", "--port: ") and what was expected. With HELP and VERSION in *ACTION, *OUT is NULL. */
bool config_read(int argc, char *const *argv, enum config_action *action, struct config **out,
                 char error[CONFIG_ERROR_TEXT]);
void config_free(struct config *config);

/* The path after --config in ARGV, or NULL. Borrowed from ARGV. */
const char *config_path(int argc, char *const *argv);

/* The table, for --help, CONFIG GET and tests. Names are as in the file: "max-clients". */
size_t config_options(void);
const char *config_option_name(size_t index);
const char *config_option_default(size_t index); /* as it would be written in a file */
bool config_option_reloads(size_t index);        /* SIGHUP changes it; else a restart */

/* The value as text that reads back as itself; bytes and counts as plain numbers, as Redis's CONFIG GET has them.
 * Gives its length. */
size_t config_option_text(const struct config *config, size_t index, char text[CONFIG_VALUE_TEXT]);

/* The same as it would stand in a file: "auto" where that was said, "512mb". */
size_t config_option_source(const struct config *config, size_t index, char text[CONFIG_VALUE_TEXT]);

/* May CONFIG SET change it? What reloads, but for paths: who may only talk to the server shall not choose files. */
bool config_option_settable(size_t index);

/* The bounds of a number, as in the table. */
void config_option_bounds(size_t index, uint64_t *least, uint64_t *most);

/* Is there an option of this NAME, whatever the case of its letters, and which? */
bool config_find(const char *name, size_t *index);

/* Another configuration with the values of CONFIG, or for NULL with the defaults, in which options may be set; then it
 * is settled. Owned by the caller; NULL without memory. */
struct config *config_copy(const struct config *config);

/* Sets an option from TEXT. On failure the option's value is undefined, and ERROR says what was expected. */
bool config_set(struct config *config, size_t index, const char *text, char error[CONFIG_ERROR_TEXT]);

/* Works out what was left automatic. */
void config_settle(struct config *config);

/* Puts OLD's value of an option in place of FRESH's (one that does not reload). Results: false without memory. */
bool config_option_keep(struct config *fresh, const struct config *old, size_t index);

/* Writes the page of --help. */
void config_print_help(FILE *file);

#endif

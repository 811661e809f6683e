/* log.h - one line an event: "2026-11-22T20:36:25.123Z info conn message key=value".
 *
 * Any thread; a line is one write(). Keys and values of the data never above debug. */
#ifndef STROBE_SERVER_LOG_H
#define STROBE_SERVER_LOG_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Level, name. In the order of growing weight. */
#define LOG_LEVEL_LIST(X) \
    X(DEBUG, "debug")     \
    X(INFO, "info")       \
    X(WARN, "warn")       \
    X(ERROR, "error")

enum log_level {
#define LOG_LEVEL_ENUM(name, text) LOG_##name,
    LOG_LEVEL_LIST(LOG_LEVEL_ENUM)
#undef LOG_LEVEL_ENUM
        LOG_LEVELS
};

struct log {
    _Atomic int level; /* lines below it are not made; read without order, a late change is as good */
    int fd;            /* never changes; reopening puts another file behind it */
    char *path;        /* owned; NULL: stderr */
};

/* Starts LOG on stderr. */
void log_init(struct log *log, enum log_level level);
void log_fini(struct log *log);

/* Sends lines to PATH (copied; NULL: stderr) from now on, opened for appending; also with the path it has, which is
 * how it is re-opened after a rotation. One thread at a time. Results: false with errno, and the old file stays. */
bool log_open(struct log *log, const char *path);

void log_set_level(struct log *log, enum log_level level);

/* Is a line of LEVEL wanted? */
static inline bool log_on(const struct log *log, enum log_level level) {
    return (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* Writes the line, unconditionally. WHERE is one word; FORMAT's text is a message and then key=value pairs. Longer
 * than 2 KiB is cut; control characters become '?'. */
void log_line(const struct log *log, enum log_level level, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The arguments are evaluated only when the line is wanted. */
#define log_at(log, level, where, ...)                \
    do {                                              \
        if (log_on(log, level)) {                     \
            log_line(log, level, where, __VA_ARGS__); \
        }                                             \
    } while (0)

#define log_debug(log, where, ...) log_at(log, LOG_DEBUG, where, __VA_ARGS__)
#define log_info(log, where, ...)  log_at(log, LOG_INFO, where, __VA_ARGS__)
#define log_warn(log, where, ...)  log_at(log, LOG_WARN, where, __VA_ARGS__)
#define log_error(log, where, ...) log_at(log, LOG_ERROR, where, __VA_ARGS__)

#endif

/* log.c - makes a line of an event and writes it in one piece.
 *
 * Always: a line is one write() to a descriptor opened with O_APPEND, so that lines of several threads never mix. The
 * descriptor's number never changes; re-opening puts the new file behind it with dup3, so that no thread that is
 * about to write needs to know.
 * On failure: a line that cannot be written is lost; there is nobody to tell. A file that cannot be opened leaves
 * the old one. Not here: what is worth a line, and rotation (SIGHUP after a rename).
 */
#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 2048, LOG_FILE_MODE = 0640 };

static const char *const level_names[LOG_LEVELS] = {
#define LOG_LEVEL_NAME(name, text) text,
    LOG_LEVEL_LIST(LOG_LEVEL_NAME)
#undef LOG_LEVEL_NAME
};

void log_init(struct log *log, enum log_level level) {
    atomic_init(&log->level, (int)level);
    log->fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    log->path = NULL;
}

void log_fini(struct log *log) {
    if (log->fd >= 0) close(log->fd);
    free(log->path);
}

bool log_open(struct log *log, const char *path) {
    char *copy = NULL;
    int fd = STDERR_FILENO;

    if (path != NULL) {
        copy = strdup(path);
        if (copy == NULL) return false;
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, LOG_FILE_MODE);
        if (fd < 0) {
            free(copy);
            return false;
        }
    }
    int result = log->fd < 0 ? (log->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) : dup3(fd, log->fd, O_CLOEXEC);
    int reason = errno;
    if (fd != STDERR_FILENO) close(fd);
    if (result < 0) {
        free(copy);
        errno = reason;
        return false;
    }
    free(log->path);
    log->path = copy;
    return true;
}

void log_set_level(struct log *log, enum log_level level) {
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

/* Writes time, level and place; gives the length. */
static size_t line_head(char *line, size_t size, enum log_level level, const char *where) {
    struct timespec now;
    struct tm parts;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &parts);
    int more =
        snprintf(line + len, size - len, ".%03dZ %s %s ", (int)(now.tv_nsec / 1000000), level_names[level], where);
    return more < 0 ? len : len + (size_t)more;
}

void log_line(const struct log *log, enum log_level level, const char *where, const char *format, ...) {
    char line[LOG_LINE_MAX];
    size_t len = line_head(line, sizeof line, level, where);
    va_list arguments;

    va_start(arguments, format);
    int more = vsnprintf(line + len, sizeof line - len, format, arguments);
    va_end(arguments);
    if (more > 0) len += (size_t)more;
    if (len > sizeof line - 1) len = sizeof line - 1;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = '?';
    }
    line[len++] = '\n';
    ssize_t written = write(log->fd, line, len);
    (void)written;
}

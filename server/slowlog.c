/* slowlog.c - a list of entries behind a lock; an entry is one allocation of at most some 7 KiB.
 *
 *      newest <-> ... <-> oldest       added at one end, dropped at the other
 *
 * Only who was slow comes here, so nobody else pays: not for the lock, not for the copy of the words.
 * Without memory for an entry it is left out. Not here: what is slow, and how it was timed (timing.c). */
#include "server/slowlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { MORE_TEXT = 48 /* "... (18446744073709551615 more arguments)" */ };

struct slowlog {
    uv_mutex_t lock; /* of all below */
    struct slowlog_entry *newest, *oldest;
    size_t len;
    uint64_t next_id;
};

const char *slowlog_phase_name(enum slowlog_phase phase) {
    static const char *const names[] = {
#define SLOWLOG_PHASE_NAME(name, text) text,
        SLOWLOG_PHASE_LIST(SLOWLOG_PHASE_NAME)
#undef SLOWLOG_PHASE_NAME
    };
    return names[phase];
}

struct slowlog *slowlog_new(void) {
    struct slowlog *slowlog = calloc(1, sizeof *slowlog);
    if (slowlog == NULL) return NULL;
    if (uv_mutex_init(&slowlog->lock) == 0) return slowlog;
    free(slowlog);
    return NULL;
}

static void drop_oldest(struct slowlog *slowlog) {
    struct slowlog_entry *entry = slowlog->oldest;
    slowlog->oldest = entry->newer;
    if (entry->newer != NULL) {
        entry->newer->older = NULL;
    } else {
        slowlog->newest = NULL;
    }
    slowlog->len--;
    free(entry);
}

void slowlog_free(struct slowlog *slowlog) {
    if (slowlog == NULL) return;
    while (slowlog->oldest != NULL) drop_oldest(slowlog);
    uv_mutex_destroy(&slowlog->lock);
    free(slowlog);
}

/* Copies WORD to AT, cut as Redis cuts it. Returns what is behind it. */
static char *keep_word(struct slowlog_entry *entry, char *at, struct strobe_slice word) {
    size_t len = word.len < SLOWLOG_WORD_MAX ? word.len : (size_t)SLOWLOG_WORD_MAX;
    char *begin = at;
    if (len > 0) memcpy(at, word.data, len);
    at += len;
    if (word.len > len) at += snprintf(at, MORE_TEXT, "... (%zu more bytes)", word.len - len);
    entry->words[entry->argc++] = strobe_slice_make(begin, (size_t)(at - begin));
    return at;
}

struct slowlog_entry *slowlog_entry_new(const struct strobe_request *request, struct strobe_slice name, bool secret) {
    size_t argc = request->argc, kept = argc <= SLOWLOG_WORDS_MAX ? argc : (size_t)SLOWLOG_WORDS_MAX - 1;
    size_t room = MORE_TEXT + name.len;
    for (size_t i = 0; i < kept; i++) {
        size_t len = request->args[i].len;
        room += len <= SLOWLOG_WORD_MAX && !secret ? len : (size_t)SLOWLOG_WORD_MAX + MORE_TEXT;
    }
    struct slowlog_entry *entry = calloc(1, sizeof *entry + room);
    if (entry == NULL) return NULL;
    char *at = entry->bytes;
    for (size_t i = 0; i < kept; i++) {
        at = keep_word(entry, at, secret && i > 0 ? STROBE_SLICE("(redacted)") : request->args[i]);
    }
    if (kept < argc) {
        int len = snprintf(at, MORE_TEXT, "... (%zu more arguments)", argc - kept);
        entry->words[entry->argc++] = strobe_slice_make(at, (size_t)len);
        at += len;
    }
    if (name.len > 0) memcpy(at, name.data, name.len);
    entry->name = strobe_slice_make(at, name.len);
    return entry;
}

void slowlog_add(struct slowlog *slowlog, struct slowlog_entry *entry, size_t most) {
    uv_mutex_lock(&slowlog->lock);
    entry->id = slowlog->next_id++;
    entry->newer = NULL;
    entry->older = slowlog->newest;
    if (slowlog->newest != NULL) slowlog->newest->newer = entry;
    if (slowlog->oldest == NULL) slowlog->oldest = entry;
    slowlog->newest = entry;
    slowlog->len++;
    while (slowlog->oldest != NULL && slowlog->len > most) drop_oldest(slowlog);
    uv_mutex_unlock(&slowlog->lock);
}

void slowlog_flushed(struct slowlog *slowlog, uint64_t conn, uint64_t now_ns) {
    uv_mutex_lock(&slowlog->lock);
    for (struct slowlog_entry *entry = slowlog->newest; entry != NULL; entry = entry->older) {
        if (entry->conn != conn) continue;
        if (entry->phases[SLOWLOG_FLUSH] != SLOWLOG_NOT_FLUSHED) break; /* so are those before it */
        uint64_t waited = now_ns > entry->ended_ns ? (now_ns - entry->ended_ns) / 1000 : 0;
        entry->phases[SLOWLOG_FLUSH] = waited + entry->taken_us;
    }
    uv_mutex_unlock(&slowlog->lock);
}

void slowlog_visit(struct slowlog *slowlog, size_t most, void (*begin)(void *context, size_t count),
                   void (*visit)(void *context, const struct slowlog_entry *entry), void *context) {
    uv_mutex_lock(&slowlog->lock);
    size_t count = slowlog->len < most ? slowlog->len : most;
    begin(context, count);
    for (const struct slowlog_entry *entry = slowlog->newest; count > 0; count--, entry = entry->older) {
        visit(context, entry);
    }
    uv_mutex_unlock(&slowlog->lock);
}

size_t slowlog_len(struct slowlog *slowlog) {
    uv_mutex_lock(&slowlog->lock);
    size_t len = slowlog->len;
    uv_mutex_unlock(&slowlog->lock);
    return len;
}

void slowlog_reset(struct slowlog *slowlog) {
    uv_mutex_lock(&slowlog->lock);
    while (slowlog->oldest != NULL) drop_oldest(slowlog);
    uv_mutex_unlock(&slowlog->lock);
}

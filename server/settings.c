/* settings.c - puts other options in force while the server runs.
 *
 *     SIGHUP: the file and the command line -> what may change and did; the rest is named in the log, and that reopened
 *     CONFIG SET: a copy of what is in force -> the client's changes
 *
 * Always: under one lock from the reading of what is in force to its replacement, so that of two changes none is lost;
 * a configuration is changed only before it is in force. Not here: which options there are (options.def), and how a
 * loop takes over (worker.c). */
#include "server/settings.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "server/config_rewrite.h"
#include "server/log.h"
#include "server/scans.h"
#include "server/services.h"
#include "server/worker.h"

enum {
    DESCRIPTORS_LOOP = 5,   /* of a libuv loop: it has four */
    DESCRIPTORS_SPARE = 160 /* beside those of clients and loops: listeners, log, refusals */
};

/* Descriptors beside those of clients. */
static rlim_t spare_descriptors(const struct services *services) {
    return DESCRIPTORS_SPARE + (rlim_t)DESCRIPTORS_LOOP * services_threads(services);
}

/* Raises the limit to WANTED, or as far as that goes; gives it. */
static rlim_t raise_limit(rlim_t wanted) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return wanted;
    struct rlimit raised = {wanted, limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return wanted;
    raised = (struct rlimit){limit.rlim_max < wanted ? limit.rlim_max : wanted, limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

/* As many of MAX_CLIENTS as LIMIT has descriptors for. */
static uint64_t clients_within(const struct services *services, uint64_t max_clients, rlim_t limit) {
    rlim_t spare = spare_descriptors(services);
    uint64_t possible = limit > 2 * spare ? limit - spare : limit / 2;

    if (limit >= (rlim_t)max_clients + spare) return max_clients;
    return possible < max_clients ? possible : max_clients;
}

uint64_t settings_clients_possible(const struct services *services, uint64_t max_clients) {
    rlim_t limit = raise_limit((rlim_t)max_clients + spare_descriptors(services));

    return clients_within(services, max_clients, limit);
}

void settings_fit_descriptors(struct services *services, uint64_t max_clients) {
    rlim_t limit = raise_limit((rlim_t)max_clients + spare_descriptors(services));
    uint64_t possible = clients_within(services, max_clients, limit);

    if (possible < max_clients) {
        log_warn(services_log(services), "server",
                 "the limit on open files allows fewer connections than max-clients; raise ulimit -n "
                 "max-clients=%llu possible=%llu limit=%llu",
                 (unsigned long long)max_clients, (unsigned long long)possible, (unsigned long long)limit);
    }
    services_set_clients_max(services, possible);
}

/* Compares option INDEX of FRESH with that in force. Results: is it changed, and may it? One that may not is put
 * back. */
static bool take_option(struct services *services, struct config *fresh, size_t index) {
    char before[CONFIG_VALUE_TEXT], after[CONFIG_VALUE_TEXT];
    struct log *log = services_log(services);

    config_option_text(services_config(services), index, before);
    config_option_text(fresh, index, after);
    if (strcmp(before, after) == 0) return false;
    if (config_option_reloads(index)) {
        log_info(log, "config", "changed %s from=%.200s to=%.200s", config_option_name(index), before, after);
        return true;
    }
    log_warn(log, "config", "a change of %s needs a restart, it stays %.200s instead of %.200s",
             config_option_name(index), before, after);
    config_option_keep(fresh, services_config(services), index);
    return false;
}

/* Puts FRESH (taken) in force, if it differs. Results: false without memory. */
static bool take_config(struct services *services, struct config *fresh) {
    bool changed = fresh->automatic != services_config(services)->automatic;

    for (size_t i = 0; i < config_options(); i++) changed |= take_option(services, fresh, i);
    if (!changed) {
        config_free(fresh);
        return true;
    }
    if (!services_set_config(services, fresh)) return false;
    log_set_level(services_log(services), fresh->log_level);
    settings_fit_descriptors(services, fresh->max_clients);
    scans_limit(services_scans(services), 0, fresh->scan_idle_timeout);
    return true;
}

bool settings_reload(struct services *services, int argc, char *const *argv) {
    struct log *log = services_log(services);
    char error[CONFIG_ERROR_TEXT];
    enum config_action action;
    struct config *fresh;
    bool good = false;

    services_lock_config(services);
    if (!config_read(argc, argv, &action, &fresh, error)) {
        log_error(log, "config", "nothing was changed: %s", error);
    } else if (!take_config(services, fresh)) {
        log_error(log, "config", "nothing was changed: %s", strerror(ENOMEM));
    } else {
        good = true;
    }
    const struct config *config = services_config(services);
    if (!log_open(log, config->log_file)) {
        log_error(log, "config", "cannot open the log file, keeps the old one path=%s error=\"%s\"", config->log_file,
                  strerror(errno));
        good = false;
    }
    services_unlock_config(services);
    return good;
}

enum settings_result settings_change(struct services *services, settings_edit *edit, void *context) {
    enum settings_result result = SETTINGS_NO_MEMORY;

    services_lock_config(services);
    struct config *fresh = config_copy(services_config(services));
    if (fresh != NULL && !edit(context, fresh)) {
        config_free(fresh);
        result = SETTINGS_REFUSED;
    } else if (fresh != NULL) {
        config_settle(fresh);
        if (take_config(services, fresh)) result = SETTINGS_DONE;
    }
    services_unlock_config(services);
    return result;
}

bool settings_rewrite(struct services *services) {
    services_lock_config(services);
    bool good = config_rewrite_file(services_config(services), services_config_path(services));
    int reason = errno;
    services_unlock_config(services);
    errno = reason;
    return good;
}

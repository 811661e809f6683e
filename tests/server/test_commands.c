/* test_commands.c - the handlers, driven with a map, a request and a RESP writer: no socket, and a clock
 * that is told. What can be compared with Redis byte for byte is in tests/wire/commands/; here is what
 * needs the clock, a full memory, many keys, or a look inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "server/clients.h"
#include "server/command.h"
#include "server/config.h"
#include "server/latency.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/scans.h"
#include "server/services.h"
#include "server/large_words.h"
#include "server/session.h"
#include "tests/map/map_world.h"

#define ERROR_OOM "-OOM out of memory, nothing was changed\r\n"

struct world {
    struct map_world map;
    struct services *services;
    struct command_table *table;
    struct clients *clients;
    struct metrics *metrics;
    struct latency *latency;
    struct scans *scans;
    struct log log;
    struct client client;
    struct session session;
    struct strobe_out_pool pool;
    struct strobe_out out;
    struct strobe_reply reply;
    struct strobe_request request;
    struct strobe_resp_options limits;
    struct strobe_resp_parser parser;
    struct large_words large;
    struct command_call call;
    enum command_outcome outcome;
    char *answer; /* owned: the last reply's bytes, NUL-terminated */
    size_t answer_len;
};

static void open_world(struct world *w) {
    char *argv[] = {(char *)"strobed", NULL};
    char error[CONFIG_ERROR_TEXT];
    enum config_action action;
    struct config *config;
    memset(w, 0, sizeof *w);
    map_world_open(&w->map, 4);
    assert_true(config_read(1, argv, &action, &config, error));
    w->table = command_table_new();
    w->clients = clients_new();
    w->metrics = metrics_new(1, 1);
    w->latency = latency_new(1);
    log_init(&w->log, LOG_ERROR);
    w->services = services_new(&(struct services_parts){.map = w->map.map,
                                                        .commands = w->table,
                                                        .clients = w->clients,
                                                        .metrics = w->metrics,
                                                        .latency = w->latency,
                                                        .log = &w->log,
                                                        .config = config,
                                                        .threads = 1});
    w->scans = scans_new(w->map.map, NULL);
    services_set_scans(w->services, w->scans);
    w->client.door = "resp";
    clients_add(w->clients, &w->client);
    session_init(&w->session, &w->client);
    strobe_out_pool_init(&w->pool, 4);
    strobe_out_init(&w->out, &w->pool, (size_t)1 << 30);
    strobe_resp_writer_init(&w->reply, &w->out, STROBE_RESP2);
    strobe_request_init(&w->request);
    strobe_resp_parser_init(&w->parser, &w->limits);
    large_words_init(&w->large, NULL, w->map.map);
    strobe_resp_parser_set_taker(&w->parser, &large_words_taker, &w->large);
}

static void close_world(struct world *w) {
    free(w->answer);
    session_fini(&w->session);
    strobe_resp_parser_fini(&w->parser);
    large_words_fini(&w->large);
    strobe_request_fini(&w->request);
    strobe_out_fini(&w->out);
    strobe_out_pool_fini(&w->pool);
    clients_remove(w->clients, &w->client);
    for (unsigned i = 0; i < CLIENT_WORDS; i++) free(w->client.words[i]);
    scans_free(w->scans);
    services_free(w->services);
    log_fini(&w->log);
    latency_free(w->latency);
    metrics_free(w->metrics);
    clients_free(w->clients);
    command_table_free(w->table);
    map_world_close(&w->map);
}

/* Takes what was written as the answer. */
static void take_answer(struct world *w) {
    struct iovec run;
    w->answer_len = 0;
    w->answer = realloc(w->answer, strobe_out_pending(&w->out) + 1);
    assert_non_null(w->answer);
    while (strobe_out_gather(&w->out, &run, 1) == 1) {
        memcpy(w->answer + w->answer_len, run.iov_base, run.iov_len);
        w->answer_len += run.iov_len;
        strobe_out_consume(&w->out, run.iov_len);
    }
    w->answer[w->answer_len] = '\0';
}

static void execute(struct world *w) {
    w->call = (struct command_call){.request = &w->request,
                                    .reply = &w->reply,
                                    .map = w->map.map,
                                    .session = &w->session,
                                    .services = w->services,
                                    .metrics = metrics_slot(w->metrics, 0),
                                    .large = large_words_any(&w->large) ? &w->large : NULL};
    (void)strobe_map_tick(w->map.map);
    command_prepare(&w->call);
    w->outcome = command_execute(&w->call);
    large_words_done(&w->large);
}

/* Executes LINE, an inline command, and takes its answer, a job's too. */
static const char *ask(struct world *w, const char *line) {
    char text[512];
    size_t used;
    int len = snprintf(text, sizeof text, "%s\r\n", line);
    assert_true(len > 0 && (size_t)len < sizeof text);
    assert_int_equal(strobe_resp_parser_read(&w->parser, strobe_slice_make(text, (size_t)len), &w->request, &used),
                     STROBE_PARSE_DONE);
    execute(w);
    take_answer(w);
    return w->answer;
}

/* The same of COUNT words, which may have any bytes. */
static const char *ask_words(struct world *w, const struct strobe_slice *words, size_t count) {
    strobe_request_reset(&w->request);
    for (size_t i = 0; i < count; i++) assert_int_equal(strobe_request_add(&w->request, words[i]), STROBE_BUF_OK);
    execute(w);
    take_answer(w);
    return w->answer;
}

static void says(struct world *w, const char *line, const char *answer) {
    if (strcmp(ask(w, line), answer) != 0) print_error("%s\n", line);
    assert_string_equal(w->answer, answer);
}

/* ---- the table ------------------------------------------------------------------------------------------ */

static void test_every_row_is_found_in_any_case(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    for (unsigned i = 0; i < command_count(); i++) {
        const struct command *row = &command_rows[i];
        char name[64];
        for (size_t c = 0; c <= row->name_len; c++) {
            name[c] =
                (char)(row->name[c] >= 'a' && row->name[c] <= 'z' && c % 2 == 0 ? row->name[c] - 32 : row->name[c]);
        }
        assert_ptr_equal(command_find(w.table, strobe_slice_make(name, row->name_len)), row);
        assert_ptr_not_equal(command_find(w.table, strobe_slice_make(name, row->name_len - 1)), row);
        assert_int_equal(command_number(row), i);
    }
    assert_null(command_find(w.table, STROBE_SLICE("")));
    assert_null(command_find(w.table, STROBE_SLICE("nosuchcommand")));
    close_world(&w);
}

static void test_every_row_says_all_about_itself(void **state) {
    (void)state;
    for (unsigned i = 0; i < command_count(); i++) {
        const struct command *row = &command_rows[i];
        assert_non_null(row->run);
        assert_int_not_equal(row->arity, 0);
        assert_true(row->summary[0] >= 'A' && row->summary[0] <= 'Z' && row->since[0] != '\0');
        assert_true(row->complexity[0] != '\0' && row->group[0] != '\0');
        assert_int_equal(row->first_key == 0, row->key_step == 0);
        assert_int_equal(row->first_key == 0, row->key_flags[0] == '\0');
        assert_true(abs(row->arity) > row->first_key);
        assert_false((row->flags & COMMAND_WRITE) && (row->flags & COMMAND_READONLY));
    }
}

/* Reads one RESP2 item from *AT on, so that nested counts are seen to be right. */
static void skip_item(const char **at) {
    char kind = **at;
    long count = strtol(*at + 1, NULL, 10);
    *at = strstr(*at, "\r\n");
    assert_non_null(*at);
    *at += 2;
    if (kind == '$' && count >= 0) *at += count + 2;
    for (long i = 0; kind == '*' && i < count; i++) skip_item(at);
    assert_true(strchr("$*+:-", kind) != NULL);
}

static void test_documentation_of_every_row_is_well_formed(void **state) {
    static const char *const lines[] = {"COMMAND",         "COMMAND DOCS", "COMMAND LIST", "HELP",
                                        "INFO everything", "CLIENT HELP",  "CONFIG HELP",  "COMMAND HELP",
                                        "CONFIG GET *",    "CLIENT LIST"};
    struct world w;
    (void)state;
    open_world(&w);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const char *at = ask(&w, lines[i]);
        assert_true(at[0] == '*' || at[0] == '$');
        skip_item(&at);
        assert_int_equal(at - w.answer, w.answer_len);
    }
    close_world(&w);
}

/* ---- time ----------------------------------------------------------------------------------------------- */

static void test_key_is_gone_from_its_millisecond_on(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    says(&w, "SET k v PX 10", "+OK\r\n");
    w.map.now += 9;
    says(&w, "GET k", "$1\r\nv\r\n");
    says(&w, "PTTL k", ":1\r\n");
    w.map.now += 1;
    says(&w, "GET k", "$-1\r\n");
    says(&w, "PTTL k", ":-2\r\n");
    says(&w, "EXISTS k", ":0\r\n");
    says(&w, "SET k w XX", "$-1\r\n");
    says(&w, "SET k w NX", "+OK\r\n");
    close_world(&w);
}

static void test_seconds_left_are_rounded_as_redis_does(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    says(&w, "SET k v PX 1499", "+OK\r\n");
    says(&w, "TTL k", ":1\r\n");
    says(&w, "SET k v PX 1500", "+OK\r\n");
    says(&w, "TTL k", ":2\r\n");
    says(&w, "SET k v PX 400", "+OK\r\n");
    says(&w, "TTL k", ":0\r\n");
    close_world(&w);
}

static void test_time_to_live_survives_what_changes_a_part(void **state) {
    static const char *const lines[] = {"APPEND k 1", "SETRANGE k 0 2", "INCR k", "INCRBYFLOAT k 1", "SET k 5 KEEPTTL"};
    struct world w;
    (void)state;
    open_world(&w);
    ask(&w, "SET k 5 PX 1000");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        ask(&w, lines[i]);
        says(&w, "PTTL k", ":1000\r\n");
    }
    says(&w, "RENAME k m", "+OK\r\n");
    says(&w, "PTTL m", ":1000\r\n");
    says(&w, "COPY m n", ":1\r\n");
    says(&w, "PTTL n", ":1000\r\n");
    says(&w, "GETSET n 1", "$1\r\n5\r\n");
    says(&w, "PTTL n", ":-1\r\n");
    close_world(&w);
}

/* ---- versions ------------------------------------------------------------------------------------------- */

static void test_set_if_version_is_compare_and_swap(void **state) {
    struct world w;
    char line[128], answer[128];
    (void)state;
    open_world(&w);
    says(&w, "SET k a IFVER 5", "$-1\r\n");
    says(&w, "SET k a IFVER 0", "+OK\r\n");
    says(&w, "SET k b IFVER 0", "$-1\r\n");
    unsigned long long version = map_world_version(&w.map, "k");
    snprintf(answer, sizeof answer, "*2\r\n$1\r\na\r\n:%llu\r\n", version);
    says(&w, "GETVER k", answer);
    says(&w, "GETVER none", "$-1\r\n");
    snprintf(line, sizeof line, "SET k b IFVER %llu RETVER", version);
    ask(&w, line);
    unsigned long long next = map_world_version(&w.map, "k");
    assert_true(next != version);
    snprintf(answer, sizeof answer, ":%llu\r\n", next);
    assert_string_equal(w.answer, answer);
    says(&w, line, "$-1\r\n");
    snprintf(line, sizeof line, "DELIFVER k %llu", version);
    says(&w, line, ":0\r\n");
    snprintf(line, sizeof line, "DELIFVER k %llu", next);
    says(&w, line, ":1\r\n");
    says(&w, line, ":0\r\n");
    says(&w, "SET k a IFVER", "-ERR syntax error\r\n");
    says(&w, "SET k a IFVER x", "-ERR syntax error\r\n");
    says(&w, "SET k a NX IFVER 0", "-ERR syntax error\r\n");
    says(&w, "SET k a GET RETVER", "-ERR syntax error\r\n");
    says(&w, "DELIFVER k x", "-ERR value is not an integer or out of range\r\n");
    close_world(&w);
}

static void test_writing_the_same_bytes_is_a_new_version(void **state) {
    static const char *const lines[] = {"SET k 1",     "MSET k 1",  "SETRANGE k 0 1",
                                        "EXPIRE k 10", "PERSIST k", "RENAME j k"};
    struct world w;
    (void)state;
    open_world(&w);
    ask(&w, "SET k 1");
    ask(&w, "SET j 1");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        uint64_t before = map_world_version(&w.map, "k");
        ask(&w, lines[i]);
        assert_true(map_world_version(&w.map, "k") != before);
    }
    close_world(&w);
}

/* ---- limits --------------------------------------------------------------------------------------------- */

static void test_key_that_may_not_be_is_refused_by_writers_and_missed_by_readers(void **state) {
    struct world w;
    char *key = malloc(STROBE_KEY_MAX + 1);
    (void)state;
    open_world(&w);
    memset(key, 'k', STROBE_KEY_MAX + 1);
    for (size_t len = STROBE_KEY_MAX; len <= STROBE_KEY_MAX + 1; len++) {
        const struct strobe_slice set[] = {STROBE_SLICE("SET"), {key, len}, STROBE_SLICE("v")};
        const struct strobe_slice get[] = {STROBE_SLICE("GET"), {key, len}};
        const struct strobe_slice mget[] = {STROBE_SLICE("MGET"), {key, len}, STROBE_SLICE("other")};
        bool fits = len == STROBE_KEY_MAX;
        assert_string_equal(ask_words(&w, set, 3), fits ? "+OK\r\n" : "-ERR invalid key length\r\n");
        assert_string_equal(ask_words(&w, get, 2), fits ? "$1\r\nv\r\n" : "$-1\r\n");
        assert_string_equal(ask_words(&w, mget, 3), fits ? "*2\r\n$1\r\nv\r\n$-1\r\n" : "*2\r\n$-1\r\n$-1\r\n");
    }
    says(&w, "SET \"\" v", "-ERR invalid key length\r\n");
    says(&w, "MSET a 1 \"\" 2", "-ERR invalid key length\r\n");
    says(&w, "INCR \"\"", "-ERR invalid key length\r\n");
    says(&w, "GET \"\"", "$-1\r\n");
    says(&w, "EXISTS a \"\"", ":0\r\n");
    says(&w, "DEL \"\"", ":0\r\n");
    says(&w, "EXPIRE \"\" 10", ":0\r\n");
    free(key);
    close_world(&w);
}

static void test_one_command_takes_65536_keys_and_no_more(void **state) {
    struct world w;
    size_t most = STROBE_COMMAND_KEYS_MAX;
    char *names = malloc((most + 1) * 8);
    struct strobe_slice *words = malloc((2 * most + 3) * sizeof *words);
    (void)state;
    open_world(&w);
    words[0] = STROBE_SLICE("MSET");
    for (size_t i = 0; i <= most; i++) {
        snprintf(names + 8 * i, 8, "k%06u", (unsigned)i % 1000000);
        words[2 * i + 1] = strobe_slice_make(names + 8 * i, 7);
        words[2 * i + 2] = STROBE_SLICE("v");
    }
    assert_string_equal(ask_words(&w, words, 2 * most + 3), "-ERR too many keys in one command (65536 at most)\r\n");
    says(&w, "DBSIZE", ":0\r\n");
    assert_string_equal(ask_words(&w, words, 2 * most + 1), "+OK\r\n");
    says(&w, "DBSIZE", ":65536\r\n");
    words[0] = STROBE_SLICE("DEL");
    for (size_t i = 0; i <= most; i++) words[i + 1] = strobe_slice_make(names + 8 * i, 7);
    assert_string_equal(ask_words(&w, words, most + 2), "-ERR too many keys in one command (65536 at most)\r\n");
    assert_string_equal(ask_words(&w, words, most + 1), ":65536\r\n");
    says(&w, "DBSIZE", ":0\r\n");
    free(words);
    free(names);
    close_world(&w);
}

static void test_large_values_are_whole_around_the_border_of_sharing(void **state) {
    struct world w;
    size_t room = STROBE_BLOB_MIN + 8;
    char *value = malloc(room), *expected = malloc(room + 64);
    (void)state;
    open_world(&w);
    for (size_t i = 0; i < room; i++) value[i] = (char)(i * 7 + i / 251);
    for (size_t len = STROBE_BLOB_MIN - 2; len < STROBE_BLOB_MIN + 3; len++) {
        const struct strobe_slice set[] = {STROBE_SLICE("SET"), STROBE_SLICE("k"), {value, len}};
        assert_string_equal(ask_words(&w, set, 3), "+OK\r\n");
        size_t at = (size_t)snprintf(expected, 64, "$%zu\r\n", len);
        memcpy(expected + at, value, len);
        memcpy(expected + at + len, "\r\n", 2);
        ask(&w, "GET k");
        assert_int_equal(w.answer_len, at + len + 2);
        assert_memory_equal(w.answer, expected, w.answer_len);
        ask(&w, "EXPIRE k 100"); /* the entry is another one, the value the same */
        ask(&w, "RENAME k m");
        ask(&w, "GETRANGE m 0 -1");
        assert_memory_equal(w.answer, expected, w.answer_len);
        ask(&w, "GETDEL m");
        assert_memory_equal(w.answer, expected, w.answer_len);
        says(&w, "EXISTS k m", ":0\r\n");
    }
    free(expected);
    free(value);
    close_world(&w);
}

static void test_append_across_the_border_of_sharing_keeps_every_byte(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    for (unsigned i = 0; i < 1700; i++) ask(&w, "APPEND k 0123456789");
    says(&w, "STRLEN k", ":17000\r\n");
    says(&w, "GETRANGE k 16379 16389", "$11\r\n90123456789\r\n");
    says(&w, "SETRANGE k 16384 abc", ":17000\r\n");
    says(&w, "GETRANGE k 16383 16387", "$5\r\n3abc7\r\n");
    close_world(&w);
}

/* Each allocation of the map fails in turn: the answer is an error and nothing changed, or it all went
 * well. */
static void fail_each(struct world *w, const char *before, const char *line, const char *key, const char *old) {
    for (size_t n = 1; n < 20; n++) {
        ask(w, before);
        w->map.memory.fail_at = w->map.memory.calls + n;
        ask(w, line);
        bool failed = w->map.memory.calls >= w->map.memory.fail_at;
        w->map.memory.fail_at = 0;
        if (!failed) {
            assert_true(w->answer[0] != '-');
            return;
        }
        assert_string_equal(w->answer, ERROR_OOM);
        map_world_assert(&w->map, key, old);
    }
    fail();
}

static void test_lack_of_memory_fails_the_command_and_changes_nothing(void **state) {
    struct world w;
    struct strobe_snapshot *snapshot;
    (void)state;
    open_world(&w);
    assert_int_equal(strobe_snapshot_open(w.map.map, true, &snapshot),
                     STROBE_OK); /* so that removing needs memory too */
    fail_each(&w, "DEL a", "SET a 1", "a", NULL);
    fail_each(&w, "SET a 1", "SET a 2 GET", "a", "1");
    fail_each(&w, "SET a 1", "INCR a", "a", "1");
    fail_each(&w, "SET a 1", "APPEND a x", "a", "1");
    fail_each(&w, "SET a 1", "SETRANGE a 3 x", "a", "1");
    fail_each(&w, "SET a 1", "EXPIRE a 100", "a", "1");
    fail_each(&w, "SET a 1", "GETEX a EX 100", "a", "1");
    fail_each(&w, "MSET a 1 b 2", "MSET a 3 b 4", "b", "2");
    fail_each(&w, "MSET a 1 b 2", "RENAME a b", "b", "2");
    fail_each(&w, "MSET a 1 b 2", "COPY a b REPLACE", "b", "2");
    strobe_snapshot_close(snapshot);
    close_world(&w);
}

/* ---- scans ---------------------------------------------------------------------------------------------- */

static void test_scan_with_values_gives_pairs(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    ask(&w, "SET one 1");
    says(&w, "SCAN 0 WITHVALUES", "*2\r\n$1\r\n0\r\n*2\r\n$3\r\none\r\n$1\r\n1\r\n");
    says(&w, "SCAN 0 WITHVALUES MATCH x* COUNT 5", "*2\r\n$1\r\n0\r\n*0\r\n");
    says(&w, "SCAN 0 TYPE list WITHVALUES", "*2\r\n$1\r\n0\r\n*0\r\n");
    says(&w, "SCAN 12345", "-NOSCAN the scan has expired; start again with SCAN 0\r\n");
    says(&w, "SCAN 18446744073709551615", "-NOSCAN the scan has expired; start again with SCAN 0\r\n");
    says(&w, "SCAN 18446744073709551616", "-ERR invalid cursor\r\n");
    says(&w, "SCAN -1", "-ERR invalid cursor\r\n");
    says(&w, "SCAN +1", "-ERR invalid cursor\r\n");
    says(&w, "SCAN \"\"", "-ERR invalid cursor\r\n");
    close_world(&w);
}

static void test_keys_of_a_large_map_is_a_job_that_shows_one_instant(void **state) {
    struct world w;
    unsigned slices = 0;
    (void)state;
    open_world(&w);
    map_world_fill(&w.map, "k", 30000);
    ask(&w, "KEYS k*");
    assert_int_equal(w.outcome, COMMAND_LATER);
    map_world_drain(&w.map, "k", 30000); /* after the instant */
    char *whole = strdup(w.answer);
    enum command_slice slice = COMMAND_SLICE_MORE;
    while (slice == COMMAND_SLICE_MORE) {
        slice = w.call.job->slice(w.call.job, &w.reply);
        size_t before = strlen(whole);
        take_answer(&w);
        assert_true(w.answer_len < 2 * STROBE_REPLY_HIGH_WATER); /* a slice stops at the high-water mark */
        whole = realloc(whole, before + w.answer_len + 1);
        memcpy(whole + before, w.answer, w.answer_len + 1);
        slices++;
    }
    assert_int_equal(slice, COMMAND_SLICE_DONE);
    assert_true(slices > 10);
    w.call.job->release(w.call.job);
    const char *at = whole;
    assert_int_equal(strncmp(whole, "*30000\r\n", 8), 0);
    skip_item(&at);
    assert_int_equal(*at, '\0');
    free(whole);
    says(&w, "KEYS k*", "*0\r\n");
    close_world(&w);
}

/* ---- transactions --------------------------------------------------------------------------------------- */

/* EXEC, with the answer of its job if it left one. */
static const char *exec_whole(struct world *w) {
    ask(w, "EXEC");
    if (w->outcome != COMMAND_LATER) return w->answer;
    char *whole = strdup(w->answer);
    enum command_slice slice = COMMAND_SLICE_MORE;
    while (slice == COMMAND_SLICE_MORE) {
        slice = w->call.job->slice(w->call.job, &w->reply);
        size_t before = strlen(whole);
        take_answer(w);
        whole = realloc(whole, before + w->answer_len + 1);
        memcpy(whole + before, w->answer, w->answer_len + 1);
    }
    assert_int_equal(slice, COMMAND_SLICE_DONE);
    w->call.job->release(w->call.job);
    free(w->answer);
    w->answer = whole;
    w->answer_len = strlen(whole);
    return whole;
}

static void test_watched_key_that_expires_was_changed_and_one_that_had_expired_was_not(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    says(&w, "SET k v PX 10", "+OK\r\n");
    says(&w, "WATCH k", "+OK\r\n");
    w.map.now += 9;
    says(&w, "MULTI", "+OK\r\n");
    says(&w, "EXEC", "*0\r\n");
    says(&w, "WATCH k", "+OK\r\n");
    says(&w, "MULTI", "+OK\r\n");
    w.map.now += 1;
    says(&w, "EXEC", "*-1\r\n");
    says(&w, "WATCH k", "+OK\r\n");
    says(&w, "MULTI", "+OK\r\n");
    uint64_t place = 0;
    assert_int_equal(strobe_sweep(w.map.map, &place, 100), 1);
    says(&w, "EXEC", "*0\r\n");
    close_world(&w);
}

static void test_exec_over_a_large_map_keeps_the_order_of_its_replies(void **state) {
    static const char *const lines[] = {"SET new 1", "KEYS nosuch", "GET new",  "KEYS k1", "DEL k1",
                                        "DBSIZE",    "KEYS k2999?", "FLUSHALL", "DBSIZE",  "KEYS k2"};
    static const char begin[] = "*10\r\n+OK\r\n*0\r\n$1\r\n1\r\n*1\r\n$2\r\nk1\r\n:1\r\n:30000\r\n*10\r\n";
    static const char end[] = "+OK\r\n:0\r\n*1\r\n$2\r\nk2\r\n";
    struct world w;
    (void)state;
    open_world(&w);
    map_world_fill(&w.map, "k", 30000);
    says(&w, "MULTI", "+OK\r\n");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) says(&w, lines[i], "+QUEUED\r\n");
    exec_whole(&w);
    assert_int_equal(strncmp(w.answer, begin, strlen(begin)), 0);
    assert_string_equal(w.answer + w.answer_len - strlen(end), end);
    says(&w, "DBSIZE", ":0\r\n");
    close_world(&w);
}

static void test_exec_that_is_cut_off_in_its_job_leaves_nothing_behind(void **state) {
    static const char *const lines[] = {"KEYS *", "GET k1", "KEYS *", "GET k1", "SCAN 0", "SET k1 v"};
    struct world w;
    (void)state;
    open_world(&w);
    map_world_fill(&w.map, "k", 30000);
    for (unsigned slices = 0; slices < 60; slices += 7) {
        says(&w, "MULTI", "+OK\r\n");
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) says(&w, lines[i], "+QUEUED\r\n");
        ask(&w, "EXEC");
        assert_int_equal(w.outcome, COMMAND_LATER);
        assert_true(w.call.job->memory > 0);
        enum command_slice slice = COMMAND_SLICE_MORE;
        for (unsigned i = 0; i < slices && slice == COMMAND_SLICE_MORE; i++) {
            slice = w.call.job->slice(w.call.job, &w.reply);
            take_answer(&w);
        }
        w.call.job->release(w.call.job);
    }
    close_world(&w);
}

static void test_exec_without_memory_answers_each_command_and_leaks_nothing(void **state) {
    static const char *const lines[] = {"SET a 1 GET", "INCR a",     "MSET b 1 c 2", "KEYS *",     "DEL a c",
                                        "FLUSHALL",    "APPEND b x", "SCAN 0",       "RENAME b a", "GETEX a EX 10"};
    const size_t count = sizeof lines / sizeof lines[0];
    struct world w;
    bool failed = true;
    (void)state;
    open_world(&w);
    for (size_t n = 1; failed; n++) {
        ask(&w, "FLUSHALL");
        ask(&w, "MSET a 5 d 1");
        ask(&w, "MULTI");
        for (size_t i = 0; i < count; i++) ask(&w, lines[i]);
        w.map.memory.fail_at = w.map.memory.calls + n;
        const char *at = exec_whole(&w);
        failed = w.map.memory.calls >= w.map.memory.fail_at;
        w.map.memory.fail_at = 0;
        assert_int_equal(strncmp(at, "*10\r\n", 5), 0);
        skip_item(&at);
        assert_int_equal(at - w.answer, w.answer_len);
        assert_int_equal(strstr(w.answer, "-OOM ") != NULL, failed);
        assert_true(n < 200);
    }
    close_world(&w);
}

static void test_command_that_cannot_wait_for_lack_of_memory_spoils_exec(void **state) {
    struct world w;
    char *value = calloc(1, STROBE_BLOB_MIN);
    const struct strobe_slice set[] = {STROBE_SLICE("SET"), STROBE_SLICE("k"), {value, STROBE_BLOB_MIN}};
    (void)state;
    open_world(&w);
    ask(&w, "MULTI");
    w.map.memory.fail_at = w.map.memory.calls + 1;
    assert_string_equal(ask_words(&w, set, 3), ERROR_OOM);
    assert_string_equal(ask_words(&w, set, 3), "+QUEUED\r\n");
    says(&w, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    says(&w, "EXISTS k", ":0\r\n");
    free(value);
    close_world(&w);
}

static void test_large_values_that_wait_are_put_without_a_copy(void **state) {
    struct world w;
    size_t len = STROBE_BLOB_MIN * 8;
    char *value = malloc(len);
    const struct strobe_slice set[] = {STROBE_SLICE("SET"), STROBE_SLICE("k"), {value, len}};
    (void)state;
    memset(value, 'v', len);
    open_world(&w);
    ask(&w, "MULTI");
    assert_string_equal(ask_words(&w, set, 3), "+QUEUED\r\n");
    size_t bytes = w.map.memory.bytes;
    says(&w, "EXEC", "*1\r\n+OK\r\n");
    assert_true(w.map.memory.bytes < bytes + len / 2);
    ask(&w, "GET k");
    assert_memory_equal(w.answer + strlen("$131072\r\n"), value, len);
    free(value);
    close_world(&w);
}

/* ---- large words --------------------------------------------------------------------------------------- */

/* Sends WORDS as a client does, so that each read brings STEP bytes; the answer is taken. */
static const char *send_words(struct world *w, const struct strobe_slice *words, size_t count, size_t step) {
    size_t room = 32, len, start = 0, end = 0, used;
    for (size_t i = 0; i < count; i++) room += words[i].len + 32;
    char *bytes = malloc(room);
    assert_non_null(bytes);
    len = (size_t)sprintf(bytes, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        len += (size_t)sprintf(bytes + len, "$%zu\r\n", words[i].len);
        memcpy(bytes + len, words[i].data, words[i].len);
        len += words[i].len;
        len += (size_t)sprintf(bytes + len, "\r\n");
    }
    enum strobe_parse parse = STROBE_PARSE_MORE;
    for (; parse == STROBE_PARSE_MORE; start += used) {
        assert_true(end < len);
        end = len - end < step ? len : end + step;
        parse = strobe_resp_parser_read(&w->parser, strobe_slice_make(bytes + start, end - start), &w->request, &used);
    }
    assert_int_equal(parse, STROBE_PARSE_DONE);
    assert_int_equal(start, len);
    execute(w);
    take_answer(w);
    free(bytes);
    return w->answer;
}

static void test_large_word_is_the_value_that_it_came_in(void **state) {
    enum { LEN = 300000 };
    static char value[LEN];
    const struct strobe_slice set[] = {{"SET", 3}, {"k", 1}, {value, LEN}};
    struct world w;
    (void)state;
    for (size_t i = 0; i < LEN; i++) value[i] = (char)(i * 7 >> 3);
    open_world(&w);
    says(&w, "SET k small", "+OK\r\n");
    size_t bytes = w.map.memory.bytes, calls = w.map.memory.calls;
    assert_string_equal(send_words(&w, set, 3, 10000), "+OK\r\n");
    assert_true(w.map.memory.bytes < bytes + LEN + 200);
    assert_true(w.map.memory.calls < calls + 5); /* three rooms and the entry: nothing was copied at the end */
    ask(&w, "GET k");
    assert_memory_equal(w.answer + strlen("$300000\r\n"), value, LEN);
    says(&w, "MULTI", "+OK\r\n");
    calls = w.map.memory.calls;
    assert_string_equal(send_words(&w, set, 3, 1000), "+QUEUED\r\n");
    assert_true(w.map.memory.calls < calls + 4);
    says(&w, "EXEC", "*1\r\n+OK\r\n");
    ask(&w, "GET k");
    assert_memory_equal(w.answer + strlen("$300000\r\n"), value, LEN);
    close_world(&w);
}

/* Each allocation of the map fails in turn while SET or MSET of large words comes: it is answered, nothing is left, and
 * the next request is understood. */
static void assert_lack_of_memory_is_answered(struct world *w, const struct strobe_slice *words, size_t count) {
    size_t failed = 0;
    for (size_t n = 1;; n++) {
        size_t bytes = w->map.memory.bytes;
        w->map.memory.fail_at = w->map.memory.calls + n;
        const char *answer = send_words(w, words, count, 50000);
        bool has_failed = w->map.memory.calls >= w->map.memory.fail_at;
        w->map.memory.fail_at = 0;
        if (!has_failed) break;
        failed++;
        assert_string_equal(answer, ERROR_OOM);
        assert_int_equal(w->map.memory.bytes, bytes);
        says(w, "EXISTS k k2", ":0\r\n");
    }
    assert_true(failed >= 3);
    says(w, "EXISTS k", ":1\r\n");
}

static void test_large_word_without_memory_is_answered_and_the_next_request_follows(void **state) {
    enum { LEN = 200000 };
    static const char value[LEN];
    const struct strobe_slice set[] = {{"SET", 3}, {"k", 1}, {value, LEN}};
    const struct strobe_slice mset[] = {{"MSET", 4}, {"k", 1}, {value, LEN}, {"k2", 2}, {value, LEN}};
    const struct strobe_slice name[] = {{value, LEN}};
    struct world w;
    (void)state;
    open_world(&w);
    assert_lack_of_memory_is_answered(&w, set, 3);
    says(&w, "DEL k", ":1\r\n");
    assert_lack_of_memory_is_answered(&w, mset, 5);
    w.map.memory.fail_at = w.map.memory.calls + 1;
    assert_string_equal(send_words(&w, name, 1, 50000), ERROR_OOM);
    says(&w, "MULTI", "+OK\r\n");
    w.map.memory.fail_at = w.map.memory.calls + 2;
    assert_string_equal(send_words(&w, set, 3, 50000), ERROR_OOM);
    w.map.memory.fail_at = 0;
    says(&w, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    close_world(&w);
}

/* ---- large changes -------------------------------------------------------------------------------------- */

enum { CHANGED_LEN = 3 << 20 };

/* Sets k to CHANGED_LEN bytes, and gives them, followed by room for as many; to be freed. */
static char *set_large(struct world *w) {
    char *value = malloc(2 * CHANGED_LEN + 1);
    assert_non_null(value);
    for (size_t i = 0; i < CHANGED_LEN; i++) value[i] = (char)(i * 2654435761u >> 13);
    assert_string_equal(ask_words(w, (const struct strobe_slice[]){{"SET", 3}, {"k", 1}, {value, CHANGED_LEN}}, 3),
                        "+OK\r\n");
    return value;
}

static void assert_value(struct world *w, const char *value, size_t len) {
    char head[32];
    int at = sprintf(head, "$%zu\r\n", len);
    ask(w, "GET k");
    assert_int_equal(w->answer_len, (size_t)at + len + 2);
    assert_memory_equal(w->answer, head, (size_t)at);
    assert_memory_equal(w->answer + at, value, len);
}

/* Does at most SLICES slices of the job that a command left; with the last one its answer is taken. */
static bool go_on(struct world *w, struct command_job *job, unsigned slices) {
    enum command_slice slice = COMMAND_SLICE_MORE;
    while (slices-- > 0 && slice == COMMAND_SLICE_MORE) slice = job->slice(job, &w->reply);
    if (slice == COMMAND_SLICE_MORE) return false;
    assert_int_equal(slice, COMMAND_SLICE_DONE);
    job->release(job);
    take_answer(w);
    return true;
}

static struct command_job *ask_later(struct world *w, const char *line) {
    assert_string_equal(ask(w, line), "");
    assert_int_equal(w->outcome, COMMAND_LATER);
    return w->call.job;
}

static void test_large_value_grows_by_a_job_and_then_in_place(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    char *value = set_large(&w);
    struct command_job *job = ask_later(&w, "APPEND k xyz");
    assert_value(&w, value, CHANGED_LEN); /* nobody sees it before it is whole */
    assert_true(go_on(&w, job, 1000));
    assert_string_equal(w.answer, ":3145731\r\n");
    memcpy(value + CHANGED_LEN, "xyz", 3);
    assert_value(&w, value, CHANGED_LEN + 3);
    size_t calls = w.map.memory.calls;
    for (unsigned i = 0; i < 1000; i++) {
        ask(&w, "APPEND k ABCDEFGH");
        assert_int_equal(w.outcome, COMMAND_DONE);
        memcpy(value + CHANGED_LEN + 3 + 8 * i, "ABCDEFGH", 8);
    }
    assert_true(w.map.memory.calls <= calls + 1000); /* an entry each */
    assert_value(&w, value, CHANGED_LEN + 8003);
    says(&w, "SETRANGE k 3153739 end", ":3153742\r\n"); /* eight zeros in between */
    memcpy(value + CHANGED_LEN + 8003, "\0\0\0\0\0\0\0\0end", 11);
    assert_value(&w, value, CHANGED_LEN + 8014);
    says(&w, "APPEND k \"\"", ":3153742\r\n");
    assert_value(&w, value, CHANGED_LEN + 8014);
    free(value);
    close_world(&w);
}

static void test_old_values_stay_as_they_were_while_a_value_grows_in_place(void **state) {
    struct world w;
    struct strobe_snapshot *snapshot;
    (void)state;
    open_world(&w);
    char *value = set_large(&w);
    assert_true(go_on(&w, ask_later(&w, "APPEND k 1"), 1000));
    says(&w, "COPY k copy", ":1\r\n");
    assert_int_equal(strobe_snapshot_open(w.map.map, false, &snapshot), STROBE_OK);
    char *before = map_world_dump(snapshot);
    says(&w, "APPEND k 2", ":3145730\r\n");
    says(&w, "STRLEN copy", ":3145729\r\n");
    says(&w, "GETRANGE copy -1 -1", "$1\r\n1\r\n");
    char *after = map_world_dump(snapshot);
    assert_string_equal(before, after);
    free(before);
    free(after);
    strobe_snapshot_close(snapshot);
    assert_true(go_on(&w, ask_later(&w, "APPEND copy 3"), 1000)); /* the place behind it is k's */
    says(&w, "GETRANGE k -2 -1", "$2\r\n12\r\n");
    says(&w, "GETRANGE copy -2 -1", "$2\r\n13\r\n");
    free(value);
    close_world(&w);
}

/* What others do while a job makes a large change counts, and the change is made to that. */
static void test_large_change_that_was_overtaken_is_made_of_what_is_there(void **state) {
    static const struct {
        const char *meanwhile, *answer, *command, *line;
    } cases[] = {
        {"SET k small", "+OK\r\n", "APPEND k !", "$6\r\nsmall!\r\n"},
        {"DEL k", ":1\r\n", "APPEND k !", "$1\r\n!\r\n"},
        {"DEL k", ":1\r\n", "SETRANGE k 2 !", "$3\r\n\0\0!\r\n"},
        {"FLUSHALL", "+OK\r\n", "SETRANGE k 2 !", "$3\r\n\0\0!\r\n"},
        {"SET k abcdef", "+OK\r\n", "SETRANGE k 1 XY", "$6\r\naXYdef\r\n"},
    };
    struct world w;
    (void)state;
    open_world(&w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned slices = 0; slices < 12; slices += 5) {
            free(set_large(&w));
            struct command_job *job = ask_later(&w, cases[i].command);
            assert_false(go_on(&w, job, slices));
            says(&w, cases[i].meanwhile, cases[i].answer);
            assert_true(go_on(&w, job, 1000));
            assert_int_equal(w.answer[0], ':');
            ask(&w, "GET k");
            assert_memory_equal(w.answer, cases[i].line, w.answer_len);
            says(&w, "DEL k", ":1\r\n");
        }
    }
    close_world(&w);
}

/* EXPIRE, and what grows the same blob, do not make it begin at the beginning. */
static void test_large_change_goes_on_when_the_bytes_are_the_same(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    char *value = set_large(&w);
    assert_true(go_on(&w, ask_later(&w, "APPEND k 1"), 1000)); /* so that there is room behind it */
    struct command_job *job = ask_later(&w, "SETRANGE k 100 here");
    assert_false(go_on(&w, job, 10));
    says(&w, "EXPIRE k 1000", ":1\r\n");
    says(&w, "APPEND k 2", ":3145730\r\n");
    assert_true(go_on(&w, job, 1 + CHANGED_LEN / (unsigned)STROBE_CHANGE_SLICE + 15));
    assert_string_equal(w.answer, ":3145730\r\n");
    memcpy(value + 100, "here", 4);
    memcpy(value + CHANGED_LEN, "12", 2);
    assert_value(&w, value, CHANGED_LEN + 2);
    assert_int_equal(strtol(ask(&w, "TTL k") + 1, NULL, 10), 1000);
    free(value);
    close_world(&w);
}

/* Two large changes of one value at once: both are in it. */
static void test_two_large_changes_are_both_made(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    char *value = set_large(&w);
    struct command_job *first = ask_later(&w, "SETRANGE k 5 first"), *second = ask_later(&w, "APPEND k second");
    struct command_job *third = ask_later(&w, "APPEND k third");
    bool done[3] = {false, false, false};
    while (!done[0] || !done[1] || !done[2]) {
        if (!done[0]) done[0] = go_on(&w, first, 1);
        if (!done[1]) done[1] = go_on(&w, second, 1);
        if (!done[2]) done[2] = go_on(&w, third, 2);
    }
    memcpy(value + 5, "first", 5);
    assert_non_null(strstr(ask(&w, "GETRANGE k 3145728 -1"), "$11\r\n"));
    bool is_third_first = strstr(w.answer, "thirdsecond") != NULL;
    memcpy(value + CHANGED_LEN, is_third_first ? "thirdsecond" : "secondthird", 11);
    assert_value(&w, value, CHANGED_LEN + 11);
    free(value);
    close_world(&w);
}

static void test_large_change_that_is_cut_off_leaves_nothing(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    char *value = set_large(&w);
    size_t live = w.map.memory.live;
    for (unsigned slices = 0; slices < 12; slices += 3) {
        struct command_job *job = ask_later(&w, slices % 2 ? "APPEND k xyz" : "SETRANGE k 7 xyz");
        assert_false(go_on(&w, job, slices));
        job->release(job);
        assert_int_equal(w.map.memory.live, live);
    }
    assert_value(&w, value, CHANGED_LEN);
    assert_true(go_on(&w, ask_later(&w, "APPEND k 1"), 1000));
    live = w.map.memory.live;
    char *more = calloc(1, 2 * STROBE_CHANGE_AT_ONCE);
    assert_string_equal(
        ask_words(&w, (const struct strobe_slice[]){{"SETRANGE", 8}, {"k", 1}, {"3500000", 7}, {more, 300}}, 4),
        ":3500300\r\n"); /* in place */
    says(&w, "APPEND k 2", ":3500301\r\n");
    assert_int_equal(w.map.memory.live, live);
    free(more);
    free(value);
    close_world(&w);
}

static void test_large_change_without_memory_changes_nothing(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    char *value = set_large(&w);
    for (size_t n = 1;; n++) {
        size_t bytes = w.map.memory.bytes;
        w.map.memory.fail_at = w.map.memory.calls + n;
        ask(&w, "SETRANGE k 9 xyz");
        if (w.outcome == COMMAND_LATER) assert_true(go_on(&w, w.call.job, 1000));
        bool has_failed = w.map.memory.calls >= w.map.memory.fail_at;
        w.map.memory.fail_at = 0;
        if (!has_failed) break;
        assert_string_equal(w.answer, ERROR_OOM);
        assert_int_equal(w.map.memory.bytes, bytes);
        assert_value(&w, value, CHANGED_LEN);
        assert_true(n < 10);
    }
    memcpy(value + 9, "xyz", 3);
    assert_value(&w, value, CHANGED_LEN);
    free(value);
    close_world(&w);
}

static void test_large_change_inside_exec_does_not_wait(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    char *value = set_large(&w);
    says(&w, "MULTI", "+OK\r\n");
    says(&w, "APPEND k end", "+QUEUED\r\n");
    says(&w, "SETRANGE k 1 abc", "+QUEUED\r\n");
    says(&w, "SETRANGE far 2000000 x", "+QUEUED\r\n");
    says(&w, "EXEC", "*3\r\n:3145731\r\n:3145731\r\n:2000001\r\n");
    memcpy(value + 1, "abc", 3);
    memcpy(value + CHANGED_LEN, "end", 3);
    assert_value(&w, value, CHANGED_LEN + 3);
    free(value);
    close_world(&w);
}

/* ---- the connection ------------------------------------------------------------------------------------- */

static void test_hello_changes_the_protocol_and_reset_puts_it_back(void **state) {
    struct world w;
    (void)state;
    open_world(&w);
    ask(&w, "HELLO 3 SETNAME me");
    assert_int_equal(w.answer[0], '%');
    assert_int_equal(w.session.resp, STROBE_RESP3);
    says(&w, "GET none", "_\r\n");
    says(&w, "CLIENT GETNAME", "$2\r\nme\r\n");
    says(&w, "SELECT 1", "-ERR DB index is out of range\r\n");
    says(&w, "RESET", "+RESET\r\n");
    says(&w, "GET none", "$-1\r\n");
    says(&w, "CLIENT GETNAME", "$-1\r\n");
    says(&w, "CLIENT SETINFO lib-name mylib", "+OK\r\n");
    says(&w, "CLIENT SETINFO LIB-VER 1.2", "+OK\r\n");
    says(&w, "CLIENT SETINFO lib-name \"a b\"",
         "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n");
    says(&w, "CLIENT SETINFO color red", "-ERR Unrecognized option 'color'\r\n");
    assert_non_null(strstr(ask(&w, "CLIENT INFO"), " lib-name=mylib lib-ver=1.2 "));
    says(&w, "QUIT", "+OK\r\n");
    assert_int_equal(w.outcome, COMMAND_CLOSE);
    close_world(&w);
}

static void test_calls_hits_and_failures_are_counted(void **state) {
    struct world w;
    struct metrics_sum sum;
    (void)state;
    open_world(&w);
    ask(&w, "SET k v");
    ask(&w, "GET k");
    ask(&w, "GET none");
    ask(&w, "MGET k k none");
    ask(&w, "GET");
    ask(&w, "SET k v EX x");
    ask(&w, "CLIENT NONE");
    ask(&w, "NONE");
    metrics_add_up(w.metrics, &sum);
    assert_int_equal(sum.counters[METRICS_HITS], 3);
    assert_int_equal(sum.counters[METRICS_MISSES], 2);
    unsigned get = command_number(command_find(w.table, STROBE_SLICE("get")));
    unsigned set = command_number(command_find(w.table, STROBE_SLICE("set")));
    unsigned client = command_number(command_find(w.table, STROBE_SLICE("client")));
    assert_int_equal(sum.commands[get], 2);
    assert_int_equal(sum.commands_failed[get], 0);
    assert_int_equal(sum.commands_rejected[get], 1);
    assert_int_equal(sum.commands[set], 2);
    assert_int_equal(sum.commands_failed[set], 1);
    assert_int_equal(sum.commands_rejected[set], 0);
    assert_int_equal(sum.commands[client], 0);
    assert_int_equal(sum.commands_rejected[client], 1);
    assert_int_equal(sum.counters[METRICS_UNKNOWN_COMMANDS], 1);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_found_in_any_case),
        cmocka_unit_test(test_every_row_says_all_about_itself),
        cmocka_unit_test(test_documentation_of_every_row_is_well_formed),
        cmocka_unit_test(test_key_is_gone_from_its_millisecond_on),
        cmocka_unit_test(test_seconds_left_are_rounded_as_redis_does),
        cmocka_unit_test(test_time_to_live_survives_what_changes_a_part),
        cmocka_unit_test(test_set_if_version_is_compare_and_swap),
        cmocka_unit_test(test_writing_the_same_bytes_is_a_new_version),
        cmocka_unit_test(test_key_that_may_not_be_is_refused_by_writers_and_missed_by_readers),
        cmocka_unit_test(test_one_command_takes_65536_keys_and_no_more),
        cmocka_unit_test(test_large_values_are_whole_around_the_border_of_sharing),
        cmocka_unit_test(test_append_across_the_border_of_sharing_keeps_every_byte),
        cmocka_unit_test(test_lack_of_memory_fails_the_command_and_changes_nothing),
        cmocka_unit_test(test_scan_with_values_gives_pairs),
        cmocka_unit_test(test_keys_of_a_large_map_is_a_job_that_shows_one_instant),
        cmocka_unit_test(test_watched_key_that_expires_was_changed_and_one_that_had_expired_was_not),
        cmocka_unit_test(test_exec_over_a_large_map_keeps_the_order_of_its_replies),
        cmocka_unit_test(test_exec_that_is_cut_off_in_its_job_leaves_nothing_behind),
        cmocka_unit_test(test_exec_without_memory_answers_each_command_and_leaks_nothing),
        cmocka_unit_test(test_command_that_cannot_wait_for_lack_of_memory_spoils_exec),
        cmocka_unit_test(test_large_values_that_wait_are_put_without_a_copy),
        cmocka_unit_test(test_large_word_is_the_value_that_it_came_in),
        cmocka_unit_test(test_large_word_without_memory_is_answered_and_the_next_request_follows),
        cmocka_unit_test(test_large_value_grows_by_a_job_and_then_in_place),
        cmocka_unit_test(test_old_values_stay_as_they_were_while_a_value_grows_in_place),
        cmocka_unit_test(test_large_change_that_was_overtaken_is_made_of_what_is_there),
        cmocka_unit_test(test_large_change_goes_on_when_the_bytes_are_the_same),
        cmocka_unit_test(test_two_large_changes_are_both_made),
        cmocka_unit_test(test_large_change_that_is_cut_off_leaves_nothing),
        cmocka_unit_test(test_large_change_without_memory_changes_nothing),
        cmocka_unit_test(test_large_change_inside_exec_does_not_wait),
        cmocka_unit_test(test_hello_changes_the_protocol_and_reset_puts_it_back),
        cmocka_unit_test(test_calls_hits_and_failures_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

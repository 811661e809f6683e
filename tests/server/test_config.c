/* test_config.c - options from file and command line, and that conf/strobe.conf says what is true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/config.h"
#include "server/log.h"

enum { ARGUMENTS = 16 };

/* A reading of some words, and what came of it. */
struct trial {
    char error[CONFIG_ERROR_TEXT];
    enum config_action action;
    struct config *config;
};

/* Reads the words up to a NULL as a command line. */
static bool try(struct trial *trial, const char *first, ...) {
    static char program[] = "strobed";
    char *argv[ARGUMENTS] = {program};
    int argc = 1;
    va_list words;

    va_start(words, first);
    for (const char *word = first; word != NULL; word = va_arg(words, const char *)) argv[argc++] = strdup(word);
    va_end(words);
    trial->error[0] = '\0';
    bool good = config_read(argc, argv, &trial->action, &trial->config, trial->error);
    if (!good) assert_null(trial->config);
    while (argc > 1) free(argv[--argc]);
    return good;
}

/* A file with TEXT, gone after the reading. */
static bool try_file(struct trial *trial, const char *text, size_t len, char path[64]) {
    strcpy(path, "/tmp/strobe-test-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
    bool good = try(trial, "--config", path, NULL);
    unlink(path);
    return good;
}

static void assert_refused(const char *text, const char *place, const char *expected) {
    struct trial trial;
    char path[64], start[128];

    assert_false(try_file(&trial, text, strlen(text), path));
    snprintf(start, sizeof start, "%s%s", path, place);
    if (strncmp(trial.error, start, strlen(start)) != 0 || strstr(trial.error, expected) == NULL) {
        fail_msg("got \"%s\", expected \"%s\" and \"%s\"", trial.error, start, expected);
    }
}

static const char *text_of(const struct config *config, const char *name, char text[CONFIG_VALUE_TEXT]) {
    for (size_t i = 0; i < config_options(); i++) {
        if (strcmp(config_option_name(i), name) != 0) continue;
        config_option_text(config, i, text);
        return text;
    }
    fail_msg("there is no option %s", name);
    return NULL;
}

static void test_defaults_are_those_of_the_table(void **state) {
    struct trial trial;

    (void)state;
    assert_true(try(&trial, NULL));
    assert_int_equal(trial.action, CONFIG_RUN);
    assert_int_equal(trial.config->port, 7171);
    assert_int_equal(trial.config->http_port, 7172);
    assert_int_equal(trial.config->max_clients, 10000);
    assert_int_equal(trial.config->max_value, 512u << 20);
    assert_int_equal(trial.config->max_reply_buffer, (512u << 20) + (1u << 20));
    assert_int_equal(trial.config->request_timeout, 30000);
    assert_int_equal(trial.config->unix_socket_mode, 0700);
    assert_int_equal(trial.config->log_level, LOG_INFO);
    assert_int_equal(trial.config->bind.count, 1);
    assert_string_equal(trial.config->bind.items[0], "127.0.0.1");
    assert_null(trial.config->unix_socket);
    assert_true(trial.config->threads >= 1);
    assert_int_equal(trial.config->shards & (trial.config->shards - 1), 0);
    config_free(trial.config);
}

static void test_shipped_file_holds_every_option_with_its_default(void **state) {
    const char *top = getenv("top_srcdir");
    char path[4096], line[4096], name[64], value[256];
    size_t options = 0;
    bool explained = false;

    (void)state;
    snprintf(path, sizeof path, "%s/conf/strobe.conf", top != NULL ? top : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#') explained = true;
        if (line[0] == '#' || line[0] == '\n') continue;
        assert_int_equal(sscanf(line, "%63s = %255[^\n]", name, value), 2);
        assert_true(options < config_options());
        assert_string_equal(name, config_option_name(options));
        assert_string_equal(value, config_option_default(options));
        assert_true(explained);
        explained = false;
        options++;
    }
    fclose(file);
    assert_int_equal(options, config_options());

    struct trial trial;
    assert_true(try(&trial, "--config", path, "--check-config", NULL));
    assert_int_equal(trial.action, CONFIG_CHECK);
    config_free(trial.config);
}

static void test_command_line_wins_over_the_file(void **state) {
    static const char text[] = "# a comment\n\n  port =  1234  \r\nhttp-port=0\nmax-value = 1kb";
    struct trial trial;
    char path[64] = "/tmp/strobe-test-config-XXXXXX";

    (void)state;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    bool good = try(&trial, "--port=4321", "--config", path, "--log-level", "warn", NULL);
    unlink(path);
    assert_true(good);
    assert_int_equal(trial.config->port, 4321);
    assert_int_equal(trial.config->http_port, 0);
    assert_int_equal(trial.config->max_value, 1024);
    assert_int_equal(trial.config->log_level, LOG_WARN);
    config_free(trial.config);
}

static void test_file_errors_say_line_and_what_was_expected(void **state) {
    (void)state;
    assert_refused("port = 1\nfoo = 2\n", ":2: ", "unknown option \"foo\"");
    assert_refused("\n\nport\n", ":3: ", "expected \"name = value\"");
    assert_refused("port = 1\n# x\nport = 2\n", ":3: ", "line 1");
    assert_refused("port = 65536\n", ":1: port: ", "expected a port from 0 to 65535");
    assert_refused("port = -1\n", ":1: port: ", "expected a port");
    assert_refused("port =\n", ":1: port: ", "expected a port");
    assert_refused("port = 7171 # here\n", ":1: port: ", "a comment needs a line of its own");
    assert_refused("max-value = 99999999999999999999\n", ":1: max-value: ", "expected bytes");
    assert_refused("max-value = 18446744073709551615gb\n", ":1: max-value: ", "expected bytes");
    assert_refused("max-value = 1tb\n", ":1: max-value: ", "expected bytes");
    assert_refused("max-buffers = 101%\n", ":1: max-buffers: ", "expected bytes");
    assert_refused("idle-timeout = soon\n", ":1: idle-timeout: ", "expected a time");
    assert_refused("insecure = maybe\n", ":1: insecure: ", "expected yes or no");
    assert_refused("log-level = loud\n", ":1: log-level: ", "expected debug, info, warn or error");
    assert_refused("unix-socket-mode = 0999\n", ":1: unix-socket-mode: ", "octal");
    assert_refused("threads = 0\n", ":1: threads: ", "expected a whole number from 1 to 256, or auto");
    assert_refused("shards = 48\n", ":1: shards: ", "expected a power of two");
    assert_refused("bind = localhost\n", ":1: bind: ", "expected IPv4 or IPv6 addresses");
    assert_refused("bind = 127.0.0.1,,::1\n", ":1: bind: ", "separated by commas");
    assert_refused("max-memory = 1gb\n", ":1: ", "unknown option");
}

static void test_file_with_a_nul_or_too_long_or_missing_is_refused(void **state) {
    struct trial trial;
    char path[64];

    (void)state;
    assert_false(try_file(&trial, "port = 1\0\n", 10, path));
    assert_non_null(strstr(trial.error, "NUL"));
    size_t size = (1u << 20) + 1;
    char *text = malloc(size);
    memset(text, '\n', size);
    assert_false(try_file(&trial, text, size, path));
    free(text);
    assert_false(try(&trial, "--config", "/nonexistent/strobe.conf", NULL));
    assert_non_null(strstr(trial.error, "/nonexistent/strobe.conf"));
    assert_false(try(&trial, "--config", "/", NULL));
}

static void test_command_line_errors_name_the_option(void **state) {
    struct trial trial;

    (void)state;
    assert_false(try(&trial, "--foo", "1", NULL));
    assert_non_null(strstr(trial.error, "unknown option \"--foo\""));
    assert_false(try(&trial, "--port", NULL));
    assert_non_null(strstr(trial.error, "--port: expected a value"));
    assert_false(try(&trial, "--config", NULL));
    assert_non_null(strstr(trial.error, "--config: expected"));
    assert_false(try(&trial, "--port", "1", "--port", "2", NULL));
    assert_non_null(strstr(trial.error, "--port: is given a second time"));
    assert_false(try(&trial, "strobe.conf", NULL));
    assert_non_null(strstr(trial.error, "behind --config"));
    assert_false(try(&trial, "--port", "80", "--http-port", "80", NULL));
    assert_non_null(strstr(trial.error, "--http-port: expected another port"));
    assert_false(try(&trial, "--port", "0", "--http-port", "0", NULL));
    assert_non_null(strstr(trial.error, "all are off"));
    assert_false(try(&trial, "--allow-origin", "https://good.example,app.example", NULL));
    assert_non_null(strstr(trial.error, "--allow-origin: expected scheme://host"));
}

static void test_allow_host_takes_only_what_a_host_can_say(void **state) {
    static const char *const bad[] = {"*",    "http://foo.com", "a.example:80", "*.bar.com", ".bar.com",
                                      "a..b", "foo.com/x",      "user@foo.com", "[::1]",     "f\xc3\xb6o",
                                      ".",    "good.example,*"};
    struct trial trial;
    char error[CONFIG_ERROR_TEXT];
    size_t index;

    (void)state;
    assert_true(config_find("allow-host", &index));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (try(&trial, "--allow-host", bad[i], NULL)) fail_msg("%s was taken", bad[i]);
        assert_non_null(strstr(trial.error, "--allow-host: expected host names without scheme, port or wildcard"));
        struct config *config = config_copy(NULL);
        if (config_set(config, index, bad[i], error)) fail_msg("%s was taken by CONFIG SET", bad[i]);
        assert_non_null(strstr(error, "expected host names without scheme, port or wildcard"));
        config_free(config);
    }
    assert_true(try(&trial, "--allow-host", "a.example,My_Host-2,b.example.,10.0.0.1", NULL));
    assert_int_equal(trial.config->allow_host.count, 4);
    config_free(trial.config);
}

static void test_origins_are_checked_when_they_are_set_too(void **state) {
    struct config *config = config_copy(NULL);
    char error[CONFIG_ERROR_TEXT];
    size_t index;

    (void)state;
    assert_true(config_find("allow-origin", &index));
    assert_false(config_set(config, index, "app.example", error));
    assert_non_null(strstr(error, "expected scheme://host"));
    assert_true(config_set(config, index, "https://app.example", error));
    config_free(config);
}

static void test_addresses_of_others_need_insecure(void **state) {
    struct trial trial;

    (void)state;
    assert_false(try(&trial, "--bind", "127.0.0.1,0.0.0.0", NULL));
    assert_non_null(strstr(trial.error, "--bind: other machines reach 0.0.0.0"));
    assert_non_null(strstr(trial.error, "insecure = yes"));
    assert_false(try(&trial, "--bind", "::", NULL));
    assert_true(try(&trial, "--bind", "127.8.9.1, ::1", NULL));
    assert_int_equal(trial.config->bind.count, 2);
    assert_string_equal(trial.config->bind.items[1], "::1");
    config_free(trial.config);
    assert_true(try(&trial, "--bind", "0.0.0.0", "--insecure", "yes", NULL));
    config_free(trial.config);
}

static void test_addresses_on_which_nobody_can_listen_are_refused(void **state) {
    static const char *const twice[] = {"127.0.0.1,127.0.0.1", "::1,127.0.0.1,0:0:0:0:0:0:0:1", "0.0.0.0,127.0.0.1",
                                        "::1,::"};
    struct trial trial;

    (void)state;
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
        if (try(&trial, "--bind", twice[i], "--insecure", "yes", NULL)) fail_msg("%s was taken", twice[i]);
        assert_non_null(strstr(trial.error, "--bind: expected each address once, got"));
    }
    assert_false(try(&trial, "--bind", "::ffff:127.0.0.1", NULL));
    assert_non_null(strstr(trial.error, "--bind: expected an IPv4 address written as such, 127.0.0.1, got"));
    assert_true(try(&trial, "--bind", "0.0.0.0,::", "--insecure", "yes", NULL));
    config_free(trial.config);
}

static void test_values_are_taken_at_their_bounds_and_not_beyond(void **state) {
    struct trial trial;

    (void)state;
    assert_true(try(&trial, "--max-value", "4294967295", "--max-clients", "1000000", "--port", "65535", NULL));
    assert_int_equal(trial.config->max_value, 4294967295u);
    config_free(trial.config);
    assert_false(try(&trial, "--max-value", "4294967296", NULL));
    assert_false(try(&trial, "--max-value", "0", NULL));
    assert_false(try(&trial, "--max-clients", "1000001", NULL));
    assert_false(try(&trial, "--max-clients", "0", NULL));
}

static void test_units_are_what_they_say(void **state) {
    struct trial trial;

    (void)state;
    assert_true(try(&trial, "--idle-timeout", "5m", "--request-timeout", "250ms", "--scan-idle-timeout", "7",
                    "--max-value", "3KB", "--max-request", "2gb", NULL));
    assert_int_equal(trial.config->idle_timeout, 300000);
    assert_int_equal(trial.config->request_timeout, 250);
    assert_int_equal(trial.config->scan_idle_timeout, 7000);
    assert_int_equal(trial.config->max_value, 3072);
    assert_int_equal(trial.config->max_request, UINT64_C(2) << 30);
    config_free(trial.config);
}

static void test_text_of_a_value_reads_back_as_itself(void **state) {
    struct trial trial, again;
    char text[CONFIG_VALUE_TEXT], second[CONFIG_VALUE_TEXT];

    (void)state;
    assert_true(try(&trial, "--idle-timeout", "1500ms", "--bind", "127.0.0.1,::1", "--port", "auto", "--insecure",
                    "yes", "--allow-host", "a.example,b.example", "--max-buffers", "50%", NULL));
    assert_string_equal(text_of(trial.config, "idle-timeout", text), "1500ms");
    assert_string_equal(text_of(trial.config, "bind", text), "127.0.0.1,::1");
    assert_string_equal(text_of(trial.config, "port", text), "auto");
    assert_string_equal(text_of(trial.config, "unix-socket", text), "none");
    assert_string_equal(text_of(trial.config, "max-value", text), "536870912");
    assert_string_equal(text_of(trial.config, "unix-socket-mode", text), "0700");
    assert_true(try(&again, NULL));
    for (size_t i = 0; i < config_options(); i++) {
        size_t len = config_option_text(trial.config, i, text);
        assert_int_equal(len, strlen(text));
        assert_true(config_option_keep(again.config, trial.config, i));
        config_option_text(again.config, i, second);
        assert_string_equal(text, second);
    }
    config_free(trial.config);
    config_free(again.config);
}

static void test_help_lists_every_option_and_default(void **state) {
    struct trial trial;
    char *page = NULL;
    size_t len = 0;

    (void)state;
    assert_true(try(&trial, "--help", NULL));
    assert_int_equal(trial.action, CONFIG_HELP);
    assert_null(trial.config);
    assert_true(try(&trial, "--version", NULL));
    assert_int_equal(trial.action, CONFIG_VERSION);
    FILE *file = open_memstream(&page, &len);
    config_print_help(file);
    fclose(file);
    assert_non_null(strstr(page, "--NAME=VALUE"));
    for (size_t i = 0; i < config_options(); i++) {
        char row[128];
        snprintf(row, sizeof row, "  --%-18s %-10s ", config_option_name(i), config_option_default(i));
        if (strstr(page, row) == NULL) fail_msg("--help has no line \"%s\"", row);
    }
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_those_of_the_table),
        cmocka_unit_test(test_shipped_file_holds_every_option_with_its_default),
        cmocka_unit_test(test_command_line_wins_over_the_file),
        cmocka_unit_test(test_file_errors_say_line_and_what_was_expected),
        cmocka_unit_test(test_file_with_a_nul_or_too_long_or_missing_is_refused),
        cmocka_unit_test(test_command_line_errors_name_the_option),
        cmocka_unit_test(test_allow_host_takes_only_what_a_host_can_say),
        cmocka_unit_test(test_origins_are_checked_when_they_are_set_too),
        cmocka_unit_test(test_addresses_of_others_need_insecure),
        cmocka_unit_test(test_addresses_on_which_nobody_can_listen_are_refused),
        cmocka_unit_test(test_values_are_taken_at_their_bounds_and_not_beyond),
        cmocka_unit_test(test_units_are_what_they_say),
        cmocka_unit_test(test_text_of_a_value_reads_back_as_itself),
        cmocka_unit_test(test_help_lists_every_option_and_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

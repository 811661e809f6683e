/* main.c - the program strobed: reads the options and does what they ask for. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/config.h"
#include "server/server.h"
#include "server/services.h"

/* Puts /dev/null where there is no standard input, output or error: else the next thing that is opened, a connection
 * or a file, gets its number, and what is meant for the user; and libuv aborts when it is to close one of them. */
static void open_standard_files(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)open("/dev/null", O_RDWR);
}

int main(int argc, char **argv) {
    char error[CONFIG_ERROR_TEXT];
    enum config_action action;
    struct config *config;

    open_standard_files();
    if (!config_read(argc, argv, &action, &config, error)) {
        fprintf(stderr, "strobed: %s\n", error);
        return EXIT_FAILURE;
    }
    switch (action) {
    case CONFIG_HELP: config_print_help(stdout); return EXIT_SUCCESS;
    case CONFIG_VERSION: printf("strobed %s\n", services_version()); return EXIT_SUCCESS;
    case CONFIG_CHECK:
        config_free(config);
        puts("the configuration is good");
        return EXIT_SUCCESS;
    case CONFIG_RUN: break;
    }
    return server_run(config, argc, argv);
}

/* main.c - the program strobed: reads the options and does what they ask for. */
#include <stdio.h>
#include <stdlib.h>

#include "server/config.h"
#include "server/server.h"
#include "server/services.h"

int main(int argc, char **argv) {
    char error[CONFIG_ERROR_TEXT];
    enum config_action action;
    struct config *config;

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

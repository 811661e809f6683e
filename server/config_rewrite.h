/* config_rewrite.h - CONFIG REWRITE: the config file as it must be for the options in force. */
#ifndef STROBE_SERVER_CONFIG_REWRITE_H
#define STROBE_SERVER_CONFIG_REWRITE_H

#include <stdbool.h>

#include "protocol/buf.h"
#include "server/config.h"

/* Writes into OUT what becomes of TEXT, a config file: lines that say what is in force stay as they are, byte for byte,
 * like comments and what is no option; others get the value in force; options that the file does not name and that
 * differ from their default come at the end. Results: false without memory. */
bool config_rewrite_text(const struct config *config, struct strobe_slice text, struct strobe_buf *out);

/* The same with the file at PATH, which is replaced at once: after a crash there is the old one or the new one. It
 * keeps its mode and owner. Results: false with errno, and the file is as it was. */
bool config_rewrite_file(const struct config *config, const char *path);

#endif

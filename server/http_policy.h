/* http_policy.h - who may ask: the rules about Host and Origin that keep foreign web pages out (SPEC 8). */
#ifndef STROBE_SERVER_HTTP_POLICY_H
#define STROBE_SERVER_HTTP_POLICY_H

#include <stdbool.h>

#include "protocol/http_request.h"
#include "server/config.h"

/* The rules in force. Borrowed; made anew for each use, so that a changed configuration counts at once. */
struct http_policy {
    const struct config_list *allow_host;   /* names that Host may say besides */
    const struct config_list *allow_origin; /* whose pages may read and write; NULL: none */
    const char *scheme;                     /* of the pages that this door serves: "http" */
    bool any_host;                          /* a password guards the data: Host need not */
};

/* The last Host of a connection that the fixed rules let in, so that the next request need not parse it again.
 * Names from allow-host are not remembered. All zero is empty. */
struct http_policy_memo {
    unsigned char len;
    char host[39];
};

/* PASS, or which rule says no. */
enum http_policy_verdict {
    HTTP_POLICY_PASS,
    HTTP_POLICY_BAD_HOST,       /* not a host name: 400 */
    HTTP_POLICY_FOREIGN_HOST,   /* 403 that names allow-host */
    HTTP_POLICY_FOREIGN_ORIGIN, /* 403: a page from elsewhere wants to write */
};

/* Whose pages may read the answer to REQUEST: "*", or its Origin (borrowed from it); empty: nobody else's. */
struct strobe_slice http_policy_origin(const struct http_policy *policy, const struct strobe_http_request *request);

/* Judges REQUEST, whose head is complete (borrowed until return). Thread: the connection's. */
enum http_policy_verdict http_policy_check(const struct http_policy *policy, struct http_policy_memo *memo,
                                           const struct strobe_http_request *request);

/* The status and the sentence for a verdict that is not PASS. */
struct strobe_http_refusal http_policy_refusal(enum http_policy_verdict verdict);

#endif

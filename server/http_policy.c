/* http_policy.c - the door in front of the doors: a browser must not become a stranger's hand.
 *
 *      Host    an IP literal, localhost, a name without a dot, or in allow-host: else 403. A page that points its
 *              own name at 127.0.0.1 (DNS rebinding) has a dot in its name and is thereby found out.
 *      Origin  of an unsafe method: that of this very request (scheme, host and port), else 403.
 *              "null" is foreign. Sec-Fetch-Site: cross-site is foreign whatever Origin says. An origin that
 *              allow-origin has is none of it: its pages may also read, which a browser lets them if we say so (CORS).
 *
 * A request without Origin passes: it comes from no web page (curl), or is a plain navigation. One without Host
 * (HTTP/1.0) passes too, since every browser sends one.
 * Not here: what a stored page may do once it is fetched (the headers of http_kv.c), and passwords.
 */
#include "server/http_policy.h"

#include <string.h>

#include "protocol/http_target.h"

/* Does METHOD change nothing (RFC 9110 section 9.2.1), so that any page may send it? */
static bool is_safe(enum strobe_http_method method) {
    return method == STROBE_METHOD_GET || method == STROBE_METHOD_HEAD || method == STROBE_METHOD_OPTIONS ||
           method == STROBE_METHOD_TRACE;
}

static bool is_allowed_name(const struct http_policy *policy, const struct strobe_http_host *host) {
    for (size_t i = 0; i < policy->allow_host->count; i++) {
        const char *name = policy->allow_host->items[i];

        if (strobe_http_host_equals(host, strobe_slice_make(name, strlen(name)))) {
            return true;
        }
    }
    return false;
}

static bool is_remembered(const struct http_policy_memo *memo, struct strobe_slice authority) {
    return memo->len == authority.len && memo->len != 0 && memcmp(memo->host, authority.data, authority.len) == 0;
}

static void remember(struct http_policy_memo *memo, struct strobe_slice authority) {
    if (authority.len <= sizeof memo->host) {
        memcpy(memo->host, authority.data, authority.len);
        memo->len = (unsigned char)authority.len;
    }
}

static enum http_policy_verdict check_host(const struct http_policy *policy, struct http_policy_memo *memo,
                                           struct strobe_slice authority) {
    struct strobe_http_host host;

    if (authority.len == 0 || is_remembered(memo, authority)) {
        return HTTP_POLICY_PASS;
    }
    if (!strobe_http_parse_host(authority, &host)) {
        return HTTP_POLICY_BAD_HOST;
    }
    if (host.is_ip || strobe_http_host_is_localhost(&host) || strobe_http_host_is_dotless(&host)) {
        remember(memo, authority);
        return HTTP_POLICY_PASS;
    }
    return policy->any_host || is_allowed_name(policy, &host) ? HTTP_POLICY_PASS : HTTP_POLICY_FOREIGN_HOST;
}

struct strobe_slice http_policy_origin(const struct http_policy *policy, const struct strobe_http_request *request) {
    struct strobe_slice text = strobe_http_request_field(request, STROBE_HTTP_FIELD_ORIGIN);
    struct strobe_http_origin origin, allowed;
    size_t count = policy->allow_origin != NULL ? policy->allow_origin->count : 0;
    bool is_origin = count > 0 && text.data != NULL && strobe_http_parse_origin(text, &origin);

    for (size_t i = 0; i < count; i++) {
        const char *item = policy->allow_origin->items[i];

        if (strcmp(item, "*") == 0) return STROBE_SLICE("*");
        if (is_origin && strobe_http_parse_origin(strobe_slice_make(item, strlen(item)), &allowed) &&
            strobe_http_origins_equal(&origin, &allowed)) {
            return text;
        }
    }
    return STROBE_SLICE("");
}

/* Did a page of another origin send this request, which may not? */
static bool is_foreign(const struct http_policy *policy, const struct strobe_http_request *request) {
    struct strobe_slice site = strobe_http_request_field(request, STROBE_HTTP_FIELD_SEC_FETCH_SITE);
    struct strobe_slice text = strobe_http_request_field(request, STROBE_HTTP_FIELD_ORIGIN);
    struct strobe_http_origin origin;
    struct strobe_http_host host;

    if (http_policy_origin(policy, request).len != 0) {
        return false;
    }
    if (site.len != 0 && strobe_http_text_is(site, "cross-site")) {
        return true;
    }
    if (text.data == NULL) {
        return false;
    }
    return !strobe_http_parse_origin(text, &origin) || !strobe_http_parse_host(request->authority, &host) ||
           !strobe_http_same_origin(&origin, policy->scheme, &host);
}

enum http_policy_verdict http_policy_check(const struct http_policy *policy, struct http_policy_memo *memo,
                                           const struct strobe_http_request *request) {
    enum http_policy_verdict verdict = check_host(policy, memo, request->authority);

    if (verdict == HTTP_POLICY_PASS && !is_safe(request->method) && is_foreign(policy, request)) {
        return HTTP_POLICY_FOREIGN_ORIGIN;
    }
    return verdict;
}

struct strobe_http_refusal http_policy_refusal(enum http_policy_verdict verdict) {
    if (verdict == HTTP_POLICY_BAD_HOST) {
        return (struct strobe_http_refusal){400, "The Host of the request is not a host name with an optional port."};
    }
    if (verdict == HTTP_POLICY_FOREIGN_HOST) {
        return (struct strobe_http_refusal){
            403, "This server does not answer to the Host that was asked for: use an IP address or localhost, or "
                 "add the name to the option allow-host."};
    }
    return (struct strobe_http_refusal){
        403, "A web page of another origin may not change anything here: add its origin to the option allow-origin, "
             "or send the request without a browser."};
}

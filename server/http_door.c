/* http_door.c - one connection that speaks HTTP: from bytes to whole requests, each answered in its turn.
 *
 *      feed -> HEAD  who asks (http_policy), for what (http_routes_judge): refused or accepted
 *           -> DONE  http_routes_answer writes the reply; the next request follows
 *           -> MORE  read on; but a request that is refused already is answered now, without its body
 *           -> BAD   answered, and nothing more is read
 *
 * Always: one answer a request, in order; between two that take long the loop's other connections have their turn. A
 * refused request whose body has come along is answered like any other and the connection goes on; otherwise the answer
 * says close and the connection lingers (SPEC 6), since what follows is a body and no request. Nothing is kept here
 * between two inputs but the unfinished request, its large body included (upload.c).
 * Not here: syntax (protocol/http_guard.c), what a route does (http_kv.c, http_list.c, http_pages.c), sockets (conn.c).
 */
#include "server/http_door.h"

#include <stdlib.h>
#include <string.h>

#include "map/map.h"
#include "protocol/http_request.h"
#include "protocol/http_writer.h"
#include "server/attention.h"
#include "server/draft.h"
#include "server/hold.h"
#include "server/http_policy.h"
#include "server/http_routes.h"
#include "server/services.h"
#include "server/upload.h"
#include "server/worker.h"

/* The state of a connection. */
struct http_conn {
    struct strobe_http_request request;
    struct http_policy_memo memo;
    struct upload upload; /* of the request under way, if its body is large */
    struct draft draft;   /* the same, if it changes a large value */
    bool waits;           /* it is whole, and what its answer needs is made in slices */
    uint64_t answered;    /* requests */
    char *origin;         /* owned: the last Origin that was allowed, which answers in jobs name too; or NULL */
    enum strobe_http_method last;
    char begins; /* the first letter of a request that came in pieces; 0: there is none */
};

void http_door_setup(void) {
    strobe_http_request_setup(0);
}

static bool http_open(struct conn *conn, void *state) {
    struct http_conn *http = state;

    (void)conn;
    return strobe_http_request_init(&http->request, NULL);
}

static void http_close(struct conn *conn, void *state) {
    struct http_conn *http = state;

    (void)conn;
    upload_end(&http->upload);
    draft_end(&http->draft, false);
    free(http->origin);
    strobe_http_request_fini(&http->request);
}

static enum conn_half http_half(const struct conn *conn, const void *state) {
    const struct http_conn *http = state;

    (void)conn;
    if (strobe_http_request_is_idle(&http->request)) {
        return CONN_HALF_NONE;
    }
    return strobe_http_request_in_head(&http->request) ? CONN_HALF_HEAD : CONN_HALF_BODY;
}

static size_t http_memory(const void *state) {
    const struct http_conn *http = state;

    return strobe_http_request_memory(&http->request) + upload_memory(&http->upload) + draft_memory(&http->draft);
}

static struct http_policy policy_of(struct worker *worker) {
    const struct config *config = worker_config(worker);

    return (struct http_policy){
        .allow_host = &config->allow_host, .allow_origin = &config->allow_origin, .scheme = "http"};
}

/* Says in REPLY whose pages may read it. A copy of the origin is kept, since a job may answer when the request is gone.
 * Without memory nobody's may. */
static void allow_origin(struct strobe_http_reply *reply, struct http_conn *http, const struct http_policy *policy) {
    struct strobe_slice origin = http_policy_origin(policy, &http->request);

    reply->varies = !strobe_slice_equal(origin, STROBE_SLICE("*"));
    reply->allow_origin = origin;
    if (origin.len == 0 || !reply->varies) return;
    if (http->origin == NULL || !strobe_slice_equal(origin, strobe_slice_make(http->origin, strlen(http->origin)))) {
        free(http->origin);
        http->origin = strndup(origin.data, origin.len);
    }
    reply->allow_origin = strobe_slice_make(http->origin, http->origin != NULL ? origin.len : 0);
}

/* Makes CALL ready for an answer. It is good while the request stays where it is. */
static void call_begin(struct http_call *call, struct conn *conn, struct http_conn *http) {
    struct worker *worker = conn_worker(conn);

    *call = (struct http_call){
        .conn = conn,
        .worker = worker,
        .request = &http->request,
        .map = worker_map(worker),
        .metrics = worker_metrics(worker),
        .reply = {.out = conn_out(conn),
                  .date = worker_http_date(worker).data,
                  .is_head = http->request.method == STROBE_METHOD_HEAD,
                  .is_http10 = http->request.minor == 0},
    };
    call->route = http_routes_find(call->request, &call->rest);
    if (worker_config(worker)->allow_origin.count > 0) {
        const struct http_policy policy = policy_of(worker);

        allow_origin(&call->reply, http, &policy);
    }
}

static enum metrics_method metric_of(enum strobe_http_method method) {
    static const unsigned char rows[STROBE_METHOD_COUNT] = {
        [STROBE_METHOD_GET] = METRICS_METHOD_GET,       [STROBE_METHOD_HEAD] = METRICS_METHOD_HEAD,
        [STROBE_METHOD_PUT] = METRICS_METHOD_PUT,       [STROBE_METHOD_POST] = METRICS_METHOD_POST,
        [STROBE_METHOD_DELETE] = METRICS_METHOD_DELETE, [STROBE_METHOD_PATCH] = METRICS_METHOD_OTHER,
        [STROBE_METHOD_OPTIONS] = METRICS_METHOD_OTHER, [STROBE_METHOD_CONNECT] = METRICS_METHOD_OTHER,
        [STROBE_METHOD_TRACE] = METRICS_METHOD_OTHER,
    };

    return (enum metrics_method)rows[method];
}

static void count_answer(const struct http_call *call) {
    unsigned class = (unsigned)call->reply.status / 100;

    metrics_add(&call->metrics->http_requests[metric_of(call->request->method)], 1);
    metrics_add(&call->metrics->http_replies[class < 6 ? class : 0], 1);
}

/* What the head says against the request: status 0 for nothing. A body that is IN_HAND need not be kept from coming, so
 * that the route judges only once, when it answers. */
static struct strobe_http_refusal judge_head(struct http_call *call, struct http_conn *http, bool in_hand) {
    const struct http_policy policy = policy_of(call->worker);
    enum http_policy_verdict verdict = http_policy_check(&policy, &http->memo, call->request);

    if (verdict != HTTP_POLICY_PASS) {
        return http_policy_refusal(verdict);
    }
    return in_hand ? http_fine : http_routes_judge(call);
}

static bool take_piece(void *context, struct strobe_slice piece) {
    return upload_take(context, piece);
}

/* How the body is to come that the route takes: a large value is filled in as it comes, at once if its length
 * is known. */
static struct strobe_http_accept accept_body(const struct http_call *call, struct http_conn *http) {
    const struct strobe_http_request *request = call->request;
    const struct config *config = worker_config(call->worker);
    bool is_value = call->route->body == HTTP_BODY_VALUE;
    struct strobe_http_accept accept = {.max_body = is_value ? config->max_value : config->max_request};

    if (!is_value) return accept;
    if (request->chunked) {
        upload_begin(&http->upload, call->map, UPLOAD_UNKNOWN, 0);
        accept.take_from = STROBE_HTTP_UPLOAD_MIN;
    } else if (request->content_length >= STROBE_HTTP_UPLOAD_MIN && request->content_length <= accept.max_body) {
        upload_begin(&http->upload, call->map, (size_t)request->content_length, 0);
    } else {
        return accept;
    }
    accept.take = take_piece;
    accept.context = &http->upload;
    return accept;
}

/* The head of CALL has come: judges it and says what becomes of the body. LEFT bytes behind the head are here. */
static struct strobe_http_refusal take_head(struct http_call *call, struct http_conn *http, size_t left) {
    struct strobe_http_request *request = &http->request;
    struct strobe_http_accept accept;
    struct strobe_http_refusal refused = judge_head(call, http, !request->chunked && request->content_length <= left);

    if (refused.status == 0 && call->route != NULL && call->route->body != HTTP_BODY_NONE) {
        accept = accept_body(call, http);
    } else {
        accept = (struct strobe_http_accept){.max_body = STROBE_LINGER_MAX, .discard = true};
    }
    if (!strobe_http_request_accept(request, &accept)) {
        return refused.status != 0 ? refused : request->refusal;
    }
    if (refused.status == 0 && request->send_continue && left == 0) {
        strobe_http_write_continue(call->reply.out);
        request->send_continue = false;
    }
    return refused;
}

/* Answers with REFUSED and gives up the connection, because what follows is not a request. */
static enum conn_answer give_up(struct conn *conn, struct http_conn *http, struct strobe_http_refusal refused) {
    bool is_limit = refused.status == 413 || refused.status == 414 || refused.status == 431;
    struct http_call call;

    call_begin(&call, conn, http);
    http_routes_refuse(&call, refused);
    count_answer(&call);
    conn_why(conn, is_limit ? CONN_REASON_REQUEST_LIMIT : CONN_REASON_PROTOCOL);
    return CONN_LINGER;
}

/* Bytes that are no HTTP. FIRST is the byte that the request began with, wherever it was cut. */
static enum conn_answer give_up_bad(struct conn *conn, struct http_conn *http, char first) {
    struct strobe_http_refusal refused = http->request.refusal;

    metrics_count(worker_metrics(conn_worker(conn)), METRICS_PROTOCOL_ERRORS, 1);
    if (refused.status == 400 && (first == '*' || first == '$')) {
        refused.detail = "This port speaks HTTP; Redis's protocol is spoken on the text port, see the option port.";
    }
    return give_up(conn, http, refused);
}

static enum conn_step answer_step(struct conn *conn, void *context);

/* What the answer needs is made in slices by a job, which then asks for it again. The request outlives its input for
 * that, so what was begun of a draft goes, whose bytes may lie there. Results: no without memory. */
static bool answer_later(struct conn *conn, struct http_conn *http) {
    if (http->waits) {
        return true;
    }
    draft_end(&http->draft, false);
    if (!strobe_http_request_keep(&http->request)) {
        return false;
    }
    conn_work(conn, &(struct conn_job){.step = answer_step, .context = http});
    http->waits = true;
    return true;
}

/* The request is whole: answers CALL, fresh from call_begin(), or refuses it, and makes ready for the next. */
static enum conn_answer answer(struct http_call *call, struct http_conn *http, struct strobe_http_refusal refused,
                               bool is_last) {
    struct strobe_http_request *request = &http->request;

    if (refused.status == 0 && !upload_settle(&http->upload, STROBE_CHANGE_SLICE)) {
        if (answer_later(call->conn, http)) return CONN_PAUSE;
        refused = http_no_memory;
    }
    call->draft = &http->draft;
    call->reply.keep_alive = request->keep_alive && !(is_last && conn_stopping(call->conn));
    if (refused.status == 0) {
        call->value = upload_value(&http->upload);
        http_routes_answer(call);
        if (call->is_later && answer_later(call->conn, http)) return CONN_PAUSE;
        if (call->is_later) refused = http_no_memory; /* nothing was written */
    }
    if (refused.status != 0) http_routes_refuse(call, refused);
    http->waits = false;
    count_answer(call);
    http->answered++;
    http->begins = 0;
    http->last = request->method;
    upload_end(&http->upload);
    strobe_http_request_next(request);
    if (call->has_job) {
        return CONN_PAUSE;
    }
    if (!call->reply.keep_alive) {
        conn_why(call->conn, CONN_REASON_HTTP_DONE);
        return is_last ? CONN_CLOSE : CONN_LINGER;
    }
    return call->was_long && !is_last ? CONN_PAUSE : CONN_MORE;
}

/* A slice of what comes before an answer, or the answer. */
static enum conn_step answer_step(struct conn *conn, void *context) {
    struct http_conn *http = context;
    struct http_call call;
    enum conn_answer said;

    if (!draft_step(&http->draft, STROBE_CHANGE_SLICE)) {
        return CONN_STEP_AGAIN;
    }
    if (hold_goes_on(conn)) {
        return CONN_STEP_WAIT;
    }
    strobe_map_tick(worker_map(conn_worker(conn)));
    call_begin(&call, conn, http);
    said = answer(&call, http, http_fine, false);
    if (http->waits) {
        return CONN_STEP_AGAIN;
    }
    client_did(conn_client(conn), strobe_http_method_name(http->last), 1);
    return said == CONN_MORE || said == CONN_PAUSE ? CONN_STEP_DONE : CONN_STEP_CLOSE;
}

/* The first letter of the request that is being read, or goes on, with input that begins with FIRST; 0: there were only
 * line ends so far. */
static char begins(const struct http_conn *http, char first) {
    if (http->begins != 0) return http->begins;
    return first > ' ' ? first : 0;
}

/* Takes one request, or as much of it as there is, from INPUT behind *USED. Results: MORE also when the request was
 * answered and the next may come. */
static enum conn_answer take_request(struct conn *conn, struct http_conn *http, struct strobe_slice input,
                                     size_t *used) {
    char first = input.data[*used];
    struct strobe_http_refusal refused = http_fine;
    struct http_call call;
    bool begun = false;

    for (;;) {
        size_t taken = 0;
        enum strobe_http_step step =
            strobe_http_request_feed(&http->request, input.data + *used, input.len - *used, &taken);

        *used += taken;
        switch (step) {
        case STROBE_HTTP_MORE:
            http->begins = begins(http, first);
            return refused.status != 0 ? give_up(conn, http, refused) : CONN_MORE;
        case STROBE_HTTP_HEAD:
            call_begin(&call, conn, http);
            begun = true;
            refused = take_head(&call, http, input.len - *used);
            break;
        case STROBE_HTTP_DONE:
            if (!begun) call_begin(&call, conn, http);
            return answer(&call, http, refused, *used == input.len);
        case STROBE_HTTP_BAD:
            return refused.status != 0 ? give_up(conn, http, refused) : give_up_bad(conn, http, begins(http, first));
        }
    }
}

/* Does a method that begins with LETTER change anything? GET, HEAD and OPTIONS do not. */
static bool is_unsafe(char letter) {
    return letter != 'G' && letter != 'H' && letter != 'O';
}

/* Does a pause (CLIENT PAUSE) hold the request that INPUT begins or goes on with? Only its last byte makes it be
 * answered, so asking before any is taken is enough. Pages that tell about the server are not held; a cut target is. */
static bool is_held(struct conn *conn, const struct http_conn *http, struct strobe_slice input) {
    struct services *services = worker_services(conn_worker(conn));
    bool is_page = false;
    char letter = http->begins;

    if ((attention_now(services_attention(services)) & ATTENTION_PAUSE) == 0) return false;
    while (letter == 0 && input.len > 0 && (input.data[0] == '\r' || input.data[0] == '\n')) {
        input = strobe_slice_make(input.data + 1, input.len - 1);
    }
    if (letter == 0 && input.len > 0) {
        const char *target = memchr(input.data, ' ', input.len);
        size_t left = target != NULL ? input.len - (size_t)(target - input.data) : 0;
        is_page = left >= 5 && memcmp(target, " /", 2) == 0 && memcmp(target, " /kv/", 5) != 0;
        letter = input.data[0];
    }
    return (is_unsafe(letter) || !is_page) && hold_begin(conn, is_unsafe(letter));
}

static enum conn_answer http_input(struct conn *conn, void *state, struct strobe_slice input, size_t *used) {
    struct http_conn *http = state;
    enum conn_answer result = CONN_MORE;
    uint64_t answered = http->answered;

    *used = 0;
    strobe_map_tick(worker_map(conn_worker(conn)));
    while (result == CONN_MORE && *used < input.len) {
        if (is_held(conn, http, strobe_slice_make(input.data + *used, input.len - *used))) {
            result = CONN_PAUSE;
            break;
        }
        result = take_request(conn, http, input, used);
        if (result == CONN_MORE && *used < input.len && conn_full(conn)) result = CONN_PAUSE;
    }
    if (http->answered == answered) {
        conn_same_request(conn);
    } else {
        client_did(conn_client(conn), strobe_http_method_name(http->last), http->answered - answered);
    }
    return result;
}

static void http_refuse(struct conn *conn, void *state, enum conn_reason reason) {
    struct strobe_http_refusal refused = http_refusal(
        408, "The rest of the request did not come in time; send it again, or raise the option request-timeout.");
    struct http_conn *http = state;
    struct http_call call;

    if (reason == CONN_REASON_MAX_CLIENTS) {
        refused = http_refusal(503, "Too many connections are open; try again, or raise the option max-clients.");
    }
    call_begin(&call, conn, http);
    http_routes_refuse(&call, refused);
    count_answer(&call);
}

const struct door http_door = {
    .name = "http",
    .metric = METRICS_DOOR_HTTP,
    .state_size = sizeof(struct http_conn),
    .open = http_open,
    .close = http_close,
    .input = http_input,
    .half = http_half,
    .refuse = http_refuse,
    .memory = http_memory,
};

/* hiredis.c - what C programs do with hiredis: ask and wait, many commands before the replies, callbacks in a loop of
 * libuv, and its reader alone, fed as the bytes come.
 *
 *     hiredis PORT      prints what went well, a line each; the first thing that does not ends it
 *
 * test_hiredis.py builds it against Debian's library and runs it. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <hiredis/adapters/libuv.h>
#include <hiredis/hiredis.h>

#define MANY    20000
#define BIG_LEN 3000000u

#define MUST(condition)                                                                   \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

static int port;

static redisContext *connect_or_end(void) {
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, (struct timeval){.tv_sec = 10});
    MUST(c != NULL && c->err == 0);
    MUST(redisSetTimeout(c, (struct timeval){.tv_sec = 30}) == REDIS_OK);
    return c;
}

static bool is_text(const redisReply *reply, int type, const char *text) {
    return reply != NULL && reply->type == type && reply->len == strlen(text) &&
           memcmp(reply->str, text, reply->len) == 0;
}

/* Frees REPLY and ends the program unless it is a number with this VALUE. */
static void must_be_number(redisReply *reply, long long value) {
    MUST(reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == value);
    freeReplyObject(reply);
}

static void must_be_text(redisReply *reply, int type, const char *text) {
    MUST(is_text(reply, type, text));
    freeReplyObject(reply);
}

static void test_ask_and_wait(void) {
    redisContext *c = connect_or_end();
    char *big = malloc(BIG_LEN);

    MUST(big != NULL);
    for (size_t i = 0; i < BIG_LEN; i++) big[i] = (char)(i * 7);
    must_be_text(redisCommand(c, "FLUSHALL"), REDIS_REPLY_STATUS, "OK");
    must_be_text(redisCommand(c, "SET %s %s", "k", "a b"), REDIS_REPLY_STATUS, "OK");
    must_be_text(redisCommand(c, "GET k"), REDIS_REPLY_STRING, "a b");
    redisReply *reply = redisCommand(c, "GET none");
    MUST(reply != NULL && reply->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);
    must_be_text(redisCommand(c, "INCR k"), REDIS_REPLY_ERROR, "ERR value is not an integer or out of range");
    must_be_number(redisCommand(c, "INCRBY n %d", 42), 42);
    must_be_text(redisCommand(c, "SET %b %b", "\0\r\n", (size_t)3, big, (size_t)BIG_LEN), REDIS_REPLY_STATUS, "OK");
    reply = redisCommand(c, "GET %b", "\0\r\n", (size_t)3);
    MUST(reply != NULL && reply->len == BIG_LEN && memcmp(reply->str, big, BIG_LEN) == 0);
    freeReplyObject(reply);
    reply = redisCommand(c, "MGET k none n");
    MUST(reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 3);
    MUST(is_text(reply->element[0], REDIS_REPLY_STRING, "a b") && reply->element[1]->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);
    free(big);
    redisFree(c);
    (void)puts("ask and wait");
}

static void test_many_before_the_replies(void) {
    redisContext *c = connect_or_end();
    void *reply;

    must_be_text(redisCommand(c, "FLUSHALL"), REDIS_REPLY_STATUS, "OK");
    for (int i = 0; i < MANY; i++) {
        MUST(redisAppendCommand(c, "SET key:%d %d", i, i) == REDIS_OK);
        MUST(redisAppendCommand(c, "INCR key:%d", i) == REDIS_OK);
    }
    for (int i = 0; i < MANY; i++) {
        MUST(redisGetReply(c, &reply) == REDIS_OK);
        must_be_text(reply, REDIS_REPLY_STATUS, "OK");
        MUST(redisGetReply(c, &reply) == REDIS_OK);
        must_be_number(reply, i + 1);
    }
    must_be_number(redisCommand(c, "DBSIZE"), MANY);
    redisFree(c);
    (void)puts("many before the replies");
}

static void test_transactions(void) {
    redisContext *one = connect_or_end(), *two = connect_or_end();
    const char *const words[] = {"EXEC"};

    must_be_text(redisCommand(one, "MULTI"), REDIS_REPLY_STATUS, "OK");
    must_be_text(redisCommand(one, "SET a 1"), REDIS_REPLY_STATUS, "QUEUED");
    must_be_text(redisCommand(one, "INCR a"), REDIS_REPLY_STATUS, "QUEUED");
    redisReply *reply = redisCommandArgv(one, 1, (const char **)(size_t)words, NULL);
    MUST(reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->integer == 2);
    freeReplyObject(reply);
    must_be_text(redisCommand(one, "WATCH a"), REDIS_REPLY_STATUS, "OK");
    must_be_text(redisCommand(two, "SET a 7"), REDIS_REPLY_STATUS, "OK");
    must_be_text(redisCommand(one, "MULTI"), REDIS_REPLY_STATUS, "OK");
    must_be_text(redisCommand(one, "SET a 8"), REDIS_REPLY_STATUS, "QUEUED");
    reply = redisCommand(one, "EXEC");
    MUST(reply != NULL && reply->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);
    must_be_text(redisCommand(two, "GET a"), REDIS_REPLY_STRING, "7");
    redisFree(one);
    redisFree(two);
    (void)puts("transactions");
}

/* ---- the reader alone ----------------------------------------------------------------------------------------- */

static void drop_commands(const char *commands, redisContext *c) {
    MUST(send(c->fd, commands, strlen(commands), 0) == (ssize_t)strlen(commands));
}

/* The replies of a connection whose socket we read ourselves, a byte at a time. */
static void test_reader_takes_single_bytes(void) {
    redisContext *c = connect_or_end();
    redisReader *reader = redisReaderCreate();
    void *replies[4] = {NULL};
    char byte;

    MUST(reader != NULL);
    drop_commands("SET k v\r\n*2\r\n$4\r\nMGET\r\n$1\r\nk\r\nNOSUCH\r\nSCAN 0 COUNT 100000\r\n", c);
    for (size_t i = 0; i < 4;) {
        MUST(recv(c->fd, &byte, 1, 0) == 1);
        MUST(redisReaderFeed(reader, &byte, 1) == REDIS_OK);
        MUST(redisReaderGetReply(reader, &replies[i]) == REDIS_OK);
        i += replies[i] != NULL;
    }
    must_be_text(replies[0], REDIS_REPLY_STATUS, "OK");
    redisReply *reply = replies[1];
    MUST(reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
         is_text(reply->element[0], REDIS_REPLY_STRING, "v"));
    freeReplyObject(reply);
    reply = replies[2];
    MUST(reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "ERR unknown command 'NOSUCH'") == reply->str);
    freeReplyObject(reply);
    reply = replies[3];
    MUST(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->elements > 1000);
    freeReplyObject(reply);
    redisReaderFree(reader);
    redisFree(c);
    (void)puts("the reader takes single bytes");
}

/* ---- callbacks ------------------------------------------------------------------------------------------------ */

static int answered;
static bool connected, disconnected;

static void on_connect(const redisAsyncContext *c, int status) {
    MUST(c->err == 0 && status == REDIS_OK);
    connected = true;
}

static void on_disconnect(const redisAsyncContext *c, int status) {
    MUST(c->err == 0 && status == REDIS_OK);
    disconnected = true;
}

static void on_incr(redisAsyncContext *c, void *reply, void *context) {
    const redisReply *number = reply;
    (void)context;
    MUST(number != NULL && number->type == REDIS_REPLY_INTEGER && number->integer == ++answered);
    if (answered == MANY) redisAsyncDisconnect(c);
}

static void test_callbacks_in_a_loop(void) {
    uv_loop_t loop;
    redisAsyncContext *c = redisAsyncConnect("127.0.0.1", port);

    MUST(uv_loop_init(&loop) == 0 && c != NULL && c->err == 0);
    MUST(redisLibuvAttach(c, &loop) == REDIS_OK);
    MUST(redisAsyncSetConnectCallback(c, on_connect) == REDIS_OK);
    MUST(redisAsyncSetDisconnectCallback(c, on_disconnect) == REDIS_OK);
    MUST(redisAsyncCommand(c, NULL, NULL, "DEL counted") == REDIS_OK);
    for (int i = 0; i < MANY; i++) MUST(redisAsyncCommand(c, on_incr, NULL, "INCR counted") == REDIS_OK);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    MUST(connected && disconnected && answered == MANY);
    MUST(uv_loop_close(&loop) == 0);
    (void)puts("callbacks in a loop");
}

int main(int argc, char **argv) {
    MUST(argc == 2);
    port = atoi(argv[1]);
    test_ask_and_wait();
    test_many_before_the_replies();
    test_transactions();
    test_reader_takes_single_bytes();
    test_callbacks_in_a_loop();
    return 0;
}

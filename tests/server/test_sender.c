/* test_sender.c - what the sender does with a socket is what send() does. Skipped where the system has no io_uring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/sender.h"

enum { ROOM = 1 << 18 };

/* Two socket pairs that are treated alike: one is sent to by the sender, the other by send(). */
struct pair {
    int ours, theirs, plain, plain_theirs;
};

static void pair_open(struct pair *pair) {
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    pair->ours = fds[0];
    pair->theirs = fds[1];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    pair->plain = fds[0];
    pair->plain_theirs = fds[1];
}

static void pair_close(struct pair *pair) {
    close(pair->ours);
    close(pair->theirs);
    close(pair->plain);
    close(pair->plain_theirs);
}

static struct sender *need_sender(void) {
    struct sender *sender = sender_new();

    if (sender == NULL) skip();
    return sender;
}

static int plain_send(int fd, struct strobe_slice bytes) {
    ssize_t sent = send(fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    return sent < 0 ? -errno : (int)sent;
}

/* Sends BYTES to all of COUNT pairs both ways, and compares what is said of it. */
static void send_both(struct sender *sender, struct pair *pairs, int count, const struct strobe_slice *bytes) {
    int sent[SENDER_MAX];

    for (int i = 0; i < count; i++) sender_add(sender, pairs[i].ours, bytes[i]);
    sender_go(sender, sent);
    for (int i = 0; i < count; i++) assert_int_equal(sent[i], plain_send(pairs[i].plain, bytes[i]));
    for (int i = count; i < SENDER_MAX; i++) assert_int_equal(sent[i], -EAGAIN);
}

static void assert_same_bytes(const struct pair *pair) {
    static const size_t part = 4096;
    char a[4096], b[4096];
    ssize_t got;

    do {
        got = recv(pair->theirs, a, part, 0);
        assert_int_equal(recv(pair->plain_theirs, b, part, 0), got);
        if (got > 0) assert_memory_equal(a, b, (size_t)got);
    } while (got > 0);
}

static void test_each_socket_gets_its_own_bytes_go_after_go(void **state) {
    struct sender *sender = need_sender();
    struct pair pairs[SENDER_MAX];
    struct strobe_slice bytes[SENDER_MAX];
    char texts[SENDER_MAX][32];

    (void)state;
    for (int i = 0; i < SENDER_MAX; i++) pair_open(&pairs[i]);
    for (int turn = 0; turn < 100; turn++) {
        int count = turn % SENDER_MAX + 1;
        for (int i = 0; i < count; i++) {
            int len = snprintf(texts[i], sizeof texts[i], "turn %d of %d", turn, i);
            bytes[i] = strobe_slice_make(texts[i], (size_t)len);
        }
        send_both(sender, pairs, count, bytes);
    }
    for (int i = 0; i < SENDER_MAX; i++) {
        assert_same_bytes(&pairs[i]);
        pair_close(&pairs[i]);
    }
    sender_free(sender);
}

static void test_full_socket_takes_part_or_nothing_and_holds_nobody_up(void **state) {
    static char zeros[ROOM];
    struct sender *sender = need_sender();
    const struct strobe_slice bytes[] = {{zeros, ROOM}, {"a", 1}};
    struct pair pairs[2];

    (void)state;
    for (int i = 0; i < 2; i++) pair_open(&pairs[i]);
    for (int i = 0; i < 8; i++) send_both(sender, pairs, 2, bytes); /* the first pair is full before the last */
    assert_int_equal(plain_send(pairs[0].ours, bytes[0]), -EAGAIN);
    for (int i = 0; i < 2; i++) {
        assert_same_bytes(&pairs[i]);
        pair_close(&pairs[i]);
    }
    sender_free(sender);
}

static void test_broken_socket_is_its_own_error_and_no_signal(void **state) {
    struct sender *sender = need_sender();
    const struct strobe_slice bytes[] = {{"one", 3}, {"two", 3}, {"three", 5}};
    struct pair pairs[3];

    (void)state;
    assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_DFL);
    for (int i = 0; i < 3; i++) pair_open(&pairs[i]);
    close(pairs[1].theirs);
    close(pairs[1].plain_theirs);
    send_both(sender, pairs, 3, bytes);
    assert_same_bytes(&pairs[0]);
    assert_same_bytes(&pairs[2]);
    pair_close(&pairs[0]);
    pair_close(&pairs[2]);
    close(pairs[1].ours);
    close(pairs[1].plain);
    sender_free(sender);
}

static void test_bad_descriptor_and_empty_go_concern_nobody_else(void **state) {
    struct sender *sender = need_sender();
    struct pair pair;
    int sent[SENDER_MAX];

    (void)state;
    pair_open(&pair);
    sender_add(sender, -1, STROBE_SLICE("x"));
    sender_add(sender, pair.ours, STROBE_SLICE("y"));
    sender_go(sender, sent);
    assert_int_equal(sent[0], -EBADF);
    assert_int_equal(sent[1], 1);
    sender_go(sender, sent); /* nothing was added */
    assert_int_equal(sent[0], -EAGAIN);
    pair_close(&pair);
    sender_free(sender);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_socket_gets_its_own_bytes_go_after_go),
        cmocka_unit_test(test_full_socket_takes_part_or_nothing_and_holds_nobody_up),
        cmocka_unit_test(test_broken_socket_is_its_own_error_and_no_signal),
        cmocka_unit_test(test_bad_descriptor_and_empty_go_concern_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

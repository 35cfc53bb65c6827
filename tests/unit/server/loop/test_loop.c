/* test_loop.c -- the loop keeps its few promises and leaves nothing open. */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "server/loop/loop.h"

struct fixture {
    struct loop *loop;
    struct loop_timer *timer, *guard;
    struct loop_watch *watch;
    struct loop_wake *wake;
    unsigned n, events;
    int signo, fds[2];
};

static void too_late(void *user)
{
    (void)user;
    fail_msg("the loop did not do what was asked within 2 s");
}

static void open_fixture(struct fixture *f)
{
    struct err err;

    memset(f, 0, sizeof *f);
    assert_int_equal(loop_new(&f->loop, &err), 0);
    f->guard = loop_after(f->loop, 2000, too_late, NULL);
    assert_non_null(f->guard);
}

static void close_fixture(struct fixture *f)
{
    assert_int_equal(loop_free(f->loop), 0);
    assert_int_equal(mem_live_count(), 0);
}

static void count(void *user)
{
    struct fixture *f = user;

    if (++f->n == 3)
        loop_stop(f->loop);
    else if (f->timer != NULL)
        loop_timer_again(f->timer, 1);
}

TEST(a_timer_can_be_armed_again_from_its_own_call)
{
    struct fixture f;

    UNUSED_STATE;
    open_fixture(&f);
    uint64_t began = clock_now_ms();
    f.timer = loop_after(f.loop, 20, count, &f);
    loop_run(f.loop);
    assert_int_equal(f.n, 3);
    assert_true(clock_now_ms() - began >= 20);
    close_fixture(&f);
}

TEST(a_stopped_timer_is_silent_and_a_freed_one_too)
{
    struct fixture f;

    UNUSED_STATE;
    open_fixture(&f);
    loop_timer_stop(loop_after(f.loop, 1, too_late, NULL));
    loop_timer_free(loop_after(f.loop, 1, too_late, NULL));
    f.n = 2;
    (void)loop_after(f.loop, 10, count, &f);
    loop_run(f.loop);
    close_fixture(&f);
}

static void ready(void *user, unsigned events)
{
    struct fixture *f = user;

    f->events |= events;
    loop_watch_free(f->watch);
    f->watch = NULL;
    loop_stop(f->loop);
}

TEST(a_watch_sees_bytes_and_hangups)
{
    struct fixture f;

    UNUSED_STATE;
    open_fixture(&f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f.fds), 0);
    f.watch = loop_watch(f.loop, f.fds[0], LOOP_READABLE, ready, &f);
    assert_non_null(f.watch);
    assert_int_equal(write(f.fds[1], "x", 1), 1);
    loop_run(f.loop);
    assert_int_equal(f.events, LOOP_READABLE);
    f.events = 0;
    f.watch = loop_watch(f.loop, f.fds[0], LOOP_HANGUP, ready, &f);
    assert_non_null(f.watch);
    close(f.fds[1]);
    loop_run(f.loop);
    assert_true(f.events & LOOP_HANGUP);
    close(f.fds[0]);
    close_fixture(&f);
}

TEST(a_plain_file_cannot_be_watched)
{
    struct fixture f;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    UNUSED_STATE;
    open_fixture(&f);
    assert_true(fd >= 0);
    assert_null(loop_watch(f.loop, fd, LOOP_READABLE, ready, &f));
    close(fd);
    close_fixture(&f);
}

static void *send_many(void *wake)
{
    for (int i = 0; i < 1000; i++)
        loop_wake_send(wake);
    return NULL;
}

static void woken(void *user)
{
    struct fixture *f = user;

    f->n++;
    loop_stop(f->loop);
}

TEST(a_doorbell_rings_from_another_thread)
{
    struct fixture f;
    pthread_t thread;

    UNUSED_STATE;
    open_fixture(&f);
    f.wake = loop_wake_new(f.loop, woken, &f);
    assert_non_null(f.wake);
    assert_int_equal(pthread_create(&thread, NULL, send_many, f.wake), 0);
    loop_run(f.loop);
    pthread_join(thread, NULL);
    assert_true(f.n >= 1);
    loop_wake_free(f.wake);
    close_fixture(&f);
}

static void work(void *user)
{
    struct fixture *f = user;

    f->n = 41;
}

static void done(void *user)
{
    struct fixture *f = user;

    f->n++;
    loop_stop(f->loop);
}

TEST(background_work_is_done_here_even_if_the_loop_ends_first)
{
    struct fixture f;

    UNUSED_STATE;
    open_fixture(&f);
    assert_int_equal(loop_background(f.loop, work, done, &f), 0);
    loop_run(f.loop);
    assert_int_equal(f.n, 42);
    f.n = 0;
    assert_int_equal(loop_background(f.loop, work, done, &f), 0);
    close_fixture(&f);
    assert_int_equal(f.n, 42);
}

static void signalled(void *user, int signo)
{
    struct fixture *f = user;

    f->signo = signo;
    loop_stop(f->loop);
}

TEST(a_signal_arrives_as_a_call)
{
    struct fixture f;
    struct err err;

    UNUSED_STATE;
    open_fixture(&f);
    assert_int_equal(loop_on_signal(f.loop, SIGUSR1, signalled, &f, &err), 0);
    raise(SIGUSR1);
    loop_run(f.loop);
    assert_int_equal(f.signo, SIGUSR1);
    assert_true(loop_on_signal(f.loop, SIGKILL, signalled, &f, &err) < 0);
    close_fixture(&f);
}

TEST(short_memory_is_reported_and_leaks_nothing)
{
    struct fixture f;
    struct err err;
    struct loop *loop;

    UNUSED_STATE;
    fault_alloc_at(0);
    assert_int_equal(loop_new(&loop, &err), -ERR_NOMEM);
    open_fixture(&f);
    fault_alloc_at(0);
    assert_null(loop_after(f.loop, 0, count, &f));
    fault_alloc_at(0);
    assert_null(loop_wake_new(f.loop, count, &f));
    fault_alloc_at(0);
    assert_null(loop_watch(f.loop, 0, LOOP_READABLE, ready, &f));
    fault_alloc_at(0);
    assert_int_equal(loop_background(f.loop, work, done, &f), -ERR_NOMEM);
    fault_alloc_at(-1);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_can_be_armed_again_from_its_own_call),
        cmocka_unit_test(a_stopped_timer_is_silent_and_a_freed_one_too),
        cmocka_unit_test(a_watch_sees_bytes_and_hangups),
        cmocka_unit_test(a_plain_file_cannot_be_watched),
        cmocka_unit_test(a_doorbell_rings_from_another_thread),
        cmocka_unit_test(
            background_work_is_done_here_even_if_the_loop_ends_first),
        cmocka_unit_test(a_signal_arrives_as_a_call),
        cmocka_unit_test(short_memory_is_reported_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A signal that would end the process: it first wakes those who have something left to send.
 *
 * Only where the kernel's disposition is the default one. Python's own table of handlers is not
 * touched. What runs in the handler may interrupt any code: it takes no lock, allocates nothing, and
 * calls only what POSIX lists as safe there.
 *
 * A host that calls C's exit() with the interpreter still up, as uWSGI does, has the libraries of its
 * threads torn down while these run. There they are woken, too, and waited for. */

#if defined(__linux__)

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "constant.h"

enum { WOKEN_MAX = 64, LONGEST_MS = 500, LOOK_MS = 5, TIMES_MAX = 10000 };

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
enum { SIGNALS = sizeof signals / sizeof *signals };

/* Each is a descriptor and 1; 0 is a free place. */
static _Atomic int woken[WOKEN_MAX];
/* The signal that the process is about to die of. */
static _Atomic int dying_of;
/* The process that all this is about: a child has a copy until it says `forget_all`. */
static _Atomic int owner;
/* Whether the process is in C's exit(). */
static _Atomic int exiting;
static int timers[SIGNALS];

/* Exported by each version of CPython, though not all are part of its stable ABI. */
extern int PyGILState_Check(void) __attribute__((weak));
extern int Py_IsInitialized(void) __attribute__((weak));
extern void *PyGILState_GetThisThreadState(void) __attribute__((weak));
extern void *_PyThreadState_UncheckedGet(void) __attribute__((weak)); /* up to 3.12 */
extern void *PyThreadState_GetUnchecked(void) __attribute__((weak));  /* from 3.13 on */
extern void *PyEval_SaveThread(void) __attribute__((weak));
extern void PyEval_RestoreThread(void *) __attribute__((weak));

static int place_of(int signal_number) {
    for (int place = 0; place < SIGNALS; place++)
        if (signals[place] == signal_number)
            return place;
    return -1;
}

static void set_default(int signal_number) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(signal_number, &action, NULL);
}

/* Die as a process does whose signals are left alone. */
static void die_of(int signal_number) {
    sigset_t only;
    set_default(signal_number);
    raise(signal_number);
    sigemptyset(&only);
    sigaddset(&only, signal_number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
}

/* How many have been woken. */
static int wake_all(void) {
    int number = 0;
    for (int place = 0; place < WOKEN_MAX; place++) {
        int descriptor = atomic_load(&woken[place]) - 1;
        if (descriptor >= 0) {
            /* A full one is awake anyway. */
            send(descriptor, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
            number++;
        }
    }
    return number;
}

/* Have the signal come once more when the time is over, whatever Python's threads do. */
static int limit_time(int signal_number) {
    struct itimerspec limit = {{0, 0}, {LONGEST_MS / 1000, LONGEST_MS % 1000 * 1000000L}};
    return syscall(SYS_timer_settime, timers[place_of(signal_number)], 0, &limit, NULL) == 0;
}

/* Whether this thread has raised the signal in itself, and holds nothing that others wait for. */
static int may_stay(const siginfo_t *info, int process) {
    return info->si_code == SI_TKILL && info->si_pid == process && PyGILState_Check != NULL &&
           !PyGILState_Check();
}

/* Who raises a signal to die of it never comes back; and so does not here. */
static void stay(void) {
    const struct timespec look = {0, LOOK_MS * 1000000L};
    for (int waited_ms = 0; waited_ms <= LONGEST_MS; waited_ms += LOOK_MS)
        nanosleep(&look, NULL);
}

static void on_signal(int signal_number, siginfo_t *info, void *context) {
    int error = errno, process = getpid(), none = 0;
    (void)context;
    if (atomic_load(&owner) == process &&
        atomic_compare_exchange_strong(&dying_of, &none, signal_number) &&
        limit_time(signal_number) && wake_all() > 0) {
        if (!may_stay(info, process)) {
            errno = error;
            return;
        }
        stay();
    }
    die_of(signal_number);
}

static int left(void) {
    int number = 0;
    for (int place = 0; place < WOKEN_MAX; place++)
        number += atomic_load(&woken[place]) != 0;
    return number;
}

/* Whether this thread has the interpreter. `PyGILState_Check` says so of all threads, where there is
 * a second interpreter. */
static int has_interpreter(void) {
    void *own = PyGILState_GetThisThreadState(), *running = NULL;
    if (PyThreadState_GetUnchecked != NULL)
        running = PyThreadState_GetUnchecked();
    else if (_PyThreadState_UncheckedGet != NULL)
        running = _PyThreadState_UncheckedGet();
    return own != NULL && own == running;
}

/* In exit(): wait for those who are woken, no longer than after a signal. */
static void on_exit_of_c(void) {
    const struct timespec look = {0, LOOK_MS * 1000000L};
    void *state = NULL;
    if (atomic_load(&owner) != getpid() || Py_IsInitialized == NULL || !Py_IsInitialized() ||
        atomic_exchange(&exiting, 1) || wake_all() == 0)
        return;
    if (has_interpreter())
        state = PyEval_SaveThread();
    for (int waited_ms = 0; left() > 0 && waited_ms <= LONGEST_MS; waited_ms += LOOK_MS)
        nanosleep(&look, NULL);
    if (state != NULL)
        PyEval_RestoreThread(state);
}

/* Have exit() wait before it tears down what libraries have made by now. Each time takes 32 bytes. */
int come_first_at_exit(void) {
    static int times;
    return times < TIMES_MAX && atexit(on_exit_of_c) == 0 && ++times;
}

static int make_timers(void) {
    for (int place = 0; place < SIGNALS; place++) {
        struct sigevent event;
        memset(&event, 0, sizeof event);
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = signals[place];
        if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timers[place]) != 0) {
            while (place-- > 0)
                syscall(SYS_timer_delete, timers[place]);
            return 0;
        }
    }
    return 1;
}

/* Take a signal whose disposition is the default one. Whether it is ours. */
int watch_signal(int signal_number) {
    struct sigaction action;
    if (place_of(signal_number) < 0 || sigaction(signal_number, NULL, &action) != 0)
        return 0;
    if (action.sa_flags & SA_SIGINFO)
        return action.sa_sigaction == on_signal;
    if (action.sa_handler != SIG_DFL)
        return 0;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    /* A second one ends the process at once, though the first is under way: see `stay`. */
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    return sigaction(signal_number, &action, NULL) == 0;
}

/* Have a socket written to when a signal comes. Whether there is room for it. */
int wake_by_signal(int descriptor) {
    int process = getpid();
    if (atomic_load(&owner) != process) {
        if (!make_timers())
            return 0;
        come_first_at_exit();
        atomic_store(&owner, process);
    }
    for (int place = 0; place < WOKEN_MAX; place++)
        if (atomic_load(&woken[place]) == descriptor + 1)
            return 1;
    for (int place = 0; place < WOKEN_MAX; place++)
        if (atomic_load(&woken[place]) == 0) {
            atomic_store(&woken[place], descriptor + 1);
            return 1;
        }
    return 0;
}

/* Nothing is left to be sent by who has this socket. The last one ends a process that waits. */
void let_die(int descriptor) {
    int signal_number;
    for (int place = 0; place < WOKEN_MAX; place++) {
        int expected = descriptor + 1;
        atomic_compare_exchange_strong(&woken[place], &expected, 0);
    }
    signal_number = atomic_load(&dying_of);
    if (signal_number != 0 && left() == 0)
        die_of(signal_number);
}

/* Whether the process is about to end, by a signal or in exit(). */
int is_ending(void) { return atomic_load(&dying_of) != 0 || atomic_load(&exiting); }

/* In the child of a fork: what was written down is the parent's. */
void forget_all(void) {
    atomic_store(&owner, 0);
    for (int place = 0; place < WOKEN_MAX; place++)
        atomic_store(&woken[place], 0);
    atomic_store(&dying_of, 0);
    atomic_store(&exiting, 0);
}

const struct constant *constants_of_last_signal(void) {
    static const struct constant constants[] = {
        CONSTANT(WOKEN_MAX), CONSTANT(LONGEST_MS), {NULL, 0}};
    return constants;
}

#else

#include "constant.h"

/* Nothing limits the time of a handler here, so there is none. */
enum { WOKEN_MAX = 0, LONGEST_MS = 0 };

const struct constant *constants_of_last_signal(void) {
    static const struct constant constants[] = {
        CONSTANT(WOKEN_MAX), CONSTANT(LONGEST_MS), {0, 0}};
    return constants;
}

#endif

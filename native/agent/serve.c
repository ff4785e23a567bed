/* A thread that reads a socket and counts what comes, without the interpreter's lock. It never runs Python.
 *
 * What needs Python is left to the main thread: new names are noted, and their lines are left until the main thread has
 * learned what they mean. An eventfd wakes the main thread for that, and it holds the core while it looks or takes. */
#include "serve.h"

#include "counting.h"
#include "receive.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum {
    LEFT_DUE = 1 << 20, /* bytes of lines that are left; then the main thread should count them */
    LEFT_MOST = 4 << 20, /* then the thread waits for it */
    WAIT_MILLISECONDS = 1, /* between two looks whether it has */
};

/* The learn_fn while a thread serves: the lines are left, and the main thread is asked later. */
static int64_t put_off(void *context, const char *name, size_t name_length, const char *tail, size_t tail_length,
    void **meaning, enum form *form)
{
    assert(context != NULL && name_length + tail_length > 0);
    (void)context, (void)name, (void)name_length, (void)tail, (void)tail_length;
    *meaning = NULL;
    *form = SUMS;
    return 0;
}

static void enter(struct shared *shared)
{
    int failed = pthread_mutex_lock(&shared->door) || pthread_mutex_lock(&shared->inside)
        || pthread_mutex_unlock(&shared->door);
    assert(!failed);
    (void)failed;
    assert(shared->serving);
}

static void leave_it(struct shared *shared)
{
    assert(shared->serving);
    int failed = pthread_mutex_unlock(&shared->inside);
    assert(!failed);
    (void)failed;
}

/* Tells the main thread, once, that something waits for it. */
static void tell_when_due(Core *self, int tell)
{
    const uint64_t one = 1;
    struct shared *shared = &self->shared;
    assert(self->learned <= self->table.series_count);
    int due = self->table.series_count > self->learned || self->table.left_length >= LEFT_DUE || runs_low(self)
        || lacks_room(self) || shared->served.faults;
    if (!due || shared->signalled)
        return;
    shared->signalled = write(tell, &one, sizeof one) == sizeof one;
    assert(shared->signalled);
}

static void add(uint64_t *counter, uint64_t more)
{
    assert(counter != NULL);
    assert(more <= UINT64_MAX - *counter);
    __atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

/* Reads once and counts. Returns how many datagrams came, or -1 where it must wait. */
static int serve_once(Core *self, int fd, int kind, struct sender *senders)
{
    struct batch batch;
    struct served *served = &self->shared.served;
    assert(self->shared.serving && !self->shared.held && senders != NULL);
    if (lacks_room(self) || self->table.left_length >= LEFT_MOST)
        return -1;
    int fault = read_batch(self, fd, PACKETS, (unsigned)kind, self->senders > 0 ? senders : NULL, &batch);
    assert(!fault);
    (void)fault;
    uint64_t bytes = 0, faults = 0;
    self->table.to_learn = UINT32_MAX; /* the main thread has a bound of its own */
    for (int index = 0; index < batch.received; index++) {
        const struct msghdr *header = &batch.messages[index].msg_hdr;
        bytes += batch.messages[index].msg_len;
        hand_on(&self->mirror, batch.places[index].iov_base, batch.messages[index].msg_len);
        faults += count_alone(self, batch.places[index].iov_base, batch.messages[index].msg_len, batch.stamp,
                      header->msg_name ? header : NULL) != 0;
    }
    add(&served->packets, (uint64_t)batch.received);
    add(&served->bytes, bytes);
    add(&served->faults, faults);
    assert(batch.received >= 0 && batch.stamp > 0);
    int failed = batch.fault && batch.fault != EAGAIN && batch.fault != EINTR;
    add(&served->errors, (uint64_t)failed);
    return failed ? -1 : batch.received;
}

/* Waits until a datagram has come, so many milliseconds at most; with no socket it only waits. Returns whether it must
 * stop. */
static int wait_for(int fd, int stop, int milliseconds)
{
    struct pollfd ready[2] = {{stop, POLLIN, 0}, {fd, POLLIN, 0}};
    assert(stop >= 0);
    poll(ready, 2, milliseconds); /* after an error or a signal, the next read finds out */
    assert(milliseconds >= -1);
    return ready[0].revents != 0;
}

/* Reads when a datagram has come, then every few milliseconds while more come: see agent/receive/datagrams.py. */
static void serve(Core *self, int fd, int kind, int stop, int tell, int pause)
{
    struct sender senders[PACKETS];
    int received = 0;
    assert(self->packets != NULL);
    do {
        do {
            enter(&self->shared);
            received = serve_once(self, fd, kind, senders);
            tell_when_due(self, tell);
            leave_it(&self->shared);
        } while (received == PACKETS);
        assert(received < PACKETS);
    } while (!wait_for(received ? -1 : fd, stop, received < 0 ? WAIT_MILLISECONDS : received ? pause : -1));
}

PyObject *core_serve(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    int fd, kind, stop, tell, pause;
    if (!PyArg_ParseTuple(args, "iiiii:serve", &fd, &kind, &stop, &tell, &pause) || refuse_reentry(self))
        return NULL;
    if (self->shared.serving || pause < 0 || kind < 0 || kind > UINT8_MAX) {
        PyErr_SetString(PyExc_ValueError, "a core serves one socket, with a kind below 256 and a pause of 0 or more");
        return NULL;
    }
    if (make_packets(self))
        return PyErr_NoMemory();
    assert(self->packets != NULL);
    assert(!self->shared.held && !self->counting);
    self->table.learn = put_off;
    self->shared.serving = self->stamping = 1;
    PyThreadState *thread = PyEval_SaveThread();
    serve(self, fd, kind, stop, tell, pause);
    PyEval_RestoreThread(thread);
    self->shared.serving = 0;
    self->table.learn = ask;
    assert(!self->counting);
    Py_RETURN_NONE;
}

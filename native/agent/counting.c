#include "counting.h"

#include "lines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLOSE = 1000000 }; /* nanoseconds; parts that were left within so much are one part */

int refuse_reentry(const Core *self)
{
    assert(self->counting == 0 || self->counting == 1);
    assert(self->table.learn != NULL);
    if (self->shared.serving && !self->shared.held) {
        PyErr_SetString(PyExc_RuntimeError, "a thread serves this core; hold it first");
        return -1;
    }
    if (!self->counting)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "counting is not reentrant");
    return -1;
}

/* A meaning is a strong reference that the series owns. */
int64_t ask(void *context, const char *name, size_t name_length, const char *tail, size_t tail_length, void **meaning,
    enum form *form)
{
    Core *self = context;
    assert(self->counting && !PyErr_Occurred());
    assert(name_length <= UINT16_MAX && tail_length <= UINT16_MAX);
    PyObject *answer = PyObject_CallFunction(
        self->learn, "y#y#", name, (Py_ssize_t)name_length, tail, (Py_ssize_t)tail_length);
    if (answer == NULL)
        return -1;
    long long limit;
    PyObject *object;
    int how = SUMS;
    int fits = PyTuple_Check(answer) && PyArg_ParseTuple(answer, "LO|i", &limit, &object, &how) && how >= 0 && how < FORMS;
    if (!fits) {
        PyErr_SetString(PyExc_TypeError, "learn must give a limit, an object and how to count");
        Py_DECREF(answer);
        return -1;
    }
    *form = (enum form)how;
    Py_INCREF(object);
    Py_DECREF(answer);
    assert(object != NULL);
    *meaning = object;
    return limit < 0 ? 0 : limit > MAX_LIMIT ? MAX_LIMIT : limit;
}

int64_t stamp_of_now(const Core *self)
{
    if (!self->stamping)
        return 0;
    struct timespec now = {0};
    int failed = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(!failed);
    (void)failed;
    assert(now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + 1;
}

/* Whether lines that were read at these moments are one part. What waited of gauges may be older than the part before. */
static int close_to(int64_t one, int64_t other)
{
    assert(one > 0);
    assert(other > 0);
    return one - other < CLOSE && other - one < CLOSE;
}

/* Notes that lines were left up to where ``left`` ends now. When there is no memory, they belong to the part before. */
static void note_part(Core *self, int64_t stamp, const struct msghdr *sender)
{
    assert(self->parts_room > 0 && stamp > 0);
    struct part *last = self->parts_count ? &self->parts[self->parts_count - 1] : NULL;
    assert(last == NULL || last->end < self->table.left_length);
    int known = sender != NULL && sender->msg_namelen <= sizeof last->sender && self->senders > 0;
    self->senders -= known;
    if (self->parts_count == self->parts_room) {
        struct part *larger = realloc(self->parts, self->parts_room * 2 * sizeof *larger);
        if (larger != NULL) {
            self->parts = larger;
            self->parts_room *= 2;
        }
        last = &self->parts[self->parts_count - 1];
    }
    int joins = last != NULL && !known && last->sender_length == 0 && close_to(stamp, last->stamp);
    if (joins || self->parts_count == self->parts_room) {
        last->end = self->table.left_length;
        return;
    }
    struct part *part = &self->parts[self->parts_count++];
    *part = (struct part){.stamp = stamp, .end = self->table.left_length};
    if (known) {
        part->sender_length = sender->msg_namelen;
        memcpy(&part->sender, sender->msg_name, sender->msg_namelen);
    }
}

void note_left(void *context, int64_t stamp)
{
    Core *self = context;
    size_t noted = self->parts_count ? self->parts[self->parts_count - 1].end : 0;
    assert(noted <= self->table.left_length);
    assert(stamp >= 0);
    if (stamp && self->table.left_length > noted)
        note_part(self, stamp, stamp == self->table.stamp ? self->counted : NULL);
}

int count_alone(Core *self, const char *text, size_t length, int64_t stamp, const struct msghdr *sender)
{
    assert(!self->counting);
    self->counting = 1;
    self->counted = sender;
    self->table.stamp = stamp;
    int result = table_count(&self->table, text, length);
    assert(self->counting);
    note_left(self, stamp);
    self->counted = NULL;
    self->counting = 0;
    return result;
}

int count(Core *self, const char *text, size_t length, int64_t stamp)
{
    assert(!self->counting && self->table.context == self);
    assert(stamp >= 0);
    int result = count_alone(self, text, length, stamp, NULL);
    if (result && !PyErr_Occurred())
        PyErr_NoMemory();
    return result;
}

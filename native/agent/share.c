/* What the main thread does with a core that a thread serves. */
#include "share.h"

#include "counting.h"
#include "gauges.h"
#include "receive.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_PARTS = 64 };

int begin_sharing(Core *self)
{
    assert(self->parts == NULL);
    if (pthread_mutex_init(&self->shared.door, NULL) || pthread_mutex_init(&self->shared.inside, NULL)
        || (self->parts = malloc(FIRST_PARTS * sizeof *self->parts)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->parts_room = FIRST_PARTS;
    self->mirror.fd = NO_MIRROR;
    assert(self->parts_count == 0);
    return 0;
}

void end_sharing(Core *self)
{
    assert(!self->shared.serving);
    assert(self->parts_count <= self->parts_room);
    free(self->parts);
    self->parts = NULL;
    pthread_mutex_destroy(&self->shared.inside);
    pthread_mutex_destroy(&self->shared.door);
}

PyObject *core_hold(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    struct shared *shared = &self->shared;
    assert(shared->held >= 0);
    if (!shared->held) {
        PyThreadState *thread = PyEval_SaveThread();
        int failed = pthread_mutex_lock(&shared->door) || pthread_mutex_lock(&shared->inside);
        PyEval_RestoreThread(thread);
        assert(!failed);
        (void)failed;
    }
    shared->held++;
    Py_RETURN_NONE;
}

PyObject *core_let_go(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    struct shared *shared = &self->shared;
    if (!shared->held) {
        PyErr_SetString(PyExc_RuntimeError, "nobody holds this core");
        return NULL;
    }
    if (--shared->held == 0) {
        int failed = pthread_mutex_unlock(&shared->inside) || pthread_mutex_unlock(&shared->door);
        assert(!failed);
        (void)failed;
    }
    assert(shared->held >= 0);
    Py_RETURN_NONE;
}

PyObject *core_wants(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    if (refuse_reentry(self))
        return NULL;
    struct shared *shared = &self->shared;
    uint64_t faults = shared->served.faults;
    int low = runs_low(self), lacks = lacks_room(self);
    self->journal.low |= low;
    shared->served.faults = 0;
    shared->signalled = 0;
    assert(self->learned <= self->table.series_count);
    assert(!lacks || self->journal.end != NULL);
    return Py_BuildValue("(iNInK)", lacks ? READ_NEEDS : 0, PyBool_FromLong(low), self->table.series_count - self->learned,
        (Py_ssize_t)self->table.left_length, (unsigned long long)faults);
}

static unsigned long long now_of(const uint64_t *counter)
{
    assert(counter != NULL);
    uint64_t now = __atomic_load_n(counter, __ATOMIC_RELAXED);
    assert(now < UINT64_MAX);
    return now;
}

PyObject *core_served(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    const struct served *served = &self->shared.served;
    return Py_BuildValue("(KKK)", now_of(&served->packets), now_of(&served->bytes), now_of(&served->errors));
}

PyObject *core_teach(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    int at_most;
    if (!PyArg_ParseTuple(args, "i:teach", &at_most) || refuse_reentry(self))
        return NULL;
    assert(self->learned <= self->table.series_count);
    self->counting = 1; /* Python may do anything but count, take and forget */
    int64_t limit = 0;
    for (; at_most > 0 && limit >= 0 && self->learned < self->table.series_count; at_most--) {
        struct series *series = &self->table.series[self->learned];
        const char *key = self->table.keys + series->key;
        void *meaning = NULL;
        enum form form = SUMS;
        if (series->meaning != NULL) { /* it was learned while no thread served */
            self->learned++;
            continue;
        }
        assert(series->lines == 0);
        limit = ask(self, key, series->name_length, key + series->name_length, series->tail_length, &meaning, &form);
        if (limit >= 0) {
            series->meaning = meaning;
            series->form = form;
            series->limit = (wide)limit * (wide)POWERS[MAX_DECIMALS];
            self->learned++;
        }
    }
    self->counting = 0;
    assert(limit >= 0 || PyErr_Occurred());
    return limit < 0 ? NULL : PyBool_FromLong(self->learned < self->table.series_count);
}

PyObject *core_stamp(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    int senders;
    if (!PyArg_ParseTuple(args, "i:stamp", &senders) || refuse_reentry(self))
        return NULL;
    self->stamping = 1;
    self->senders = senders < 0 ? 0 : senders;
    assert(self->senders >= 0);
    assert(self->parts_room > 0);
    Py_RETURN_NONE;
}

PyObject *core_parts(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    if (refuse_reentry(self))
        return NULL;
    if (leave_gauges(&self->table))
        return PyErr_NoMemory();
    PyObject *all = PyList_New(0);
    assert(self->parts_count <= self->parts_room);
    for (size_t index = 0; all != NULL && index < self->parts_count; index++) {
        const struct part *part = &self->parts[index];
        assert(part->end <= self->table.left_length);
        PyObject *one = Py_BuildValue("(Lny#)", (long long)part->stamp, (Py_ssize_t)part->end,
            part->sender_length ? (const char *)&part->sender : "", (Py_ssize_t)part->sender_length);
        if (one == NULL || PyList_Append(all, one))
            Py_CLEAR(all);
        Py_XDECREF(one);
    }
    assert(all != NULL || PyErr_Occurred());
    return all;
}

PyObject *core_mirror(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    int fd;
    if (!PyArg_ParseTuple(args, "i:mirror", &fd) || refuse_reentry(self))
        return NULL;
    if (fd < NO_MIRROR) {
        PyErr_SetString(PyExc_ValueError, "this is no descriptor");
        return NULL;
    }
    assert(self->mirror.fd >= NO_MIRROR);
    struct mirror before = self->mirror;
    self->mirror = (struct mirror){.fd = fd};
    assert(before.counts[REFUSED] >= 0);
    assert(self->mirror.counts[SENT] == 0);
    return Py_BuildValue("(LLLLLL)", (long long)before.counts[SENT], (long long)before.counts[REFUSED],
        (long long)before.counts[BUFFER_FULL], (long long)before.counts[TOO_LONG], (long long)before.counts[FAILED],
        (long long)before.counts[NO_SOCKET]);
}

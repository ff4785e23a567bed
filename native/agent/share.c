/* What the main thread does with a core that a thread serves, and when what it left was read. */
#include "core.h"

#include "number.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    FIRST_PARTS = 64,
    CLOSE = 1000000, /* nanoseconds; parts that were left within so much are one part */
};

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

int lacks_room(const Core *self)
{
    assert(self->journal.map != NULL || self->journal.end == NULL);
    return self->journal.end != NULL && !journal_has_room(&self->journal, READ_NEEDS);
}

int runs_low(const Core *self)
{
    assert(self->journal.map != NULL || self->journal.end == NULL);
    return self->journal.end != NULL && !self->journal.low && !journal_has_room(&self->journal, 2 * (size_t)READ_NEEDS);
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

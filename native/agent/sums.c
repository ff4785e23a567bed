#include "sums.h"

#include "gauges.h"
#include "protocol/histograms.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const int64_t MILLIONTH = 1000000000000LL; /* in 10^-18 */

enum {
    FIELDS = 8, /* of the tuple that is made of a series */
    MEMBERS_AT_ONCE = 1000, /* of one set in a tuple */
};

struct taken {
    PyObject *meaning; /* the iterator owns it until it has given the series */
    enum form form;
    int64_t lines, samples;
    union {
        struct {
            wide total, low, high;
        };
        uint32_t member; /* index + 1 of the set's first member that was not given yet */
    };
    struct buckets buckets;
};

typedef struct {
    PyObject_HEAD
    struct taken *all;
    uint32_t next, count;
    struct members members;
    int owns_buckets;
} Sums;

static_assert(sizeof(long long) == sizeof(int64_t), "Python's long long holds a count");

/* Makes the histogram of a series as bytes, empty when it has no buckets. */
static PyObject *histogram_of(struct buckets *buckets)
{
    assert(!PyErr_Occurred());
    if (no_buckets(buckets))
        return PyBytes_FromStringAndSize("", 0);
    unsigned char *bytes = PyMem_Malloc(bound_of_buckets(buckets));
    if (bytes == NULL)
        return PyErr_NoMemory();
    size_t length = encode_buckets(buckets, bytes);
    assert(length > 1 && length <= bound_of_buckets(buckets));
    PyObject *made = PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length);
    PyMem_Free(bytes);
    return made;
}

/* Gives the fields to a new tuple, also where some of them could not be made. */
static int put_fields(PyObject *tuple, PyObject *fields[FIELDS])
{
    int result = 0;
    assert(fields[0] != NULL);
    for (int index = 0; index < FIELDS; index++)
        if (fields[index] == NULL || PyTuple_SetItem(tuple, index, fields[index]))
            result = -1;
    assert(result == 0 || PyErr_Occurred());
    return result;
}

/* Fills a new tuple. The tuple gets its own reference to the meaning, so that nothing is lost when this fails. */
static int fill(PyObject *tuple, struct taken *taken)
{
    assert(taken->lines > 0 && taken->samples >= taken->lines);
    assert(taken->form != SET && taken->low <= taken->high);
    wide total = taken->total / MILLIONTH, low = taken->low / MILLIONTH, high = taken->high / MILLIONTH;
    int fine = total * MILLIONTH != taken->total || low * MILLIONTH != taken->low || high * MILLIONTH != taken->high;
    PyObject *fields[FIELDS] = {taken->meaning, PyLong_FromLongLong(taken->lines)};
    if (fields[1] && (fields[2] = PyLong_FromLongLong(taken->samples))
        && (fields[3] = long_of(fine ? taken->total : total)) && (fields[4] = long_of(fine ? taken->low : low))
        && (fields[5] = long_of(fine ? taken->high : high)))
        fields[7] = histogram_of(&taken->buckets);
    fields[6] = fine ? Py_True : Py_False;
    Py_INCREF(fields[0]);
    Py_INCREF(fields[6]);
    return put_fields(tuple, fields);
}

/* Fills a new tuple with the next members of a set: how often each came, and their texts. Sets ``after`` to the member
 * that follows them, and ``lines`` to how many lines they are. */
static int fill_members(PyObject *tuple, const struct members *members, struct taken *taken, uint32_t *after, int64_t *lines)
{
    uint32_t times[MEMBERS_AT_ONCE], count = 0;
    char texts[MEMBERS_AT_ONCE * (LONGEST_MEMBER + 1)], *at = texts;
    assert(taken->form == SET && taken->member > 0);
    *lines = 0;
    for (*after = taken->member; *after && count < MEMBERS_AT_ONCE;) {
        assert(*after <= members->count);
        const struct member *member = &members->all[*after - 1];
        memcpy(at, members->texts + member->text, member->length);
        at += member->length;
        *at++ = '\n';
        times[count++] = member->times;
        *lines += member->times;
        *after = member->next;
    }
    assert(*lines >= count && *lines <= taken->lines);
    PyObject *fields[FIELDS] = {taken->meaning, PyLong_FromLongLong(*lines), PyLong_FromLongLong(*lines)};
    fields[3] = PyLong_FromUnsignedLong(count);
    fields[4] = PyBytes_FromStringAndSize((const char *)times, (Py_ssize_t)(count * sizeof *times));
    fields[5] = PyLong_FromLong(0);
    fields[6] = Py_False;
    fields[7] = PyBytes_FromStringAndSize(texts, at - texts - 1); /* no newline after the last one */
    Py_INCREF(fields[0]);
    Py_INCREF(fields[6]);
    return put_fields(tuple, fields);
}

/* Releases the next meaning. Py_CLEAR cannot do this: on Python 3.11 it evaluates its argument twice. */
static void release_next(Sums *self)
{
    assert(self->next < self->count);
    struct taken *taken = &self->all[self->next++];
    PyObject *meaning = taken->meaning;
    assert(meaning != NULL);
    if (self->owns_buckets)
        free_buckets(&taken->buckets);
    Py_DECREF(meaning); /* last, because it may run any code, also code that asks for the next series */
}

static PyObject *sums_next(PyObject *object)
{
    Sums *self = (Sums *)object;
    assert(self->next <= self->count);
    assert(self->all != NULL);
    if (self->next == self->count)
        return NULL;
    PyObject *made = PyTuple_New(FIELDS); /* first, because it may run any code, also code that asks for the next series */
    if (made == NULL)
        return NULL;
    struct taken *taken = &self->all[self->next];
    uint32_t after = 0;
    int64_t lines = 0;
    int failed = self->next == self->count || (taken->form == SET
        ? fill_members(made, &self->members, taken, &after, &lines) : fill(made, taken));
    if (failed) {
        Py_DECREF(made);
        return NULL;
    }
    if (after == 0) {
        release_next(self);
        return made;
    }
    taken->member = after;
    taken->lines -= lines;
    assert(taken->lines > 0);
    return made;
}

static void sums_dealloc(PyObject *object)
{
    Sums *self = (Sums *)object;
    PyTypeObject *type = Py_TYPE(object);
    while (self->next < self->count)
        release_next(self);
    assert(self->next == self->count);
    assert(self->all != NULL || self->count == 0);
    free(self->all);
    free_members(&self->members);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* The garbage collector does not see sums: to visit 100,000 meanings holds the event loop for several ms. So a meaning
 * must not refer to the sums that have it. */
static PyType_Slot slots[] = {
    {Py_tp_dealloc, sums_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, sums_next},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "agent.aggregate.core.Sums",
    .basicsize = sizeof(Sums),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

PyObject *type_of(PyType_Spec *type_spec)
{
    assert(type_spec != NULL);
    PyObject *type = PyType_FromSpec(type_spec);
    if (type == NULL && !PyErr_Occurred())
        PyErr_NoMemory(); /* Python 3.11 fails without an error when it has no memory for the name */
    assert(type == NULL || PyType_Check(type));
    return type;
}

PyObject *sums_type(void)
{
    return type_of(&spec);
}

PyObject *sums_of(PyObject *type, struct table *table)
{
    assert(type != NULL && table != NULL);
    allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);
    Sums *self = (Sums *)allocate((PyTypeObject *)type, 0);
    if (self == NULL)
        return NULL;
    self->all = malloc((table->touched_count ? table->touched_count : 1) * sizeof *self->all);
    if (self->all == NULL || leave_gauges(table)) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    for (uint32_t at = 0; at < table->touched_count; at++) {
        const struct series *series = &table->series[table->touched[at]];
        assert(series->meaning != NULL && series->lines > 0);
        struct taken taken = {.meaning = series->meaning, .form = series->form, .lines = series->lines,
            .samples = series->samples, .buckets = series->buckets};
        if (series->form == SET)
            taken.member = series->set.first;
        else if (series->form == GAUGE || series->form == SIGNED_GAUGE)
            taken.samples = taken.lines -= series->gauge.left;
        else {
            taken.total = series->total;
            taken.low = series->low;
            taken.high = series->high;
        }
        if (taken.lines == 0)
            continue; /* every line of the gauge was left */
        self->all[self->count++] = taken;
        Py_INCREF((PyObject *)series->meaning);
    }
    assert(self->next == 0 && self->count <= table->touched_count);
    return (PyObject *)self;
}

void sums_take_over(PyObject *sums, struct table *table)
{
    Sums *self = (Sums *)sums;
    assert(self->all != NULL);
    assert(self->next == 0);
    assert(!self->owns_buckets);
    self->owns_buckets = 1;
    assert(self->members.all == NULL);
    self->members = table->members;
    table->members = (struct members){0};
}

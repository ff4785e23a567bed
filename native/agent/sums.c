#include "sums.h"

#include "protocol/histograms.h"

#include <assert.h>
#include <stdlib.h>

static const int64_t MILLIONTH = 1000000000000LL; /* in 10^-18 */

enum { FIELDS = 8 }; /* of the tuple that is made of a series */

struct taken {
    PyObject *meaning; /* the iterator owns it until it has given the series */
    int64_t lines, samples;
    wide total, low, high;
    struct buckets buckets;
};

typedef struct {
    PyObject_HEAD
    struct taken *all;
    uint32_t next, count;
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

/* Fills a new tuple. The tuple gets its own reference to the meaning, so that nothing is lost when this fails. */
static int fill(PyObject *tuple, struct taken *taken)
{
    assert(taken->lines > 0 && taken->samples >= taken->lines);
    assert(taken->low <= taken->high);
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
    int result = 0;
    for (int index = 0; index < FIELDS; index++)
        if (fields[index] == NULL || PyTuple_SetItem(tuple, index, fields[index]))
            result = -1;
    assert(result == 0 || PyErr_Occurred());
    return result;
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
    if (self->next == self->count || fill(made, &self->all[self->next])) {
        Py_DECREF(made);
        return NULL;
    }
    release_next(self);
    return made;
}

static int sums_traverse(PyObject *object, visitproc visit, void *arg)
{
    const Sums *self = (Sums *)object;
    assert(visit != NULL);
    assert(self->next <= self->count);
    Py_VISIT(Py_TYPE(object));
    for (uint32_t index = self->next; index < self->count; index++)
        Py_VISIT(self->all[index].meaning);
    return 0;
}

static int sums_clear(PyObject *object)
{
    Sums *self = (Sums *)object;
    while (self->next < self->count)
        release_next(self);
    assert(self->next == self->count);
    return 0;
}

static void sums_dealloc(PyObject *object)
{
    Sums *self = (Sums *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    sums_clear(object);
    assert(self->all != NULL || self->count == 0);
    free(self->all);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_dealloc, sums_dealloc},
    {Py_tp_traverse, sums_traverse},
    {Py_tp_clear, sums_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, sums_next},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "agent.aggregate.core.Sums",
    .basicsize = sizeof(Sums),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
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

PyObject *sums_of(PyObject *type, const struct table *table)
{
    assert(type != NULL && table != NULL);
    allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)type, Py_tp_alloc);
    Sums *self = (Sums *)allocate((PyTypeObject *)type, 0);
    if (self == NULL)
        return NULL;
    self->all = malloc((table->touched_count ? table->touched_count : 1) * sizeof *self->all);
    if (self->all == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    for (; self->count < table->touched_count; self->count++) {
        const struct series *series = &table->series[table->touched[self->count]];
        assert(series->meaning != NULL && series->lines > 0);
        self->all[self->count] = (struct taken){series->meaning, series->lines, series->samples, series->total,
            series->low, series->high, series->buckets};
        Py_INCREF((PyObject *)series->meaning);
    }
    assert(self->next == 0 && self->count == table->touched_count);
    return (PyObject *)self;
}

void sums_own_buckets(PyObject *sums)
{
    Sums *self = (Sums *)sums;
    assert(self->all != NULL);
    assert(self->next == 0);
    assert(!self->owns_buckets);
    self->owns_buckets = 1;
}

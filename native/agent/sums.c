#include "sums.h"

#include <stdlib.h>

static const int64_t MILLIONTH = 1000000000000LL; /* in 10^-18 */

struct taken {
    PyObject *meaning; /* ours; NULL once it is given away */
    int64_t lines, samples;
    wide total, low, high;
};

typedef struct {
    PyObject_HEAD
    struct taken *all;
    uint32_t next, count;
} Sums;

static PyObject *from_wide(wide number)
{
    if (number == (int64_t)number)
        return PyLong_FromLongLong((int64_t)number);
    PyObject *high = PyLong_FromLongLong((int64_t)(number >> 64)), *low = PyLong_FromUnsignedLongLong((uint64_t)number);
    PyObject *bits = PyLong_FromLong(64), *shifted = NULL, *both = NULL;
    if (high && low && bits && (shifted = PyNumber_Lshift(high, bits)))
        both = PyNumber_Or(shifted, low);
    Py_XDECREF(high);
    Py_XDECREF(low);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    return both;
}

/* Gives its reference to the meaning away, also when it fails. */
static PyObject *tuple_of(struct taken *taken)
{
    wide total = taken->total / MILLIONTH, low = taken->low / MILLIONTH, high = taken->high / MILLIONTH;
    int fine = total * MILLIONTH != taken->total || low * MILLIONTH != taken->low || high * MILLIONTH != taken->high;
    PyObject *meaning = taken->meaning;
    taken->meaning = NULL;
    return Py_BuildValue("(NLLNNNN)", meaning, (long long)taken->lines, (long long)taken->samples,
        from_wide(fine ? taken->total : total), from_wide(fine ? taken->low : low),
        from_wide(fine ? taken->high : high), PyBool_FromLong(fine));
}

static PyObject *sums_next(Sums *self)
{
    if (self->next == self->count)
        return NULL;
    return tuple_of(&self->all[self->next++]);
}

static int sums_traverse(Sums *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    for (uint32_t index = self->next; index < self->count; index++)
        Py_VISIT(self->all[index].meaning);
    return 0;
}

static int sums_clear(Sums *self)
{
    while (self->next < self->count)
        Py_CLEAR(self->all[self->next++].meaning);
    return 0;
}

static void sums_dealloc(Sums *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    sums_clear(self);
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

PyObject *sums_type(void)
{
    return PyType_FromSpec(&spec);
}

PyObject *sums_of(PyObject *type, const struct table *table)
{
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
        self->all[self->count] = (struct taken){series->meaning, series->lines, series->samples, series->total,
            series->low, series->high};
        Py_INCREF((PyObject *)series->meaning);
    }
    return (PyObject *)self;
}

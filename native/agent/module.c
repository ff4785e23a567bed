/* agent.aggregate.core: the table for Python. What reads datagrams is in receive.c. See agent/aggregate/core.pyi. */
#include "counting.h"
#include "receive.h"
#include "serve.h"
#include "share.h"
#include "sums.h"
#include "protocol/histograms.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* Releases at most so many meanings that were forgotten. A release may run any code, also code that forgets. */
static void release_some(Core *self, uint32_t at_most)
{
    assert(self->forgotten != NULL || self->forgotten_count == 0);
    for (; at_most > 0 && self->forgotten_count > 0; at_most--)
        Py_XDECREF((PyObject *)self->forgotten[--self->forgotten_count].meaning); /* NULL where nobody was asked yet */
    if (self->forgotten_count > 0)
        return;
    free(self->forgotten);
    self->forgotten = NULL;
    assert(self->forgotten_count == 0);
}

/* Forgets all series. Their meanings are released later, because that takes long. */
static void forget(Core *self)
{
    assert(!self->counting);
    assert(self->learned <= self->table.series_count);
    table_free_buckets(&self->table);
    struct series *before = self->forgotten;
    uint32_t count = self->forgotten_count;
    self->forgotten = self->table.series;
    self->forgotten_count = self->table.series_count;
    self->table.series = NULL;
    table_empty(&self->table);
    self->learned = 0;
    while (count > 0) /* last, because a release may run any code */
        Py_XDECREF((PyObject *)before[--count].meaning);
    free(before);
}

static PyObject *core_feed(PyObject *object, PyObject *packet)
{
    Core *self = (Core *)object;
    char *text;
    Py_ssize_t length;
    if (refuse_reentry(self) || PyBytes_AsStringAndSize(packet, &text, &length))
        return NULL;
    assert(text != NULL && length >= 0);
    assert(text[length] == 0);
    self->table.to_learn = LEARNED_AT_ONCE;
    if (count(self, text, (size_t)length, stamp_of_now(self)))
        return NULL;
    Py_RETURN_NONE;
}

/* Each line is in exactly one take, because no other code runs from the first read of the table until it is reset.
 * So the objects that the garbage collector tracks are made first: that may run any code, also code that feeds or
 * takes. */
static PyObject *core_take(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    struct table *table = &self->table;
    if (refuse_reentry(self))
        return NULL;
    assert(!PyErr_Occurred());
    PyObject *taken = PyTuple_New(2);
    PyObject *sums = taken ? sums_of(self->sums_type, table) : NULL;
    PyObject *left = sums ? PyBytes_FromStringAndSize(table->left, (Py_ssize_t)table->left_length) : NULL;
    if (left == NULL) {
        Py_XDECREF(sums);
        Py_XDECREF(taken);
        return NULL;
    }
    if (PyTuple_SetItem(taken, 0, sums) || PyTuple_SetItem(taken, 1, left)) {
        Py_DECREF(taken);
        return NULL;
    }
    sums_take_over(sums, table);
    table_reset(table);
    self->parts_count = 0;
    assert(PyTuple_Size(taken) == 2);
    if (table->full)
        forget(self);
    return taken;
}

/* The next take forgets all meanings: a full table has no others. Until then, lines that are new are not counted. */
static PyObject *core_forget(PyObject *object, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)object;
    if (refuse_reentry(self))
        return NULL;
    assert(!PyErr_Occurred());
    self->table.full = 1;
    assert(!self->counting);
    Py_RETURN_NONE;
}

/* Needs no hold: the thread of the core has nothing to do with what was forgotten. */
static PyObject *core_release(PyObject *object, PyObject *args)
{
    Core *self = (Core *)object;
    unsigned at_most;
    if (!PyArg_ParseTuple(args, "I:release", &at_most))
        return NULL;
    release_some(self, at_most);
    assert(!PyErr_Occurred());
    return PyBool_FromLong(self->forgotten_count > 0);
}

static PyObject *core_left(PyObject *object, void *Py_UNUSED(closure))
{
    const Core *self = (Core *)object;
    assert(self->table.left_length <= self->table.left_room);
    assert(self->table.left != NULL || self->table.left_length == 0);
    return PyLong_FromSize_t(self->table.left_length);
}

static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    assert(type != NULL && args != NULL);
    PyObject *learn;
    if (named != NULL && PyDict_Size(named) != 0) {
        PyErr_SetString(PyExc_TypeError, "Core takes learn by its place and nothing else");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O:Core", &learn))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Core *self = (Core *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(learn);
    self->learn = learn;
    if ((self->sums_type = sums_type()) == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    self->table.learn = ask;
    self->table.note = note_left;
    self->table.context = self;
    if (begin_sharing(self)) {
        Py_DECREF(self);
        return NULL;
    }
    if (getrandom(&self->table.seed, sizeof self->table.seed, 0) != (ssize_t)sizeof self->table.seed) {
        PyErr_SetFromErrno(PyExc_OSError); /* before other calls set errno */
        Py_DECREF(self);
        return NULL;
    }
    assert(self->table.series_count == 0 && !self->counting);
    assert(self->packets == NULL);
    return (PyObject *)self;
}

static int core_traverse(PyObject *object, visitproc visit, void *arg)
{
    const Core *self = (Core *)object;
    assert(visit != NULL);
    assert(self->table.series != NULL || self->table.series_count == 0);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->learn);
    Py_VISIT(self->make_room);
    Py_VISIT(self->sums_type);
    for (uint32_t index = 0; index < self->forgotten_count; index++)
        Py_VISIT((PyObject *)self->forgotten[index].meaning);
    if (self->shared.serving && !self->shared.held)
        return 0; /* the thread may change the table. What is not visited only lives longer */
    for (uint32_t index = 0; index < self->table.series_count; index++)
        Py_VISIT((PyObject *)self->table.series[index].meaning);
    return 0;
}

/* Releases what can refer back to the core. A type cannot, so it stays, and ``take`` still works. */
static int core_clear(PyObject *object)
{
    Core *self = (Core *)object;
    assert(!self->shared.serving); /* its thread has a reference */
    forget(self);
    release_some(self, UINT32_MAX);
    Py_CLEAR(self->learn);
    Py_CLEAR(self->make_room);
    return 0;
}

static void core_dealloc(PyObject *object)
{
    Core *self = (Core *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    core_clear(object);
    Py_XDECREF(self->sums_type);
    table_free(&self->table);
    assert(self->table.left == NULL && self->table.series == NULL);
    assert(self->learn == NULL);
    close_journal(self);
    end_sharing(self);
    free(self->packets);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* Where the records of a window in a journal end that a killed process has left. */
static PyObject *core_records_end(PyObject *Py_UNUSED(type), PyObject *args)
{
    Py_buffer map;
    unsigned long long first, room, generation;
    if (!PyArg_ParseTuple(args, "y*KKK:records_end", &map, &first, &room, &generation))
        return NULL;
    assert(map.len >= 0);
    if (first < JOURNAL_RECORDS || room < first || room > (unsigned long long)map.len || room > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "the journal has no such place");
        PyBuffer_Release(&map);
        return NULL;
    }
    uint64_t end = journal_end_of(map.buf, first, room, generation);
    assert(end >= first && end <= room);
    PyBuffer_Release(&map);
    return PyLong_FromUnsignedLongLong(end);
}

static PyMethodDef methods[] = {
    {"feed", core_feed, METH_O, NULL},
    {"read", core_read, METH_VARARGS, NULL},
    {"receive", core_receive, METH_VARARGS, NULL},
    {"open_journal", core_open_journal, METH_VARARGS, NULL},
    {"aim_journal", core_aim_journal, METH_VARARGS, NULL},
    {"finish_journal", core_finish_journal, METH_NOARGS, NULL},
    {"close_journal", core_close_journal, METH_NOARGS, NULL},
    {"keep", core_keep, METH_VARARGS, NULL},
    {"take", core_take, METH_NOARGS, NULL},
    {"forget", core_forget, METH_NOARGS, NULL},
    {"release", core_release, METH_VARARGS, NULL},
    {"records_end", core_records_end, METH_VARARGS | METH_STATIC, NULL},
    {"serve", core_serve, METH_VARARGS, NULL},
    {"hold", core_hold, METH_NOARGS, NULL},
    {"let_go", core_let_go, METH_NOARGS, NULL},
    {"wants", core_wants, METH_NOARGS, NULL},
    {"served", core_served, METH_NOARGS, NULL},
    {"teach", core_teach, METH_VARARGS, NULL},
    {"stamp", core_stamp, METH_VARARGS, NULL},
    {"parts", core_parts, METH_NOARGS, NULL},
    {"mirror", core_mirror, METH_VARARGS, NULL},
    {"merge", merge_histograms, METH_O | METH_STATIC, NULL},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef attributes[] = {{"left", core_left, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot slots[] = {
    {Py_tp_new, core_new},
    {Py_tp_dealloc, core_dealloc},
    {Py_tp_traverse, core_traverse},
    {Py_tp_clear, core_clear},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "agent.aggregate.core.Core",
    .basicsize = sizeof(Core),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

static int fill(PyObject *module)
{
    PyObject *type = type_of(&spec);
    if (type == NULL)
        return -1;
    assert(module != NULL);
    int result = PyModule_AddObjectRef(module, "Core", type);
    assert(result == 0 || PyErr_Occurred());
    Py_DECREF(type);
    return result;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "agent.aggregate.core", .m_slots = module_slots};

PyMODINIT_FUNC PyInit_core(void)
{
    return PyModuleDef_Init(&definition);
}

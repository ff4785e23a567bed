/* agent.aggregate.core: the table for Python, and datagrams read and counted in batches. See agent/aggregate/core.pyi. */
#define _GNU_SOURCE
#include "sums.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
    PACKETS = 64, /* by one read */
    MAX_DATAGRAM = 65536, /* more than any UDP datagram holds */
    STRIDE = MAX_DATAGRAM + 832, /* so that the beginnings of all do not share a few lines of the caches */
};

typedef struct {
    PyObject_HEAD
    struct table table;
    PyObject *learn;
    PyObject *sums_type;
    char *packets; /* room for PACKETS datagrams, made by the first read */
    int counting;
} Core;

/* learn_fn: asks Python. A meaning is a strong reference that the series owns. */
static int64_t ask(
    void *context, const char *name, size_t name_length, const char *tail, size_t tail_length, void **meaning)
{
    Core *self = context;
    PyObject *found = PyObject_CallFunction(
        self->learn, "y#y#", name, (Py_ssize_t)name_length, tail, (Py_ssize_t)tail_length);
    if (found == NULL)
        return -1;
    long long limit;
    PyObject *kept;
    if (!PyTuple_Check(found)) {
        PyErr_SetString(PyExc_TypeError, "learn must give a limit and an object");
        Py_DECREF(found);
        return -1;
    }
    if (!PyArg_ParseTuple(found, "LO;learn must give a limit and an object", &limit, &kept)) {
        Py_DECREF(found);
        return -1;
    }
    Py_INCREF(kept);
    Py_DECREF(found);
    *meaning = kept;
    return limit < 0 ? 0 : limit > 1000000000000LL ? 1000000000000LL : limit;
}

static void forget(Core *self)
{
    struct series *series = self->table.series;
    uint32_t series_count = self->table.series_count;
    self->table.series = NULL; /* out of the table first: to release an object may run any code */
    table_empty(&self->table);
    for (uint32_t index = 0; index < series_count; index++)
        Py_XDECREF((PyObject *)series[index].meaning);
    free(series);
}

static int count(Core *self, const char *text, size_t length)
{
    if (self->counting) {
        PyErr_SetString(PyExc_RuntimeError, "counting is not reentrant");
        return -1;
    }
    self->counting = 1;
    int result = table_count(&self->table, text, length);
    self->counting = 0;
    if (result && !PyErr_Occurred())
        PyErr_NoMemory();
    return result;
}

static PyObject *core_feed(Core *self, PyObject *packet)
{
    char *text;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(packet, &text, &length) || count(self, text, (size_t)length))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *core_read(Core *self, PyObject *args)
{
    int fd, at_most;
    if (!PyArg_ParseTuple(args, "ii:read", &fd, &at_most))
        return NULL;
    if (self->packets == NULL && (self->packets = malloc((size_t)PACKETS * STRIDE)) == NULL)
        return PyErr_NoMemory();
    struct iovec places[PACKETS];
    struct mmsghdr messages[PACKETS];
    int wanted = at_most < 1 ? 1 : at_most < PACKETS ? at_most : PACKETS;
    for (int index = 0; index < wanted; index++) {
        places[index] = (struct iovec){self->packets + (size_t)index * STRIDE, MAX_DATAGRAM};
        messages[index] = (struct mmsghdr){.msg_hdr = {.msg_iov = &places[index], .msg_iovlen = 1}};
    }
    int found = recvmmsg(fd, messages, (unsigned)wanted, MSG_DONTWAIT, NULL);
    if (found < 0)
        return Py_BuildValue("(iLi)", 0, 0LL, errno);
    long long bytes = 0;
    for (int index = 0; index < found; index++) {
        bytes += messages[index].msg_len;
        if (count(self, places[index].iov_base, messages[index].msg_len))
            return NULL;
    }
    return Py_BuildValue("(iLi)", found, bytes, found < wanted ? EAGAIN : 0);
}

static PyObject *core_take(Core *self, PyObject *Py_UNUSED(none))
{
    struct table *table = &self->table;
    if (self->counting) {
        PyErr_SetString(PyExc_RuntimeError, "counting is not reentrant");
        return NULL;
    }
    PyObject *sums = sums_of(self->sums_type, table);
    PyObject *left = PyBytes_FromStringAndSize(table->left, (Py_ssize_t)table->left_length);
    PyObject *taken = sums && left ? PyTuple_Pack(2, sums, left) : NULL;
    Py_XDECREF(sums);
    Py_XDECREF(left);
    if (taken == NULL)
        return NULL;
    for (uint32_t index = 0; index < table->touched_count; index++)
        table->series[table->touched[index]].lines = 0;
    table->touched_count = 0;
    table->left_length = 0;
    if (table->full)
        forget(self);
    return taken;
}

static PyObject *core_left(Core *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(self->table.left_length);
}

static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(named))
{
    PyObject *learn;
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
    self->table.context = self;
    if (getrandom(&self->table.seed, sizeof self->table.seed, 0) != (ssize_t)sizeof self->table.seed) {
        Py_DECREF(self);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return (PyObject *)self;
}

static int core_traverse(Core *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->learn);
    Py_VISIT(self->sums_type);
    for (uint32_t index = 0; index < self->table.series_count; index++)
        Py_VISIT((PyObject *)self->table.series[index].meaning);
    return 0;
}

static int core_clear(Core *self)
{
    forget(self);
    Py_CLEAR(self->learn);
    Py_CLEAR(self->sums_type);
    return 0;
}

static void core_dealloc(Core *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    core_clear(self);
    table_free(&self->table);
    free(self->packets);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"feed", (PyCFunction)core_feed, METH_O, NULL},
    {"read", (PyCFunction)core_read, METH_VARARGS, NULL},
    {"take", (PyCFunction)core_take, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef attributes[] = {{"left", (getter)core_left, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};
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
    PyObject *type = PyType_FromSpec(&spec);
    if (type == NULL)
        return -1;
    int result = PyModule_AddObjectRef(module, "Core", type);
    Py_DECREF(type);
    return result;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "agent.aggregate.core", .m_slots = module_slots};

PyMODINIT_FUNC PyInit_core(void)
{
    return PyModuleDef_Init(&definition);
}

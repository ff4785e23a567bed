/* central.core: batches read and groups written in everyday forms. See central/core.pyi. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "items.h"
#include "lines.h"

static PyObject *counter, *value;

/* An Item without its Python-level constructor; every field of ``fields`` is taken over, also after a failure. */
static PyObject *make_item(PyTypeObject *type, PyObject *fields[7])
{
    PyObject *made = ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 7);
    for (int index = 0; index < 7; index++) {
        if (fields[index] == NULL)
            Py_CLEAR(made);
        if (made == NULL)
            Py_XDECREF(fields[index]);
        else
            PyTuple_SetItem(made, index, fields[index]);
    }
    return made;
}

static PyObject *none(void)
{
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *item_of(PyTypeObject *type, const struct item *item)
{
    PyObject *kind = item->is_counter ? counter : value;
    Py_INCREF(kind);
    PyObject *fields[7] = {
        PyUnicode_FromStringAndSize(item->name, item->name_length),
        kind,
        PyLong_FromLongLong(item->value),
        PyLong_FromLongLong(item->recorded_at),
        item->is_summary ? PyLong_FromLongLong(item->weight) : none(),
        item->is_summary ? PyLong_FromLongLong(item->low) : none(),
        item->is_summary ? PyLong_FromLongLong(item->high) : none(),
    };
    return make_item(type, fields);
}

static PyObject *core_items(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *body;
    Py_ssize_t length;
    PyObject *type;
    struct bounds bounds;
    long long now;
    if (!PyArg_ParseTuple(args, "y#OddLi:items", &body, &length, &type, &bounds.oldest, &bounds.newest, &now, &bounds.most))
        return NULL;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "items become tuples of a type");
        return NULL;
    }
    bounds.now = now;
    struct item *items = PyMem_Malloc(sizeof *items * (size_t)(bounds.most > 0 ? bounds.most : 1));
    if (items == NULL)
        return PyErr_NoMemory();
    int count = read_items(body, body + length, &bounds, items);
    PyObject *made = count > 0 ? PyList_New(count) : none();
    for (int index = 0; made && index < count; index++) {
        PyObject *item = item_of((PyTypeObject *)type, &items[index]);
        if (item == NULL || PyList_SetItem(made, index, item))
            Py_CLEAR(made);
    }
    PyMem_Free(items);
    return made;
}

/* 1: the number fits; 0: it does not, and plain Python has to do it all; -1: it is no number. */
static int number_of(PyObject *row, Py_ssize_t place, int64_t *number, int *there)
{
    PyObject *field = PyTuple_GetItem(row, place);
    int overflow = 0;
    if (field == NULL)
        return -1;
    if (there != NULL && (*there = field != Py_None) == 0)
        return 1;
    *number = PyLong_AsLongLongAndOverflow(field, &overflow);
    if (overflow)
        return 0;
    return *number == -1 && PyErr_Occurred() ? -1 : 1;
}

static int row_of(PyObject *tuple, struct row *row)
{
    int result, is_summary, there;
    if ((result = number_of(tuple, 0, &row->metric_id, NULL)) < 1)
        return result;
    if ((result = number_of(tuple, 1, &row->recorded_at, NULL)) < 1)
        return result;
    if ((result = number_of(tuple, 2, &row->value, NULL)) < 1)
        return result;
    if ((result = number_of(tuple, 3, &row->weight, &is_summary)) < 1)
        return result;
    row->is_summary = is_summary;
    if (!is_summary)
        return 1;
    if ((result = number_of(tuple, 4, &row->low, &there)) < 1 || !there)
        return result < 0 ? -1 : 0;
    if ((result = number_of(tuple, 5, &row->high, &there)) < 1 || !there)
        return result < 0 ? -1 : 0;
    return 1;
}

#define TEXT(name) group.name.length ? group.name.bytes : "", (Py_ssize_t)group.name.length

static PyObject *core_lines(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *list;
    struct group group = {0};
    unsigned long long base;
    if (!PyArg_ParseTuple(args, "O!K:lines", &PyList_Type, &list, &base))
        return NULL;
    group.base = base;
    group.count = (size_t)PyList_Size(list);
    group.rows = PyMem_Malloc(sizeof *group.rows * (group.count ? group.count : 1));
    if (group.rows == NULL)
        return PyErr_NoMemory();
    int fits = 1;
    for (size_t index = 0; fits == 1 && index < group.count; index++)
        fits = row_of(PyList_GetItem(list, (Py_ssize_t)index), &group.rows[index]);
    int failed = 0;
    if (fits == 1) {
        Py_BEGIN_ALLOW_THREADS
        failed = write_lines(&group);
        Py_END_ALLOW_THREADS
    }
    PyObject *made = NULL;
    if (fits == 0 || (fits == 1 && failed > 0))
        made = none();
    else if (fits == 1 && failed < 0)
        made = PyErr_NoMemory();
    else if (fits == 1)
        made = Py_BuildValue("(Ns#s#s#)", PyBool_FromLong(group.summaries),
            TEXT(points), TEXT(minutes),
            TEXT(hours));
    free_lines(&group);
    PyMem_Free(group.rows);
    return made;
}

static PyMethodDef methods[] = {
    {"items", core_items, METH_VARARGS, NULL},
    {"lines", core_lines, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *Py_UNUSED(module))
{
    counter = PyUnicode_InternFromString("counter");
    value = PyUnicode_InternFromString("value");
    return counter && value ? 0 : -1;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "central.core", .m_methods = methods, .m_slots = module_slots};

PyMODINIT_FUNC PyInit_core(void)
{
    return PyModuleDef_Init(&definition);
}

#include "lookup.h"

#include <assert.h>

enum { ITEM_FIELDS = 9, ROW_FIELDS = 8 };
enum { NAME, KIND, VALUE, RECORDED_AT, WEIGHT, LOW, HIGH, HISTOGRAM, TAGS };

static_assert(TAGS == ITEM_FIELDS - 1, "the fields of an item, in their order");

PyObject *make_tuple(PyTypeObject *type, PyObject **fields, int count)
{
    assert(type != NULL && fields != NULL && count > 0);
    PyObject *made = NULL;
    int complete = 1;
    for (int index = 0; index < count; index++)
        complete &= fields[index] != NULL;
    assert(complete || PyErr_Occurred());
    if (complete)
        made = ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, count);
    assert(made == NULL || PyTuple_Size(made) == count);
    for (int index = 0; index < count; index++) {
        if (made == NULL)
            Py_XDECREF(fields[index]);
        else if (PyTuple_SetItem(made, index, fields[index])) {
            Py_DECREF(made);
            made = NULL;
        }
    }
    return made;
}

/* Returns the value of a key as a borrowed reference; NULL with KeyError, or another error of the look-up. */
static PyObject *found_in(PyObject *dict, PyObject *key)
{
    assert(PyDict_Check(dict) && key != NULL);
    PyObject *found = PyDict_GetItemWithError(dict, key);
    if (found == NULL && !PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, key);
    assert(found != NULL || PyErr_Occurred());
    return found;
}

/* Returns the id of the metric of an item as a borrowed reference; NULL with an exception set. */
static PyObject *metric_of(PyObject *item, PyObject *metrics)
{
    assert(PyDict_Check(metrics) && !PyErr_Occurred());
    if (!PyTuple_Check(item) || PyTuple_Size(item) != ITEM_FIELDS) {
        PyErr_SetString(PyExc_TypeError, "items are tuples of nine fields");
        return NULL;
    }
    PyObject *metric = found_in(metrics, PyTuple_GetItem(item, NAME));
    assert(metric == NULL || PyTuple_Check(metric));
    return metric == NULL ? NULL : PyTuple_GetItem(metric, 0);
}

/* Finds the series of an item with tags. Returns 1 and its id as a borrowed reference; 0 and its key as a new reference if
 * there is none; -1 with an exception set. */
static int series_of(PyObject *metric_id, PyObject *tags, PyObject *ids, PyObject **found)
{
    assert(metric_id != NULL && tags != Py_None);
    PyObject *key = PyTuple_Pack(2, metric_id, tags);
    if (key == NULL)
        return -1;
    *found = PyDict_GetItemWithError(ids, key);
    if (*found == NULL && !PyErr_Occurred()) {
        *found = key;
        return 0;
    }
    Py_DECREF(key);
    assert(*found != NULL || PyErr_Occurred());
    return *found == NULL ? -1 : 1;
}

struct known {
    PyObject *items, *metrics, *ids, *overflows;
};

/* Returns the id of an item's series as a new reference, 0 without tags; NULL with an exception set. */
static PyObject *series_id_of(const struct known *known, PyObject *metric_id, PyObject *tags)
{
    assert(metric_id != NULL && tags != NULL);
    if (tags == Py_None)
        return PyLong_FromLong(0);
    PyObject *found;
    int there = series_of(metric_id, tags, known->ids, &found);
    if (there < 0)
        return NULL;
    if (there == 0) {
        Py_DECREF(found);
        found = found_in(known->overflows, metric_id);
    }
    assert(found == NULL || PyLong_Check(found));
    Py_XINCREF(found);
    return found;
}

static PyObject *row_of(PyTypeObject *type, const struct known *known, PyObject *item)
{
    assert(type != NULL && PyDict_Check(known->overflows));
    PyObject *metric_id = metric_of(item, known->metrics);
    if (metric_id == NULL)
        return NULL;
    assert(PyTuple_Size(item) == ITEM_FIELDS);
    static const int TAKEN[] = {RECORDED_AT, VALUE, WEIGHT, LOW, HIGH, HISTOGRAM};
    PyObject *fields[ROW_FIELDS] = {metric_id};
    Py_INCREF(metric_id);
    for (int place = 1; place < ROW_FIELDS - 1; place++) {
        fields[place] = PyTuple_GetItem(item, TAKEN[place - 1]);
        Py_INCREF(fields[place]);
    }
    fields[ROW_FIELDS - 1] = series_id_of(known, metric_id, PyTuple_GetItem(item, TAGS));
    return make_tuple(type, fields, ROW_FIELDS);
}

PyObject *make_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct known known;
    PyObject *type;
    if (!PyArg_ParseTuple(args, "O!OO!O!O!:rows", &PyList_Type, &known.items, &type, &PyDict_Type, &known.metrics,
            &PyDict_Type, &known.ids, &PyDict_Type, &known.overflows))
        return NULL;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "rows become tuples of a type");
        return NULL;
    }
    assert(PyList_Check(known.items));
    PyObject *made = PyList_New(0);
    for (Py_ssize_t index = 0; made != NULL && index < PyList_Size(known.items); index++) {
        PyObject *row = row_of((PyTypeObject *)type, &known, PyList_GetItem(known.items, index));
        if (row == NULL || PyList_Append(made, row)) {
            Py_DECREF(made);
            made = NULL;
        }
        Py_XDECREF(row);
    }
    assert(made != NULL || PyErr_Occurred());
    return made;
}

/* Adds an item's key to the list if its series is not there. Returns 0, or -1 with an exception set. */
static int note_missing(const struct known *known, PyObject *item, PyObject *list)
{
    assert(PyList_Check(list));
    PyObject *metric_id = metric_of(item, known->metrics), *found;
    if (metric_id == NULL)
        return -1;
    PyObject *tags = PyTuple_GetItem(item, TAGS);
    int there = tags == Py_None ? 1 : series_of(metric_id, tags, known->ids, &found);
    if (there != 0)
        return there < 0 ? -1 : 0;
    int result = PyList_Append(list, found);
    Py_DECREF(found);
    assert(result == 0 || PyErr_Occurred());
    return result;
}

PyObject *missing_series(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct known known = {0};
    if (!PyArg_ParseTuple(args, "O!O!O!:missing_series", &PyList_Type, &known.items, &PyDict_Type, &known.metrics,
            &PyDict_Type, &known.ids))
        return NULL;
    assert(PyDict_Check(known.ids));
    PyObject *made = PyList_New(0);
    for (Py_ssize_t index = 0; made != NULL && index < PyList_Size(known.items); index++)
        if (note_missing(&known, PyList_GetItem(known.items, index), made)) {
            Py_DECREF(made);
            made = NULL;
        }
    assert(made != NULL || PyErr_Occurred());
    return made;
}

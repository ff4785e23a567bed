/* The Python module central.core: reads batches and writes groups. central/core.pyi describes its functions. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "histogram_text.h"
#include "items.h"
#include "lines.h"
#include "lookup.h"
#include "packed.h"
#include "rows.h"
#include "tags_text.h"
#include "protocol/histograms.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

enum { ITEM_FIELDS = 9, LONG = 256 * 1024, COLUMNS = 8 };

/* The state of the module: texts that all items share. */
struct words {
    PyObject *counter, *value;
};

static PyObject *none(void)
{
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *histogram_bytes(const char *text, int length)
{
    assert(text != NULL && length > 0);
    size_t room = (size_t)length * 3 / 4;
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
    if (made != NULL) {
        size_t size = read_base64(text, (size_t)length, (unsigned char *)PyBytes_AsString(made));
        assert(size == room);
        (void)size;
    }
    return made;
}

/* An item with tags and their text, which it owns. */
struct tagged {
    const struct item *item;
    PyObject *tags;
};

/* Nearly all items of a batch have the tags of the one before. They share the text, so it is hashed once. */
static PyObject *tags_of(const struct item *item, struct tagged *before)
{
    assert(item->tags != NULL && item->tags_length >= 0);
    if (before->item != NULL && before->item->tags_length == item->tags_length
        && memcmp(before->item->tags, item->tags, (size_t)item->tags_length) == 0) {
        Py_INCREF(before->tags);
        return before->tags;
    }
    char text[MAX_TAGS_TEXT];
    size_t length = write_tags(item->tags, (size_t)item->tags_length, text);
    assert(length <= sizeof text);
    *before = (struct tagged){item, length ? PyUnicode_FromStringAndSize(text, (Py_ssize_t)length) : none()};
    assert(before->tags != NULL || PyErr_Occurred());
    return before->tags;
}

static PyObject *item_of(
    PyTypeObject *type, const struct words *words, const struct item *item, struct tagged *before)
{
    assert(item->name != NULL && item->name_length > 0);
    assert(!item->is_summary || (item->weight > 0 && item->low <= item->high));
    PyObject *kind = item->is_counter ? words->counter : words->value;
    Py_INCREF(kind);
    PyObject *fields[ITEM_FIELDS] = {
        PyUnicode_FromStringAndSize(item->name, item->name_length),
        kind,
        PyLong_FromLongLong(item->value),
        PyLong_FromLongLong(item->recorded_at),
        item->is_summary ? PyLong_FromLongLong(item->weight) : none(),
        item->is_summary ? PyLong_FromLongLong(item->low) : none(),
        item->is_summary ? PyLong_FromLongLong(item->high) : none(),
        item->histogram ? histogram_bytes(item->histogram, item->histogram_length) : none(),
        item->tags ? tags_of(item, before) : none(),
    };
    return make_tuple(type, fields, ITEM_FIELDS);
}

static PyObject *list_of(PyTypeObject *type, const struct words *words, const struct item *items, int count)
{
    assert(count > 0 && words->counter != NULL && words->value != NULL);
    struct tagged before = {0};
    PyObject *made = PyList_New(count);
    for (int index = 0; made && index < count; index++) {
        PyObject *item = item_of(type, words, &items[index], &before);
        if (item == NULL || PyList_SetItem(made, index, item)) {
            Py_DECREF(made);
            made = NULL;
        }
    }
    assert(made || PyErr_Occurred());
    return made;
}

static PyObject *core_items(PyObject *module, PyObject *args)
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
    assert(body != NULL && length >= 0);
    bounds.now = now;
    struct item *items = PyMem_Malloc(sizeof *items * (size_t)(bounds.most > 0 ? bounds.most : 1));
    if (items == NULL)
        return PyErr_NoMemory();
    int count;
    if (length < LONG)
        count = read_items(body, body + length, &bounds, items);
    else {
        /* A long body is read in a thread. Without the lock, the event loop goes on meanwhile. */
        Py_BEGIN_ALLOW_THREADS
        count = read_items(body, body + length, &bounds, items);
        Py_END_ALLOW_THREADS
    }
    assert(count >= 0 && (count == 0 || count <= bounds.most));
    PyObject *made = count > 0 ? list_of((PyTypeObject *)type, PyModule_GetState(module), items, count) : none();
    PyMem_Free(items);
    return made;
}

static PyObject *core_single(PyObject *module, PyObject *args)
{
    const char *body, *kind;
    Py_ssize_t length;
    PyObject *type;
    struct bounds bounds = {.most = 1};
    long long now;
    if (!PyArg_ParseTuple(args, "y#O!sddL:single", &body, &length, &PyType_Type, &type, &kind, &bounds.oldest, &bounds.newest, &now))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "an item becomes a tuple of a type");
        return NULL;
    }
    assert(body != NULL && length >= 0);
    bounds.now = now;
    struct item item;
    if (!read_single(body, body + length, strcmp(kind, "counter") == 0, &bounds, &item))
        return none();
    struct tagged before = {0};
    assert(item.name_length > 0);
    return item_of((PyTypeObject *)type, PyModule_GetState(module), &item, &before);
}

static PyObject *list_of_spans(const char *body, const struct span *spans, int count)
{
    assert(body != NULL && spans != NULL);
    assert(count >= 0);
    PyObject *made = PyList_New(count);
    for (int index = 0; made && index < count; index++) {
        Py_ssize_t begin = spans[index].begin - body, end = spans[index].end - body;
        assert(begin <= end);
        PyObject *span = Py_BuildValue("nn", begin, end);
        if (span == NULL || PyList_SetItem(made, index, span)) {
            Py_DECREF(made);
            made = NULL;
        }
    }
    return made;
}

static PyObject *core_spans(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *body;
    Py_ssize_t length;
    int most, count;
    if (!PyArg_ParseTuple(args, "y#i:spans", &body, &length, &most))
        return NULL;
    assert(body != NULL && length >= 0);
    if (most < 1 || most > INT_MAX / COUNTED) {
        PyErr_SetString(PyExc_ValueError, "there must be room for an item");
        return NULL;
    }
    struct span *spans = PyMem_Malloc(sizeof *spans * (size_t)most);
    if (spans == NULL)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    count = read_spans(body, body + length, most, spans);
    Py_END_ALLOW_THREADS
    assert(count >= SPANS_TORN && count <= COUNTED * most);
    PyObject *made = count > most ? PyLong_FromLong(count) : count >= 0 ? list_of_spans(body, spans, count)
        : PyUnicode_FromString(count == SPANS_OTHER ? "other" : "torn");
    PyMem_Free(spans);
    return made;
}

/* Returns 1 if the ids after ``base`` fit into 64 bits; 0 if not; -1 if it is not a number. */
static int base_of(PyObject *number, struct group *group)
{
    assert(number != NULL);
    assert(group->rows == NULL);
    group->base = PyLong_AsUnsignedLongLong(number);
    if (group->base == UINT64_MAX && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    return group->count == 0 || group->base <= UINT64_MAX - (group->count - 1);
}

static PyObject *text_of(const struct text *text)
{
    assert(text->bytes != NULL || text->length == 0);
    assert(text->length == 0 || text->bytes[text->length - 1] == '\n');
    assert(text->length <= text->room);
    return PyUnicode_FromStringAndSize(text->length ? text->bytes : "", (Py_ssize_t)text->length);
}

static PyObject *texts_of(struct group *group)
{
    assert(!PyErr_Occurred());
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = write_lines(group);
    Py_END_ALLOW_THREADS
    assert(failed >= -1 && failed <= 1);
    if (failed)
        return failed > 0 ? none() : PyErr_NoMemory();
    PyObject *points = text_of(&group->points), *minutes = NULL, *hours = NULL, *made = NULL;
    PyObject *summaries = group->summaries ? Py_True : Py_False, *histograms = group->histograms ? Py_True : Py_False;
    PyObject *series = group->series ? Py_True : Py_False;
    if (points && (minutes = text_of(&group->minutes)) && (hours = text_of(&group->hours)))
        made = PyTuple_Pack(6, summaries, series, histograms, points, minutes, hours);
    Py_XDECREF(points);
    Py_XDECREF(minutes);
    Py_XDECREF(hours);
    return made;
}

static PyObject *core_lines(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *list, *base;
    struct group group = {0};
    if (!PyArg_ParseTuple(args, "O!O:lines", &PyList_Type, &list, &base))
        return NULL;
    assert(PyList_Check(list) && base != NULL);
    group.count = (size_t)PyList_Size(list);
    int fits = base_of(base, &group);
    if (fits < 1)
        return fits == 0 ? none() : NULL;
    group.rows = PyMem_Calloc(group.count ? group.count : 1, sizeof *group.rows);
    if (group.rows == NULL)
        return PyErr_NoMemory();
    fits = read_rows(list, group.rows, group.count);
    assert((fits < 0) == (PyErr_Occurred() != NULL));
    assert(group.points.bytes == NULL);
    PyObject *made = fits == 1 ? texts_of(&group) : fits == 0 ? none() : NULL;
    free_lines(&group);
    release_rows(group.rows, group.count);
    PyMem_Free(group.rows);
    return made;
}

/* The columns one after the other, in the machine's order of bytes. */
static PyObject *columns_of(const struct row *rows, size_t count)
{
    assert(rows != NULL && count <= PY_SSIZE_T_MAX / (COLUMNS * sizeof(int64_t)));
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(COLUMNS * sizeof(int64_t) * count));
    if (made == NULL)
        return NULL;
    char *to = PyBytes_AsString(made);
    assert(to != NULL);
    for (size_t index = 0; index < count; index++) {
        const struct row *row = &rows[index];
        assert(row->is_summary || (row->weight == 0 && row->low == 0 && row->high == 0));
        const int64_t numbers[COLUMNS] = {row->metric_id, row->recorded_at, row->value, row->weight, row->low, row->high,
            row->series_id, row->is_summary};
        for (size_t column = 0; column < COLUMNS; column++)
            memcpy(to + (column * count + index) * sizeof *numbers, &numbers[column], sizeof *numbers);
    }
    return made;
}

static PyObject *core_columns(PyObject *Py_UNUSED(module), PyObject *list)
{
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "columns are made of a list of rows");
        return NULL;
    }
    size_t count = (size_t)PyList_Size(list);
    struct row *rows = PyMem_Calloc(count ? count : 1, sizeof *rows);
    if (rows == NULL)
        return PyErr_NoMemory();
    int fits = read_rows(list, rows, count);
    assert((fits < 0) == (PyErr_Occurred() != NULL));
    PyObject *made = fits == 1 ? columns_of(rows, count) : fits == 0 ? none() : NULL;
    release_rows(rows, count);
    PyMem_Free(rows);
    return made;
}

static PyMethodDef methods[] = {
    {"items", core_items, METH_VARARGS, NULL},
    {"single", core_single, METH_VARARGS, NULL},
    {"spans", core_spans, METH_VARARGS, NULL},
    {"lines", core_lines, METH_VARARGS, NULL},
    {"columns", core_columns, METH_O, NULL},
    {"rows", make_rows, METH_VARARGS, NULL},
    {"missing_series", missing_series, METH_VARARGS, NULL},
    {"span_of_histogram", span_of_histogram, METH_O, NULL},
    {"merge_histograms", merge_histograms, METH_O, NULL},
    {"decode_histograms", decode_histograms, METH_O, NULL},
    {"rank_histograms", rank_histograms, METH_VARARGS, NULL},
    {"unpack_minutes", unpack_minutes, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *module)
{
    struct words *words = PyModule_GetState(module);
    assert(words != NULL && words->counter == NULL && words->value == NULL);
    words->counter = PyUnicode_InternFromString("counter");
    words->value = words->counter ? PyUnicode_InternFromString("value") : NULL;
    assert(words->value || PyErr_Occurred());
    return words->value ? 0 : -1;
}

/* Python also calls this if ``fill`` has failed. */
static void release(void *module)
{
    assert(module != NULL);
    struct words *words = PyModule_GetState(module);
    if (words == NULL)
        return;
    Py_CLEAR(words->counter);
    Py_CLEAR(words->value);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "central.core", .m_size = sizeof(struct words),
    .m_methods = methods, .m_slots = module_slots, .m_free = release};

PyMODINIT_FUNC PyInit_core(void)
{
    return PyModuleDef_Init(&definition);
}

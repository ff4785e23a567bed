#include "rows.h"

#include <assert.h>

enum { ROW_NUMBERS = 6, HISTOGRAM = 6, SERIES = 7 };

static_assert(sizeof(long long) == sizeof(int64_t), "Python's long long holds a number of a row");

/* Returns 1 if the number fits into 64 bits; 0 if not: then plain Python must write the group; -1 if it is not a number.
 * Never calls __index__, because that may run any code, also code that changes the list of rows. */
static int number_of(PyObject *row, Py_ssize_t place, int64_t *number, int *there)
{
    assert(row != NULL && number != NULL);
    assert(place >= 0 && place <= SERIES);
    PyObject *field = PyTuple_GetItem(row, place);
    int overflow = 0;
    if (field == NULL)
        return -1;
    if (there != NULL && (*there = field != Py_None) == 0)
        return 1;
    if (!PyLong_Check(field)) {
        PyErr_SetString(PyExc_TypeError, "the fields of a row are integers");
        return -1;
    }
    *number = PyLong_AsLongLongAndOverflow(field, &overflow);
    assert(!PyErr_Occurred());
    return overflow == 0;
}

/* Takes a reference to the histogram of a row: 1; or -1 if it has something else there. */
static int histogram_of(PyObject *tuple, struct row *row)
{
    assert(tuple != NULL && row->histogram == NULL);
    PyObject *field = PyTuple_GetItem(tuple, HISTOGRAM);
    char *bytes;
    Py_ssize_t length;
    if (field == NULL)
        return -1;
    if (field == Py_None)
        return 1;
    if (PyBytes_AsStringAndSize(field, &bytes, &length))
        return -1;
    if (length == 0) {
        PyErr_SetString(PyExc_ValueError, "a histogram is not empty");
        return -1;
    }
    assert(bytes != NULL && length > 0);
    Py_INCREF(field);
    row->histogram = (const unsigned char *)bytes;
    row->histogram_length = (size_t)length;
    row->owner = field;
    return 1;
}

/* As number_of, for a whole row. A summary has the last three numbers; a plain sample has none of them. */
static int row_of(PyObject *tuple, struct row *row)
{
    assert(tuple != NULL && row != NULL);
    int64_t *const numbers[ROW_NUMBERS] = {
        &row->metric_id, &row->recorded_at, &row->value, &row->weight, &row->low, &row->high};
    int there = 0;
    for (int place = 0; place < ROW_NUMBERS; place++) {
        int is_there = 1, result = number_of(tuple, place, numbers[place], place < 3 ? NULL : &is_there);
        if (result < 1)
            return result;
        there += is_there;
    }
    assert(there >= 3);
    row->is_summary = there == ROW_NUMBERS;
    int result = number_of(tuple, SERIES, &row->series_id, NULL);
    if (result < 1)
        return result;
    return there == 3 || row->is_summary ? histogram_of(tuple, row) : 0;
}

int read_rows(PyObject *list, struct row *rows, size_t count)
{
    assert(rows != NULL);
    assert((size_t)PyList_Size(list) == count);
    assert(count == 0 || rows->owner == NULL);
    int fits = 1;
    for (size_t index = 0; fits == 1 && index < count; index++)
        fits = row_of(PyList_GetItem(list, (Py_ssize_t)index), &rows[index]);
    return fits;
}

void release_rows(struct row *rows, size_t count)
{
    assert(rows != NULL || count == 0);
    assert(count <= PY_SSIZE_T_MAX);
    for (size_t index = 0; index < count; index++)
        Py_XDECREF((PyObject *)rows[index].owner);
}

#include "packed.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

enum { HEAD = 4, MINUTES = 60 };

/* What is left of an hour, and its minute that was read last. */
struct hour {
    const unsigned char *at, *end;
    int minute;
    size_t length;
};

/* Reads the head of the next minute, whose histogram is then behind it. Returns 1; 0 at the end; -1 for bytes that are not
 * packed: cut, without a histogram, or with minutes out of order. */
static int next_minute(struct hour *hour)
{
    assert(hour->at <= hour->end);
    if (hour->at == hour->end)
        return 0;
    if (hour->end - hour->at <= HEAD)
        return -1;
    int minute = hour->at[0];
    size_t length = (size_t)hour->at[1] << 16 | (size_t)hour->at[2] << 8 | hour->at[3];
    hour->at += HEAD;
    if (minute <= hour->minute || minute >= MINUTES || length == 0 || length > (size_t)(hour->end - hour->at))
        return -1;
    hour->minute = minute;
    hour->length = length;
    assert(hour->length <= (size_t)(hour->end - hour->at));
    return 1;
}

/* Returns how many minutes all hours of a tuple have. -1 with an exception set. */
static Py_ssize_t count_of(PyObject *hours)
{
    assert(PyTuple_Check(hours));
    Py_ssize_t count = 0;
    for (Py_ssize_t index = 0; index < PyTuple_Size(hours); index++) {
        char *bytes;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(hours, index), &bytes, &size))
            return -1;
        const unsigned char *begin = (const unsigned char *)bytes;
        struct hour hour = {.at = begin, .end = begin + size, .minute = -1};
        int result;
        for (; (result = next_minute(&hour)) > 0; hour.at += hour.length)
            count++;
        if (result < 0) {
            PyErr_SetString(PyExc_ValueError, "is not the packed histograms of an hour");
            return -1;
        }
    }
    assert(count >= 0);
    return count;
}

/* Fills in the arrays and the list. Returns 0, or -1 with an exception set. */
static int fill(PyObject *hours, int64_t *counts, int64_t *minutes, PyObject *histograms)
{
    assert(counts != NULL && minutes != NULL);
    assert(PyTuple_Check(hours) && PyList_Check(histograms));
    Py_ssize_t place = 0;
    for (Py_ssize_t index = 0; index < PyTuple_Size(hours); index++) {
        char *bytes = PyBytes_AsString(PyTuple_GetItem(hours, index));
        const unsigned char *begin = (const unsigned char *)bytes;
        struct hour hour = {.at = begin, .end = begin + PyBytes_Size(PyTuple_GetItem(hours, index)), .minute = -1};
        Py_ssize_t first = place;
        for (; next_minute(&hour) > 0; hour.at += hour.length) {
            PyObject *one = PyBytes_FromStringAndSize(bytes + (hour.at - begin), (Py_ssize_t)hour.length);
            if (one == NULL || PyList_SetItem(histograms, place, one)) /* it takes the reference, also if it fails */
                return -1;
            minutes[place++] = hour.minute;
        }
        counts[index] = place - first;
    }
    assert(place == PyList_Size(histograms));
    return 0;
}

static PyObject *unpacked(PyObject *hours, Py_ssize_t found)
{
    assert(PyTuple_Check(hours) && found >= 0);
    Py_ssize_t count = PyTuple_Size(hours), size = (Py_ssize_t)sizeof(int64_t);
    PyObject *histograms = PyList_New(found), *made = NULL;
    int64_t *numbers = PyMem_Malloc((size_t)((count + found + 1) * size));
    if (histograms == NULL || numbers == NULL)
        PyErr_NoMemory();
    else if (fill(hours, numbers, numbers + count, histograms) == 0) {
        const char *bytes = (const char *)numbers;
        made = Py_BuildValue("(y#y#O)", bytes, count * size, bytes + count * size, found * size, histograms);
    }
    assert(made || PyErr_Occurred());
    Py_XDECREF(histograms);
    PyMem_Free(numbers);
    return made;
}

PyObject *unpack_minutes(PyObject *Py_UNUSED(module), PyObject *list)
{
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "packed hours come as a list of bytes");
        return NULL;
    }
    PyObject *hours = PyList_AsTuple(list); /* which nobody can change meanwhile */
    if (hours == NULL)
        return NULL;
    assert(PyTuple_Check(hours));
    PyObject *made = NULL;
    Py_ssize_t found = count_of(hours);
    if (found >= 0)
        made = unpacked(hours, found);
    assert(made || PyErr_Occurred());
    Py_DECREF(hours);
    return made;
}

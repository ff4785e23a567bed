#include "histograms.h"

#include "histogram.h"

#include <string.h>

static_assert(sizeof(long long) == sizeof(int64_t), "Python's long long has 64 bits");

enum { ALL_PERCENT = 100000 }; /* in thousandths */

struct encoded {
    const unsigned char *bytes;
    size_t length;
    struct span span;
};

PyObject *long_of(__int128 number)
{
    assert(!PyErr_Occurred());
    if (number == (int64_t)number)
        return PyLong_FromLongLong((int64_t)number);
    PyObject *low = NULL, *bits = NULL, *shifted = NULL, *both = NULL;
    PyObject *high = PyLong_FromLongLong((int64_t)(number >> 64));
    if (high && (low = PyLong_FromUnsignedLongLong((uint64_t)number)) && (bits = PyLong_FromLong(64))
        && (shifted = PyNumber_Lshift(high, bits)))
        both = PyNumber_Or(shifted, low);
    Py_XDECREF(high);
    Py_XDECREF(low);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    assert(both || PyErr_Occurred());
    return both;
}

/* Returns 0, or -1 with an exception set. The bytes still belong to the object. */
static int encoded_of(PyObject *object, struct encoded *encoded)
{
    assert(object != NULL && encoded != NULL);
    char *bytes;
    Py_ssize_t length;
    if (PyByteArray_Check(object)) { /* what DuckDB makes of a BLOB; to copy it costs as much as to read it */
        bytes = PyByteArray_AsString(object);
        length = PyByteArray_Size(object);
    } else if (PyBytes_AsStringAndSize(object, &bytes, &length))
        return -1;
    *encoded = (struct encoded){.bytes = (const unsigned char *)bytes, .length = (size_t)length};
    if (check_histogram(encoded->bytes, encoded->length, &encoded->span)) {
        PyErr_SetString(PyExc_ValueError, "is not an encoded histogram");
        return -1;
    }
    assert(encoded->span.total > 0);
    return 0;
}

/* Checks each histogram of a list. Returns NULL with an exception set, else memory that the caller frees. The list must
 * live, and no Python code may run, until they are no longer used. */
static struct encoded *all_of(PyObject *list, size_t *count)
{
    assert(!PyErr_Occurred());
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "histograms come as a list of bytes");
        return NULL;
    }
    *count = (size_t)PyList_Size(list);
    struct encoded *all = PyMem_Malloc((*count ? *count : 1) * sizeof *all);
    if (all == NULL)
        return (struct encoded *)PyErr_NoMemory();
    for (size_t index = 0; index < *count; index++)
        if (encoded_of(PyList_GetItem(list, (Py_ssize_t)index), &all[index])) {
            PyMem_Free(all);
            return NULL;
        }
    assert(all != NULL);
    return all;
}

PyObject *span_of_histogram(PyObject *Py_UNUSED(self), PyObject *object)
{
    struct encoded encoded;
    if (encoded_of(object, &encoded))
        return NULL;
    assert(encoded.span.first <= encoded.span.last);
    PyObject *total = long_of((__int128)encoded.span.total);
    assert(total || PyErr_Occurred());
    return total ? Py_BuildValue("(Nii)", total, (int)encoded.span.first, (int)encoded.span.last) : NULL;
}

/* Makes bytes of a sum, and frees it. */
static PyObject *bytes_of(struct sum *sum)
{
    assert(sum->weights != NULL && !PyErr_Occurred());
    PyObject *made = NULL;
    unsigned char *bytes = PyMem_Malloc(bound_of_sum(sum));
    if (bytes != NULL) {
        size_t length = write_sum(sum, bytes);
        assert(length <= bound_of_sum(sum));
        made = PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length);
        PyMem_Free(bytes);
    } else
        PyErr_NoMemory();
    free_sum(sum);
    return made;
}

static PyObject *merge(const struct encoded *all, size_t count)
{
    assert(all != NULL && count > 0);
    struct span span = all[0].span;
    for (size_t index = 1; index < count; index++) {
        const struct span *other = &all[index].span;
        if (other->total > MAX_WEIGHT - span.total) {
            PyErr_SetString(PyExc_ValueError, "the histograms together weigh more than the sum of a rollup can be");
            return NULL;
        }
        span.total += other->total;
        span.first = other->first < span.first ? other->first : span.first;
        span.last = other->last > span.last ? other->last : span.last;
    }
    struct sum sum;
    if (open_sum(&sum, span.first, span.last))
        return PyErr_NoMemory();
    for (size_t index = 0; index < count; index++)
        add_histogram(&sum, all[index].bytes, all[index].length);
    assert(sum.weights[0] > 0 && sum.weights[span.last - span.first] > 0);
    return bytes_of(&sum);
}

PyObject *merge_histograms(PyObject *Py_UNUSED(self), PyObject *list)
{
    size_t count;
    struct encoded *all = all_of(list, &count);
    if (all == NULL)
        return NULL;
    PyObject *made = NULL;
    if (count == 0)
        PyErr_SetString(PyExc_ValueError, "there must be at least one histogram");
    else
        made = merge(all, count);
    assert(made || PyErr_Occurred());
    PyMem_Free(all);
    return made;
}

/* How many entries all histograms have. -1 with an exception set when a weight may not fit 64 bits. */
static Py_ssize_t entries_of(const struct encoded *all, size_t count)
{
    assert(all != NULL || count == 0);
    Py_ssize_t entries = 0;
    for (size_t index = 0; index < count; index++) {
        if (all[index].span.total > INT64_MAX) {
            PyErr_SetString(PyExc_OverflowError, "a weight has more than 63 bits");
            return -1;
        }
        entries += all[index].span.buckets;
    }
    assert(entries >= (Py_ssize_t)count);
    return entries;
}

/* Fills the three arrays, which follow each other. */
static void fill(int64_t *at, Py_ssize_t entries, const struct encoded *all, size_t count)
{
    assert(at != NULL && entries >= (Py_ssize_t)count);
    const int64_t *end = at + entries;
    for (size_t index = 0; index < count; index++) {
        struct reader reader = read_histogram(all[index].bytes, all[index].length);
        for (; next_entry(&reader); at++) {
            at[0] = (int64_t)index;
            at[entries] = reader.bucket;
            at[2 * entries] = (int64_t)reader.weight;
        }
    }
    assert(at == end);
    (void)end;
}

static PyObject *arrays_of(const struct encoded *all, size_t count)
{
    Py_ssize_t entries = entries_of(all, count);
    if (entries < 0)
        return NULL;
    assert(!PyErr_Occurred());
    int64_t *numbers = PyMem_Malloc(sizeof *numbers * 3 * (size_t)(entries ? entries : 1));
    if (numbers == NULL)
        return PyErr_NoMemory();
    fill(numbers, entries, all, count);
    Py_ssize_t size = entries * (Py_ssize_t)sizeof *numbers;
    const char *bytes = (const char *)numbers;
    assert(size % 8 == 0);
    PyObject *made = Py_BuildValue("(y#y#y#)", bytes, size, bytes + size, size, bytes + 2 * size, size);
    PyMem_Free(numbers);
    return made;
}

PyObject *decode_histograms(PyObject *Py_UNUSED(self), PyObject *list)
{
    size_t count;
    struct encoded *all = all_of(list, &count);
    if (all == NULL)
        return NULL;
    assert(!PyErr_Occurred());
    PyObject *made = arrays_of(all, count);
    assert(made || PyErr_Occurred());
    PyMem_Free(all);
    return made;
}

/* How much weight a rank needs: at least so many thousandths of a percent of all. */
static int64_t needed_of(weight total, uint32_t percent)
{
    assert(percent > 0 && percent < ALL_PERCENT);
    assert(total > 0 && total <= INT64_MAX);
    const weight all = (weight)ALL_PERCENT, product = total * (weight)percent;
    return (int64_t)((product + all - (weight)1) / all);
}

/* The first bucket of a histogram at which the needed weight is reached. */
static int32_t bucket_in_one(const struct encoded *encoded, int64_t needed)
{
    assert(needed > 0 && (weight)needed <= encoded->span.total);
    int64_t running = 0;
    struct reader reader = read_histogram(encoded->bytes, encoded->length);
    while (running < needed && next_entry(&reader))
        running += (int64_t)reader.weight;
    assert(running >= needed);
    return reader.bucket;
}

/* The same in the sum of several. Returns 0, or -1 without memory. */
static int bucket_in_sum(
    const struct encoded *all, size_t count, const struct span *span, int64_t needed, int64_t *bucket)
{
    assert(count > 1 && needed > 0);
    struct sum sum;
    if (open_sum(&sum, span->first, span->last))
        return -1;
    for (size_t index = 0; index < count; index++)
        add_histogram(&sum, all[index].bytes, all[index].length);
    int64_t running = 0;
    int32_t at = span->first - 1;
    while (running < needed) {
        assert(at < span->last);
        running += (int64_t)sum.weights[++at - span->first];
    }
    assert(running >= needed && at >= span->first);
    free_sum(&sum);
    *bucket = at;
    return 0;
}

/* Fills in the weight of the histograms of a window, and the bucket of its rank. Returns 0, or -1 with an exception set. */
static int rank(const struct encoded *all, size_t count, uint32_t percent, int64_t *total, int64_t *bucket)
{
    assert(count > 0);
    struct span span = all[0].span;
    for (size_t index = 1; index < count; index++) {
        const struct span *other = &all[index].span;
        span.total += span.total > INT64_MAX ? 0 : other->total; /* so that it fits, whatever they weigh */
        span.first = other->first < span.first ? other->first : span.first;
        span.last = other->last > span.last ? other->last : span.last;
    }
    if (span.total > INT64_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a weight has more than 63 bits");
        return -1;
    }
    *total = (int64_t)span.total;
    int64_t needed = needed_of(span.total, percent);
    if (count == 1)
        *bucket = bucket_in_one(all, needed);
    else if (bucket_in_sum(all, count, &span, needed, bucket)) {
        PyErr_NoMemory();
        return -1;
    }
    assert(*bucket >= span.first && *bucket <= span.last);
    return 0;
}

/* Makes the arrays of the weights and of the buckets. ``counts`` says how many histograms each window has. */
static PyObject *ranks_of(const struct encoded *all, const int64_t *counts, size_t windows, uint32_t percent)
{
    assert(!PyErr_Occurred());
    int64_t *numbers = PyMem_Malloc(sizeof *numbers * 2 * (windows ? windows : 1));
    if (numbers == NULL)
        return PyErr_NoMemory();
    PyObject *made = NULL;
    size_t window = 0;
    for (; window < windows; all += counts[window++])
        if (rank(all, (size_t)counts[window], percent, &numbers[window], &numbers[windows + window]))
            break;
    Py_ssize_t size = (Py_ssize_t)(windows * sizeof *numbers);
    const char *bytes = (const char *)numbers;
    if (window == windows)
        made = Py_BuildValue("(y#y#)", bytes, size, bytes + size, size);
    assert(made || PyErr_Occurred());
    PyMem_Free(numbers);
    return made;
}

/* Whether each window has a histogram, and all together have so many. */
static int are_counts(const int64_t *counts, size_t windows, size_t all)
{
    assert(counts != NULL || windows == 0);
    for (size_t window = 0; window < windows; window++) {
        if (counts[window] <= 0 || (uint64_t)counts[window] > all)
            return 0;
        all -= (size_t)counts[window];
    }
    return all == 0;
}

PyObject *rank_histograms(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    PyObject *list, *sizes;
    int percent;
    size_t count;
    if (!PyArg_ParseTuple(arguments, "OSi", &list, &sizes, &percent))
        return NULL;
    if (percent <= 0 || percent >= ALL_PERCENT)
        return PyErr_Format(PyExc_ValueError, "the percent must be above 0 and below %d thousandths", ALL_PERCENT);
    struct encoded *all = all_of(list, &count);
    if (all == NULL)
        return NULL;
    assert(percent < ALL_PERCENT && !PyErr_Occurred());
    size_t windows = (size_t)PyBytes_Size(sizes) / sizeof(int64_t);
    int64_t *counts = PyMem_Malloc(windows ? windows * sizeof *counts : 1);
    PyObject *made = NULL;
    if (counts == NULL)
        PyErr_NoMemory();
    else {
        memcpy(counts, PyBytes_AsString(sizes), windows * sizeof *counts);
        if (are_counts(counts, windows, count))
            made = ranks_of(all, counts, windows, (uint32_t)percent);
        else
            PyErr_SetString(PyExc_ValueError, "each window has at least one of the histograms, and each is of one window");
    }
    assert(made || PyErr_Occurred());
    PyMem_Free(counts);
    PyMem_Free(all);
    return made;
}

/* Histograms for Python: functions for the modules of both cores. Encoded histograms come as ``bytes`` or ``bytearray``.
 * Each returns a new reference, or NULL with an exception set: ValueError for what protocol.histogram.decode refuses. */
#ifndef FIESTA_HISTOGRAMS_H
#define FIESTA_HISTOGRAMS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

/* Makes a Python integer of any number of 128 bits. */
PyObject *long_of(__int128 number);

/* Takes one encoded histogram. Returns its weight in units, its first and its last bucket. */
PyObject *span_of_histogram(PyObject *self, PyObject *encoded);

/* Takes a list of at least one. Returns the bytes of their sum. ValueError also when it weighs more than MAX_WEIGHT. */
PyObject *merge_histograms(PyObject *self, PyObject *list);

/* Takes a list. Returns three arrays of 64-bit integers as bytes, with a number per entry of a histogram: its place in
 * the list, its bucket, its weight in units. OverflowError when a weight has more than 63 bits. */
PyObject *decode_histograms(PyObject *self, PyObject *list);

/* Takes a list, how many of it follow each other for each window (64-bit integers as bytes), and a percent in
 * thousandths, above 0 and below 100 percent. Returns two arrays as above, with a number per window: the weight of its
 * histograms in units, and the bucket that holds their sample of that rank. */
PyObject *rank_histograms(PyObject *self, PyObject *arguments);

#endif

/* Reads the histograms of an hour's minutes out of one row of MySQL: central/store/mysql/packed.py says how they lie there. */
#ifndef FIESTA_PACKED_H
#define FIESTA_PACKED_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

/* Takes a list of packed hours as bytes. Returns two arrays of 64-bit integers as bytes, with how many minutes each hour
 * has and with each minute's number, and the list of the minutes' histograms. NULL with ValueError for bytes that are not
 * packed, and with TypeError for what is no list of bytes. */
PyObject *unpack_minutes(PyObject *module, PyObject *list);

#endif

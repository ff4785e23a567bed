/* What was counted up to one moment, as a Python iterator. It is made in one step and gives one series at a time. If
 * there is no memory to give a series, that series stays the next one. */
#ifndef FIESTA_SUMS_H
#define FIESTA_SUMS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "table.h"

/* Makes a type from its description. Returns a new reference, or NULL with an exception set. */
PyObject *type_of(PyType_Spec *type_spec);

/* Makes the type of the iterators. Returns a new reference, or NULL with an exception set. */
PyObject *sums_type(void);

/* Leaves what waits of gauges, and copies the sums of all touched series, in the order of their first lines. Returns a new
 * reference, or NULL with an exception set. The table still owns the buckets and the members. No other code runs from the
 * first read of the table on. */
PyObject *sums_of(PyObject *type, struct table *table);

/* Says that the buckets and the members now belong to the iterator, and no longer to the table. */
void sums_take_over(PyObject *sums, struct table *table);

#endif

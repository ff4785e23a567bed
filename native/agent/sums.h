/* What was counted up to one moment, as a Python iterator: made in one step, looked at a series at a time. If there is no memory
 * to give a series, that series stays the next one. */
#ifndef FIESTA_SUMS_H
#define FIESTA_SUMS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "table.h"

/* A type made from its description; a new reference, or NULL with an exception set. */
PyObject *type_of(PyType_Spec *type_spec);

/* The type of the iterators; a new reference, or NULL with an exception set. */
PyObject *sums_type(void);

/* The sums of all touched series, in the order of their first lines; a new reference, or NULL with an exception set.
 * The table stays as it is. No other code runs once the table is being looked at. */
PyObject *sums_of(PyObject *type, const struct table *table);

#endif

/* The thread that reads a socket and counts what comes. */
#ifndef FIESTA_SERVE_H
#define FIESTA_SERVE_H

#include "core.h"

/* Serves a socket until it is told to stop; see core.pyi. */
PyObject *core_serve(PyObject *object, PyObject *args);

#endif

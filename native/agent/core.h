/* The object that Python has: the table, the journal of what was read, and what a thread shares. Only data. */
#ifndef FIESTA_CORE_H
#define FIESTA_CORE_H

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "journal.h"
#include "mirror.h"
#include "table.h"

#include <pthread.h>
#include <sys/socket.h>

/* Lines that were left together: when they were read, where they end, and who sent them, where that is known. */
struct part {
    int64_t stamp;
    size_t end;
    socklen_t sender_length;
    struct sockaddr_storage sender;
};

/* What a thread has read since the start. Only it writes these; all read them. */
struct served {
    uint64_t packets, bytes, errors, faults;
};

/* What the thread of a core and the other threads share. A thread that wants to come in waits at the door first, so that
 * nobody who comes again and again keeps others out. */
struct shared {
    pthread_mutex_t door, inside;
    int serving; /* whether a thread serves a socket. Changes only with the interpreter's lock */
    int held; /* how often the main thread holds the core. Changes only with the interpreter's lock */
    int signalled; /* the eventfd was written, and the main thread has not asked yet what it must do */
    struct served served;
};

typedef struct {
    PyObject_HEAD
    struct table table;
    PyObject *learn;
    PyObject *sums_type;
    char *packets; /* room for PACKETS datagrams, or for their records; made by the first read or journal that needs it */
    int counting;
    struct journal journal;
    Py_buffer map; /* holds the journal's memory; its ``obj`` is NULL without one */
    PyObject *make_room;
    struct shared shared;
    int stamping; /* whether parts of what is left are kept apart, by when they were read */
    struct part *parts;
    size_t parts_count, parts_room;
    const struct msghdr *counted; /* the datagram that is counted now, where its sender is known */
    uint32_t learned; /* series before this one have a meaning */
    struct series *forgotten; /* series of which only the meanings are still to be released; NULL for none */
    uint32_t forgotten_count;
    struct mirror mirror;
    int senders; /* of how many more datagrams with lines that are left the sender is kept */
} Core;

#endif

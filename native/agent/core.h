/* The object that Python has: the table, and the journal of what was read. */
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

enum {
    CREDENTIALS = 3 * sizeof(int), /* process, user and group */
    READ_NEEDS = PACKETS * (RECORD_HEAD + MAX_DATAGRAM) + STAMP_RECORD, /* room in the journal for one read */
};

struct sender {
    struct sockaddr_storage address;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CREDENTIALS)];
};

struct batch {
    struct iovec places[PACKETS];
    struct mmsghdr own[PACKETS]; /* used while nothing is kept */
    struct mmsghdr *messages;
    int64_t stamp; /* when it was read: nanoseconds of CLOCK_MONOTONIC, 0 where nobody asks for it */
    int received, fault;
};

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
    char *packets; /* room for PACKETS datagrams, made by the first read without a journal */
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
    struct mirror mirror;
    int senders; /* of how many more datagrams with lines that are left the sender is kept */
} Core;

/* Returns -1 and sets an exception while ``learn`` runs, or while a thread serves a socket and the caller does not hold
 * the core. The table and the room for datagrams must not change then. */
int refuse_reentry(const Core *self);

/* Counts lines. Returns -1 with an exception set when ``learn`` failed or there was no memory. ``stamp`` is when they were
 * read, or 0. */
int count(Core *self, const char *text, size_t length, int64_t stamp);

/* The same, without Python: the caller has no lock of the interpreter. Returns -1 when there was no memory. ``sender`` may
 * be NULL. */
int count_alone(Core *self, const char *text, size_t length, int64_t stamp, const struct msghdr *sender);

/* The note of the table: keeps when the lines were read that were left since the last note. */
void note_left(void *context, int64_t stamp);

/* The stamp of this moment, or 0 where nobody asks for it. */
int64_t stamp_of_now(const Core *self);

/* Gives a new core its locks and its first part. Returns -1 with an exception set. */
int begin_sharing(Core *self);
void end_sharing(Core *self);

/* Whether the journal has no room for one read, and whether it will soon have none and the main thread does not know. */
int lacks_room(const Core *self);
int runs_low(const Core *self);

/* The learn_fn of the table: asks ``learn`` in Python. */
int64_t ask(void *context, const char *name, size_t name_length, const char *tail, size_t tail_length, void **meaning,
    enum form *form);

/* Gives room for datagrams outside of a journal. Returns -1 when there is no memory. */
int make_packets(Core *self);

/* Reads at most ``limit`` datagrams into the journal, or into memory while nothing is kept. ``senders`` may be NULL.
 * Returns -1 with an exception set; never where there is room in the journal, and for packets. */
int read_batch(Core *self, int fd, int limit, unsigned kind, struct sender *senders, struct batch *batch);

/* The methods that read datagrams and keep what was read; see core.pyi. */
PyObject *core_read(PyObject *object, PyObject *args);
PyObject *core_receive(PyObject *object, PyObject *args);
PyObject *core_open_journal(PyObject *object, PyObject *args);
PyObject *core_aim_journal(PyObject *object, PyObject *args);
PyObject *core_finish_journal(PyObject *object, PyObject *none);
PyObject *core_close_journal(PyObject *object, PyObject *none);
PyObject *core_keep(PyObject *object, PyObject *args);

/* The methods of a core that a thread serves. */
PyObject *core_serve(PyObject *object, PyObject *args);
PyObject *core_hold(PyObject *object, PyObject *none);
PyObject *core_let_go(PyObject *object, PyObject *none);
PyObject *core_wants(PyObject *object, PyObject *none);
PyObject *core_served(PyObject *object, PyObject *none);
PyObject *core_teach(PyObject *object, PyObject *args);
PyObject *core_stamp(PyObject *object, PyObject *args);
PyObject *core_parts(PyObject *object, PyObject *none);
PyObject *core_mirror(PyObject *object, PyObject *args);

/* Releases the journal's memory, if there is a journal. */
void close_journal(Core *self);

#endif

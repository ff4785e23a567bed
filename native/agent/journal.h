/* The journal of what was read in the open window, in the map of a file. agent/journal/layout.py has the same layout.
 *
 * A kill can come between any two instructions, so each change is made by one aligned store, its last. The kernel reads
 * datagrams into the slots of the map and writes their lengths beside them. ``begin`` says before the read where they
 * will be appended; as long as nothing was appended there, the datagrams in the slots are not in yet, and the next
 * start appends them. Many records at once are written by pwrite: the first store into each page of a map costs a fault,
 * again after each time that the kernel has written the page out. Knows nothing of Python.
 *
 * A record has a head of eight bytes: its length with its kind in the highest byte, and a check of the record. The check
 * is over the bytes, the head, the offset and the window's generation, so that neither damage nor what an earlier window
 * has left in the same place is ever taken for a record. A number of a word of its own stands in the lower half of the
 * word, and its complement in the upper half. */
#ifndef FIESTA_JOURNAL_H
#define FIESTA_JOURNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    PACKETS = 64, /* datagrams per read */
    MAX_DATAGRAM = 65536, /* more than any UDP datagram holds */
    STRIDE = MAX_DATAGRAM + 832, /* not a power of two, so that the datagrams do not share the same cache lines */
    RECORD_HEAD = 8, /* bytes before each record */
    MAX_RECORD = (1 << 24) - 1,
    CUT = 2, /* the kind of a datagram that was longer than MAX_DATAGRAM */
    STAMP = 16, /* the kind of a record that says when those after it were read */
    STAMP_RECORD = RECORD_HEAD + 8, /* bytes of such a record */
    JOURNAL_MESSAGES = 4096, /* where the kernel writes the lengths */
    JOURNAL_SLOTS = 32768,
    JOURNAL_RECORDS = JOURNAL_SLOTS + PACKETS * STRIDE,
    JOURNAL_WORDS = 512, /* words of 64 bits at the beginning of the map */
    STAGING = PACKETS * STRIDE, /* bytes of room for the records of one read */
    BY_WRITE = 8192, /* bytes of records for which pwrite pays */
};

struct journal {
    char *map; /* NULL without a journal */
    int fd; /* of the file in the map, or -1: then records are written into the map */
    int64_t first; /* where the map begins in the file */
    char *staging; /* STAGING bytes, where records are made that are written together */
    uint64_t *end; /* the word that says where the next record goes, after the one of the window's generation; NULL while
                      nothing is kept */
    uint64_t room; /* where the room for records ends */
    int low; /* it was said already that this room will not last */
};

/* Whether records of so many bytes, heads included, can be kept. */
int journal_has_room(const struct journal *journal, size_t bytes);

/* Appends one record, and before it one of its stamp, unless that is 0. There must be room for both. */
void journal_append(struct journal *journal, unsigned kind, const char *text, size_t length, int64_t stamp);

/* Say before a read that ``count`` datagrams of one kind may come into the slots. Their lengths must be 0. There must be
 * room for them and a stamp; with a stamp of 0 they get none. */
void journal_begin(struct journal *journal, unsigned kind, int count, int64_t stamp);

/* Appends the datagrams in the slots. */
void journal_commit(struct journal *journal);

/* Appends the datagrams that a killed process has left in the slots. Returns -1 when the map is not what we wrote. */
int journal_finish(struct journal *journal);

/* Where the records of a window end: whole and unchanged ones that follow each other from ``first``, up to ``room``. */
uint64_t journal_end_of(const char *map, uint64_t first, uint64_t room, uint64_t generation);

#endif

/* Hands datagrams on to another daemon. Nothing waits for it: see agent/receive/mirror.py. Knows nothing of Python. */
#ifndef FIESTA_MIRROR_H
#define FIESTA_MIRROR_H

#include <stddef.h>
#include <stdint.h>

enum mirrored { SENT, REFUSED, BUFFER_FULL, TOO_LONG, FAILED, NO_SOCKET, MIRRORED };

enum { NO_MIRROR = -2, NOT_OPEN = -1 }; /* in the place of a descriptor */

struct mirror {
    int fd; /* of a connected socket that does not wait, NOT_OPEN, or NO_MIRROR */
    int64_t counts[MIRRORED]; /* datagrams; a refused one was counted as sent before */
};

/* Hands one datagram on, or counts why not. */
void hand_on(struct mirror *mirror, const char *bytes, size_t length);

#endif

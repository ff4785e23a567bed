/* The different members of sets, and how often each came. Knows nothing of Python. */
#ifndef FIESTA_MEMBERS_H
#define FIESTA_MEMBERS_H

#include <stddef.h>
#include <stdint.h>

enum {
    LONGEST_MEMBER = 64, /* bytes; of a longer one Python keeps a digest */
    MAX_MEMBERS = 1 << 17, /* of all sets together, between two takes */
};

struct member {
    uint32_t hash;
    uint32_t set; /* the index of its series */
    uint32_t text; /* offset in the texts */
    uint32_t next; /* index + 1 of the set's next member, 0 for none */
    uint32_t times;
    uint32_t length;
};

struct members {
    struct member *all;
    uint32_t count, room;
    uint32_t *slots; /* index + 1, 0 for none; a power of two of them, at most half in use */
    char *texts;
    size_t texts_length, texts_room;
};

/* The members of one set, in the order of their first lines. */
struct set {
    uint32_t first, last; /* index + 1 */
};

/* Counts a member once more. ``index`` is that of the set's series. Returns 1, 0 when it is new and there is no room for
 * it, -1 when there is no memory; only on 1 anything has changed. */
int count_member(
    struct members *members, struct set *set, uint32_t index, const char *text, size_t length, uint64_t seed);

/* Frees the memory. */
void free_members(struct members *members);

#endif

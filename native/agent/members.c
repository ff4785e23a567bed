#include "members.h"

#include "bytes.h"

enum {
    FIRST_MEMBERS = 256,
    MEMBER_SLOTS = 2, /* per member */
};

static_assert((MAX_MEMBERS & (MAX_MEMBERS - 1)) == 0 && MAX_MEMBERS % FIRST_MEMBERS == 0, "rooms double up to the last");
static_assert((uint64_t)MAX_MEMBERS * LONGEST_MEMBER <= UINT32_MAX, "a member holds the place of its text");

static int grow_members(struct members *members)
{
    assert(members->count == members->room);
    assert(members->room < MAX_MEMBERS);
    uint32_t room = members->room ? members->room * 2 : FIRST_MEMBERS, mask = room * MEMBER_SLOTS - 1;
    uint32_t *slots = calloc((size_t)room * MEMBER_SLOTS, sizeof *slots);
    if (slots == NULL || grow((void **)&members->all, room * sizeof *members->all)) {
        free(slots);
        return -1;
    }
    for (uint32_t index = 0; index < members->count; index++) {
        uint32_t slot = members->all[index].hash & mask;
        while (slots[slot])
            slot = (slot + 1) & mask;
        slots[slot] = index + 1;
    }
    free(members->slots);
    members->slots = slots;
    members->room = room;
    assert(members->count < members->room);
    return 0;
}

static int grow_texts(struct members *members, size_t length)
{
    assert(length <= LONGEST_MEMBER);
    assert(members->texts_length <= members->texts_room);
    size_t room = members->texts_room ? members->texts_room : FIRST_MEMBERS * 8;
    while (room < members->texts_length + length)
        room *= 2;
    if (room > members->texts_room && grow((void **)&members->texts, room))
        return -1;
    members->texts_room = room;
    assert(members->texts_length + length <= members->texts_room);
    return 0;
}

/* Adds a new member to the end of its set. The slot for it is free. */
static int add_member(
    struct members *members, struct set *set, struct member new, const char *text, uint32_t slot)
{
    assert(members->count < members->room && members->slots[slot] == 0);
    assert((set->first == 0) == (set->last == 0));
    if (grow_texts(members, new.length))
        return -1;
    new.text = (uint32_t)members->texts_length;
    memcpy(members->texts + members->texts_length, text, new.length);
    members->texts_length += new.length;
    members->all[members->count++] = new;
    members->slots[slot] = members->count;
    if (set->last)
        members->all[set->last - 1].next = members->count;
    else
        set->first = members->count;
    set->last = members->count;
    assert(members->all[set->last - 1].next == 0);
    return 1;
}

int count_member(struct members *members, struct set *set, uint32_t index, const char *text, size_t length, uint64_t seed)
{
    assert(length >= 1 && length <= LONGEST_MEMBER);
    assert(set->first <= members->count && set->last <= members->count);
    uint32_t hash = (uint32_t)(hash_bytes(text, length, seed + index) >> 32), slot = 0, found;
    if (members->room) {
        uint32_t mask = members->room * MEMBER_SLOTS - 1;
        for (slot = hash & mask; (found = members->slots[slot]) != 0; slot = (slot + 1) & mask) {
            struct member *member = &members->all[found - 1];
            if (member->hash == hash && member->set == index && member->length == length
                && same(members->texts + member->text, text, length)) {
                member->times++;
                return 1;
            }
        }
    }
    if (members->count == members->room) {
        if (members->room == MAX_MEMBERS)
            return 0;
        if (grow_members(members))
            return -1;
        uint32_t mask = members->room * MEMBER_SLOTS - 1;
        for (slot = hash & mask; members->slots[slot];)
            slot = (slot + 1) & mask;
    }
    struct member new = {.hash = hash, .set = index, .times = 1, .length = (uint32_t)length};
    return add_member(members, set, new, text, slot);
}

void free_members(struct members *members)
{
    assert(members->count <= members->room);
    free(members->all);
    free(members->slots);
    free(members->texts);
    *members = (struct members){0};
    assert(members->all == NULL);
}

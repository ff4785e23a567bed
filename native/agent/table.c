#include "table.h"

#include "bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SERIES = 1 << 17,
    MAX_KEYS = 16 << 20,
    FIRST_SERIES = 256,
};

static_assert(MAX_KEY <= UINT16_MAX && MAX_KEYS <= UINT32_MAX, "a series holds its lengths and its place");
static_assert((MAX_SERIES & (MAX_SERIES - 1)) == 0 && MAX_SERIES % FIRST_SERIES == 0, "rooms double up to the last");

static int grow_series(struct table *table)
{
    assert(table->series_count == table->series_room);
    assert(table->series_room < MAX_SERIES);
    uint32_t room = table->series_room ? table->series_room * 2 : FIRST_SERIES;
    uint32_t *slots = calloc((size_t)room * SLOTS, sizeof *slots);
    if (slots == NULL || grow((void **)&table->series, room * sizeof *table->series)
        || grow((void **)&table->touched, room * sizeof *table->touched)) {
        free(slots);
        return -1;
    }
    free(table->slots);
    table->slots = slots;
    table->slot_count = room * SLOTS;
    table->series_room = room;
    for (uint32_t index = 0; index < table->series_count; index++) {
        uint32_t slot = (uint32_t)table->series[index].hash & (table->slot_count - 1);
        while (slots[slot])
            slot = (slot + 1) & (table->slot_count - 1);
        slots[slot] = index + 1;
    }
    assert((table->slot_count & (table->slot_count - 1)) == 0);
    return 0;
}

static int grow_keys(struct table *table, size_t length)
{
    assert(length <= MAX_KEY && table->keys_length + length <= MAX_KEYS);
    size_t room = table->keys_room ? table->keys_room : 1 << 14;
    while (room < table->keys_length + length)
        room *= 2;
    if (room > table->keys_room && grow((void **)&table->keys, room))
        return -1;
    table->keys_room = room;
    assert(table->keys != NULL && table->keys_length + length <= table->keys_room);
    return 0;
}

struct series *make_series(struct table *table, uint64_t hash, const char *name, size_t name_length,
    const char *tail, size_t tail_length, int *failed)
{
    assert(failed != NULL && !*failed);
    size_t length = name_length + tail_length;
    if (table->full || table->to_learn == 0 || length > MAX_KEY)
        return NULL;
    if (table->series_count == MAX_SERIES || table->keys_length + length > MAX_KEYS) {
        table->full = 1;
        return NULL;
    }
    if ((table->series_count == table->series_room && grow_series(table)) || grow_keys(table, length)) {
        *failed = 1;
        return NULL;
    }
    struct series new = {.hash = hash, .key = (uint32_t)table->keys_length, .name_length = (uint16_t)name_length,
        .tail_length = (uint16_t)tail_length};
    int64_t limit
        = table->learn(table->context, name, name_length, tail, tail_length, &new.meaning, &new.form);
    if (limit < 0) {
        *failed = 1;
        return NULL;
    }
    table->to_learn--;
    assert(limit <= MAX_LIMIT && (limit == 0 || new.meaning != NULL));
    assert(table->series_count < table->series_room); /* learn may do anything but count */
    new.limit = (wide)limit * POWERS[MAX_DECIMALS];
    memcpy(table->keys + new.key, name, name_length);
    memcpy(table->keys + new.key + name_length, tail, tail_length);
    table->keys_length += length;
    uint32_t slot = (uint32_t)hash & (table->slot_count - 1);
    while (table->slots[slot])
        slot = (slot + 1) & (table->slot_count - 1);
    table->series[table->series_count] = new;
    table->slots[slot] = ++table->series_count;
    return &table->series[table->series_count - 1];
}

int leave(struct table *table, const char *line, size_t length)
{
    assert(line != NULL && length > 0);
    if (table->left_length + length + 1 > table->left_room) {
        size_t room = (table->left_room + length + 1) * 2;
        if (grow((void **)&table->left, room))
            return -1;
        table->left_room = room;
    }
    assert(table->left != NULL && table->left_length + length < table->left_room);
    memcpy(table->left + table->left_length, line, length);
    table->left_length += length;
    table->left[table->left_length++] = '\n';
    return 0;
}

void table_reset(struct table *table)
{
    assert(table->touched_count <= table->series_count);
    for (uint32_t index = 0; index < table->touched_count; index++) {
        struct series *series = &table->series[table->touched[index]];
        assert(table->touched[index] < table->series_count);
        if (series->form == SET)
            series->set = (struct set){0};
        else if (series->form == GAUGE || series->form == SIGNED_GAUGE)
            series->gauge = (struct gauge){0};
        series->lines = 0;
        series->buckets = (struct buckets){0};
    }
    assert(table->waiting_count == 0 && table->members.count == 0);
    table->touched_count = 0;
    table->left_length = 0;
    table->buckets_bytes = 0;
}

void table_free_buckets(struct table *table)
{
    assert(table->series != NULL || table->series_count == 0);
    for (uint32_t index = 0; index < table->series_count; index++)
        free_buckets(&table->series[index].buckets);
    table->buckets_bytes = 0;
    assert(table->buckets_bytes == 0);
}

void table_empty(struct table *table)
{
    assert(table->touched_count <= table->series_room);
    free(table->series);
    free(table->slots);
    free(table->keys);
    free(table->touched);
    free(table->waiting);
    free_members(&table->members);
    table->waiting = NULL;
    table->waiting_count = table->last_order = 0;
    table->series = NULL;
    table->slots = NULL;
    table->keys = NULL;
    table->touched = NULL;
    table->series_count = table->series_room = table->slot_count = table->touched_count = 0;
    table->keys_length = table->keys_room = 0;
    table->full = 0;
    assert(table->slots == NULL && table->slot_count == 0);
}

void table_free(struct table *table)
{
    assert(table->left_length <= table->left_room);
    table_empty(table);
    free(table->left);
    table->left = NULL;
    table->left_length = table->left_room = 0;
    assert(table->series == NULL && table->touched_count == 0);
}

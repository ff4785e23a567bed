#include "gauges.h"

#include "bytes.h"

static int by_order(const void *one, const void *other)
{
    uint64_t a, b;
    memcpy(&a, one, sizeof a);
    memcpy(&b, other, sizeof b);
    assert(a != b);
    return a < b ? -1 : 1;
}

int let_wait(struct table *table, struct series *series, const char *text, size_t length)
{
    struct gauge *gauge = &series->gauge;
    assert(length >= 1 && length <= LONGEST_NUMBER);
    assert(table->waiting_count <= MAX_WAITING);
    if (table->waiting == NULL && grow((void **)&table->waiting, MAX_WAITING * sizeof *table->waiting))
        return -1;
    int full = table->waiting_count == MAX_WAITING && gauge->order == 0;
    if ((full || table->last_order == UINT32_MAX) && leave_gauges(table))
        return -1;
    if (gauge->order == 0)
        table->waiting[table->waiting_count++] = (uint64_t)(series - table->series);
    gauge->order = ++table->last_order;
    gauge->stamp = table->stamp;
    gauge->length = (uint8_t)length;
    memcpy(gauge->text, text, length);
    assert(table->waiting_count > 0);
    return 0;
}

/* Leaves the line that waits of a gauge. */
static int leave_last(struct table *table, struct series *series)
{
    struct gauge *gauge = &series->gauge;
    char line[MAX_KEY + LONGEST_NUMBER + 2], *at = line;
    const char *key = table->keys + series->key;
    assert(gauge->order > 0 && series->name_length + series->tail_length <= MAX_KEY);
    memcpy(at, key, series->name_length);
    at += series->name_length;
    *at++ = ':';
    memcpy(at, gauge->text, gauge->length);
    at += gauge->length;
    *at++ = '|';
    memcpy(at, key + series->name_length, series->tail_length);
    at += series->tail_length;
    if (leave(table, line, (size_t)(at - line)))
        return -1;
    gauge->order = 0;
    gauge->left++;
    assert(gauge->left <= series->lines);
    return 0;
}

/* Puts those that wait into the order of their lines. Often they are in order. */
static void sort_waiting(struct table *table)
{
    int sorted = 1;
    assert(table->waiting_count > 0);
    for (uint32_t at = 0; at < table->waiting_count; at++) {
        uint64_t index = table->waiting[at] & UINT32_MAX;
        assert(index < table->series_count);
        table->waiting[at] = (uint64_t)table->series[index].gauge.order << 32 | index;
        sorted &= at == 0 || table->waiting[at - 1] < table->waiting[at];
    }
    if (!sorted)
        qsort(table->waiting, table->waiting_count, sizeof *table->waiting, by_order);
}

int leave_gauges(struct table *table)
{
    assert(table->waiting_count <= MAX_WAITING);
    if (table->waiting_count == 0)
        return 0;
    sort_waiting(table);
    uint32_t done = 0;
    int64_t stamp = table->stamp; /* of the lines that were left before */
    int result = 0;
    for (; done < table->waiting_count; done++) {
        struct series *series = &table->series[table->waiting[done] & UINT32_MAX];
        if (series->gauge.stamp != stamp)
            table->note(table->context, stamp);
        stamp = series->gauge.stamp;
        if ((result = leave_last(table, series)))
            break;
    }
    table->note(table->context, stamp);
    table->waiting_count -= done;
    memmove(table->waiting, table->waiting + done, table->waiting_count * sizeof *table->waiting);
    if (table->waiting_count == 0)
        table->last_order = 0;
    assert(result == 0 || table->waiting_count > 0);
    return result;
}

int may_change_gauges(const char *line, size_t length)
{
    assert(line != NULL);
    assert(length > 0);
    const char *end = line + length;
    for (const char *bar = line; (bar = memchr(bar, '|', (size_t)(end - bar))) != NULL; bar++)
        if (end - bar > 1 && bar[1] == 'g')
            return 1;
    return 0;
}

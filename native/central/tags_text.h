/* Tags as the object of an item, and as their text. The rules are those of protocol/tags.py. Knows nothing of Python. */
#ifndef FIESTA_TAGS_TEXT_H
#define FIESTA_TAGS_TEXT_H

#include <stddef.h>

enum { MAX_TAGS = 20, MAX_TAG_KEY = 64, MAX_TAG_VALUE = 200, MAX_TAGS_TEXT = MAX_TAGS * (MAX_TAG_KEY + MAX_TAG_VALUE + 2) };

/* A key and its value, without quotes, in printable ASCII. */
struct tag {
    const char *key;
    int key_length;
    const char *value;
    int value_length;
};

/* Whether the key and the value keep the rules. */
int is_tag(const struct tag *tag);

/* Whether the key of ``next`` comes after that of ``tag``. */
int comes_after(const struct tag *tag, const struct tag *next);

/* Writes the text of tags, which are valid and sorted. ``object`` is what stands between the braces of their object.
 * Returns the length of the text; 0 for no tags. */
size_t write_tags(const char *object, size_t length, char text[MAX_TAGS_TEXT]);

#endif

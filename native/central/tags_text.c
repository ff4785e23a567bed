#include "tags_text.h"

#include <assert.h>
#include <string.h>

static int may_begin_key(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static int is_tag_key(const char *text, int length)
{
    assert(text != NULL && length >= 0);
    if (length == 0 || length > MAX_TAG_KEY || !may_begin_key(*text))
        return 0;
    for (int index = 1; index < length; index++) {
        char byte = text[index];
        if (!may_begin_key(byte) && !(byte >= '-' && byte <= '9')) /* these are - . / and digits */
            return 0;
    }
    return 1;
}

int is_tag(const struct tag *tag)
{
    assert(tag->key != NULL && tag->value != NULL);
    assert(tag->value_length >= 0);
    if (!is_tag_key(tag->key, tag->key_length) || tag->value_length > MAX_TAG_VALUE)
        return 0;
    for (int index = 0; index < tag->value_length; index++) {
        char byte = tag->value[index];
        assert(byte >= ' ' && byte < 127 && byte != '"');
        if (byte == ',' || byte == '|' || byte == '=' || byte == ';')
            return 0;
    }
    return 1;
}

int comes_after(const struct tag *tag, const struct tag *next)
{
    assert(tag->key != NULL && next->key != NULL);
    int shorter = tag->key_length < next->key_length ? tag->key_length : next->key_length;
    assert(shorter >= 0);
    int order = memcmp(tag->key, next->key, (size_t)shorter);
    return order < 0 || (order == 0 && tag->key_length < next->key_length);
}

size_t write_tags(const char *object, size_t length, char text[MAX_TAGS_TEXT])
{
    assert(object != NULL && text != NULL);
    size_t made = 0;
    int inside = 0; /* of a string, which holds no quotes */
    for (size_t index = 0; index < length; index++) {
        char byte = object[index];
        if (byte == '"')
            inside = !inside;
        else if (inside || byte == ':' || byte == ',') {
            assert(made < MAX_TAGS_TEXT);
            text[made++] = byte;
        }
    }
    assert(!inside);
    return made;
}

/* Linked into the cores of the tests' build only: makes one allocation fail, of the core itself or of Python, and looks
 * for memory that is lost. The linker sends the core's own malloc, calloc and realloc here (-Wl,--wrap). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <assert.h>
#include <sanitizer/lsan_interface.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
__attribute__((visibility("default"))) long fail_allocation(long nth);
__attribute__((visibility("default"))) int find_leaks(void);

static long left = 0; /* allocations until the one that fails, itself included; 0 lets all succeed */

static int fails(void)
{
    return left > 0 && --left == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

static const PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
static PyMemAllocatorEx before[sizeof domains / sizeof *domains];

static void *python_malloc(void *context, size_t size)
{
    PyMemAllocatorEx *real = context;
    return fails() ? NULL : real->malloc(real->ctx, size);
}

static void *python_calloc(void *context, size_t count, size_t size)
{
    PyMemAllocatorEx *real = context;
    return fails() ? NULL : real->calloc(real->ctx, count, size);
}

static void *python_realloc(void *context, void *old, size_t size)
{
    PyMemAllocatorEx *real = context;
    return fails() ? NULL : real->realloc(real->ctx, old, size);
}

static void python_free(void *context, void *old)
{
    PyMemAllocatorEx *real = context;
    real->free(real->ctx, old);
}

/* Lets the nth allocation from now on fail, 0 for none; how many the one before was still away, 0 when it has failed. */
long fail_allocation(long nth)
{
    assert(nth >= 0);
    for (size_t index = 0; index < sizeof domains / sizeof *domains; index++) {
        if (before[index].malloc != NULL)
            continue;
        PyMem_GetAllocator(domains[index], &before[index]);
        PyMemAllocatorEx failing = {&before[index], python_malloc, python_calloc, python_realloc, python_free};
        PyMem_SetAllocator(domains[index], &failing);
    }
    long away = left;
    left = nth;
    return away;
}

/* Whether there is memory that nothing points to; standard error then says who asked for it. What local variables of
 * Python point to is not lost: their place is the one memory of Python's that does not come from malloc. */
int find_leaks(void)
{
    _PyStackChunk *const last = PyThreadState_Get()->datastack_chunk;
    assert(last != NULL);
    for (_PyStackChunk *chunk = last; chunk != NULL; chunk = chunk->previous)
        __lsan_register_root_region(chunk, chunk->size);
    int found = __lsan_do_recoverable_leak_check();
    for (_PyStackChunk *chunk = last; chunk != NULL; chunk = chunk->previous)
        __lsan_unregister_root_region(chunk, chunk->size);
    return found;
}

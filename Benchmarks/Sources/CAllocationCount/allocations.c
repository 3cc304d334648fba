// Stands before the C library's allocator: an executable's own symbols win over a shared library's. What it counts is
// handed on to glibc's entry points of the same meaning, which have these names beside the standard ones.
#include "facet_allocations.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern int malloc_trim(size_t);

static _Thread_local uint64_t asked;

uint64_t facet_allocations(void) { return asked; }

void facet_give_back_freed(void) { malloc_trim(0); }

void *malloc(size_t bytes) {
    asked++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    asked++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes) {
    asked++;
    return __libc_realloc(block, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    asked++;
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **block, size_t alignment, size_t bytes) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1))) return EINVAL;
    void *found = memalign(alignment, bytes);
    if (!found) return ENOMEM;
    *block = found;
    return 0;
}

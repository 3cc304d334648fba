/// Counts what this process asks the C library's allocator for, thread by thread.
#ifndef FACET_ALLOCATIONS_H
#define FACET_ALLOCATIONS_H

#include <stdint.h>

/// Blocks that this thread has asked for so far, grown ones included.
uint64_t facet_allocations(void);

#endif

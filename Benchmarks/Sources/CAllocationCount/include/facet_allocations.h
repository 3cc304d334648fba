/// Counts what this process asks the C library's allocator for, thread by thread.
#ifndef FACET_ALLOCATIONS_H
#define FACET_ALLOCATIONS_H

#include <stdint.h>

/// Blocks that this thread has asked for so far, grown ones included.
uint64_t facet_allocations(void);

/// Gives what was freed back to the kernel, so that it does not hide what is asked for next.
void facet_give_back_freed(void);

#endif

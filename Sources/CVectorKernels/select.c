#include "facet_kernels.h"

// Sixteen scores are dismissed by one test: once the bound has risen, almost all of them are.
enum { GROUP = 16 };

static size_t select_some(
    const float *scores, size_t from, size_t to, float bound, uint32_t *indices, size_t found) {
    for (size_t i = from; i < to; i++) {
        indices[found] = (uint32_t)i;
        found += scores[i] >= bound;
    }
    return found;
}

size_t facet_select_at_least(const float *scores, size_t count, float bound, uint32_t *indices) {
    size_t found = 0, i = 0;
    for (; i + GROUP <= count; i += GROUP) {
        int any = 0;
        for (size_t j = 0; j < GROUP; j++) any |= scores[i + j] >= bound;
        // A write ahead of `found` never passes `i + GROUP`, so the room of `count` is enough.
        if (any) found = select_some(scores, i, i + GROUP, bound, indices, found);
    }
    return select_some(scores, i, count, bound, indices, found);
}

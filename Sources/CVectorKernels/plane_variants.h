// What the three families of plane kernels share: which variants there are, and how a row's bound is computed.
#ifndef FACET_PLANE_VARIANTS_H
#define FACET_PLANE_VARIANTS_H

#include "facet_planes.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define TARGET_AVX2 __attribute__((target("avx2,popcnt")))
#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx2,popcnt")))

enum { SCALAR, AVX2, AVX512, PLANE_VARIANTS };

// 2 <u_p, Q> - (2^p - 1) total: twice <x_p, Q>, a whole number below 2^24.
ALWAYS_INLINE int32_t doubled(int32_t sum, int planes, int32_t total) {
    return 2 * sum - ((1 << planes) - 1) * total;
}

// The greatest score the row may have. One rounding an operation, in this order, in every variant.
ALWAYS_INLINE float ceiling(int32_t doubled_sum, float factor, float radius, const facet_plane_limit *limit) {
    const float estimate = ((float)doubled_sum * factor) * limit->scale;
    return (estimate + radius * limit->reach) + limit->slack;
}

#endif

// Rows to codes, factors and radii. The body is written once with vectors of eight, whose operations are each rounded
// by themselves whatever the instructions: all variants write the same bytes.
#include <math.h>
#include <string.h>

#include "plane_variants.h"

// Functions with vectors as arguments are all inlined: no call has an ABI.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float float8 __attribute__((vector_size(32)));
typedef float float8_unaligned __attribute__((vector_size(32), aligned(4)));
typedef int32_t int8x32 __attribute__((vector_size(32)));
typedef uint8_t byte8 __attribute__((vector_size(8)));

// Sums of floats stay within nine roundings of the true one: eight terms a lane, then doubles.
enum { RUN = 64, DIM_MAX = 2048, CODE_MID = 8, CODE_MAX = 15, PLANES = FACET_PLANES };

ALWAYS_INLINE double lanes(float8 s) {
    return (((double)s[0] + s[4]) + ((double)s[2] + s[6])) + (((double)s[1] + s[5]) + ((double)s[3] + s[7]));
}

ALWAYS_INLINE float8 splat(float value) { return (float8){value, value, value, value, value, value, value, value}; }

ALWAYS_INLINE float8 load(const float *at) { return *(const float8_unaligned *)at; }

typedef struct {
    double square;
    double fourth;
} moments;

ALWAYS_INLINE moments row_moments(const float *row, size_t dim) {
    moments m = {0, 0};
    for (size_t start = 0; start < dim; start += RUN) {
        float8 square = {0}, fourth = {0};
        const size_t end = start + RUN < dim ? start + RUN : dim;
        for (size_t i = start; i < end; i += 8) {
            const float8 v = load(row + i), s = v * v;
            square += s;
            fourth += s * s;
        }
        m.square += lanes(square);
        m.fourth += lanes(fourth);
    }
    return m;
}

// What the first `planes` planes of eight codes (as floats, 0...15) stand for.
ALWAYS_INLINE float8 middle(float8 codes, int planes) {
    const float cells = (float)(1 << (PLANES - planes));
    return __builtin_elementwise_floor(codes * splat(1 / cells)) + splat(0.5f - (float)(1 << (planes - 1)));
}

ALWAYS_INLINE float8 quantised(const float *at, float inverse_step) {
    const float8 scaled = __builtin_elementwise_floor(load(at) * splat(inverse_step)) + splat(CODE_MID);
    return __builtin_elementwise_min(__builtin_elementwise_max(scaled, splat(0)), splat(CODE_MAX));
}

typedef struct {
    double along;
    double square;
} projection;

ALWAYS_INLINE projection project(const float *row, size_t dim, float inverse_step, int planes) {
    projection p = {0, 0};
    for (size_t start = 0; start < dim; start += RUN) {
        float8 along = {0}, square = {0};
        const size_t end = start + RUN < dim ? start + RUN : dim;
        for (size_t i = start; i < end; i += 8) {
            const float8 x = middle(quantised(row + i, inverse_step), planes);
            along += x * load(row + i);
            square += x * x;
        }
        p.along += lanes(along);
        p.square += lanes(square);
    }
    return p;
}

typedef struct {
    float factor;
    float radius;
} estimate;

// s = n^2 (<x, q> - <w, q>) / <x, o> with x = <x, o> / n^2 o + w: factor n^2 / <x, o>, radius factor * |w|.
ALWAYS_INLINE estimate estimate_of(projection p, double norm_square, int planes, const facet_plane_rules *rules) {
    const estimate none = {0, INFINITY};
    if (!(p.along > 0)) return none;
    const double factor = norm_square / p.along;
    double across = p.square * factor * factor - norm_square;
    if (!(across > 0)) across = 0;
    const float radius = (float)sqrt(across + (double)rules->radius_slack);
    if (!(radius <= rules->radius_max)) return none;
    const float least = rules->radius_min[planes - 1];
    return (estimate){(float)factor, radius < least ? least : radius};
}

// Eight bytes of 0 or 1 to one byte, the first in bit 0.
ALWAYS_INLINE uint8_t packed(uint64_t codes, int shift) {
    return (uint8_t)((((codes >> shift) & 0x0101010101010101u) * 0x0102040810204080u) >> 56);
}

ALWAYS_INLINE float best_step(const float *row, size_t dim, double norm_square, const facet_plane_rules *rules) {
    const double rms = sqrt(norm_square / (double)dim);
    float best = 0;
    double best_cosine = -1;
    for (int s = 0; s < FACET_PLANE_STEPS; s++) {
        const float inverse = (float)(1 / ((double)rules->steps[s] * rms));
        const projection p = project(row, dim, inverse, rules->deciding_planes);
        const double cosine = p.square > 0 ? p.along * p.along / p.square : 0;
        if (cosine <= best_cosine) continue;
        best_cosine = cosine;
        best = inverse;
    }
    return best;
}

ALWAYS_INLINE void encode_row(
    const float *row, size_t dim, size_t number, const facet_plane_layout *layout, const facet_plane_rules *rules,
    const facet_plane_target *target) {
    const size_t groups = dim / 8;
    const moments m = row_moments(row, dim);
    // Written so that a row with a NaN fails.
    const int usable = fabs(m.square - 1) <= (double)rules->norm_tolerance
        && (double)dim * m.fourth <= (double)rules->fourth_moment_max * m.square * m.square;
    const float inverse = usable ? best_step(row, dim, m.square, rules) : 0;
    uint64_t codes[DIM_MAX / 8];
    for (size_t group = 0; group < groups; group++) {
        byte8 eight = {0};
        if (usable)
            eight = __builtin_convertvector(
                __builtin_convertvector(quantised(row + group * 8, inverse), int8x32), byte8);
        memcpy(&codes[group], &eight, sizeof eight);
    }
    uint8_t *column = target->tile + number;
    int planes = 0;
    for (; planes < layout->first; planes++)
        for (size_t group = 0; group < groups; group++, column += FACET_TILE_ROWS)
            *column = packed(codes[group], PLANES - 1 - planes);
    const estimate none = {0, INFINITY};
    const estimate first = usable ? estimate_of(project(row, dim, inverse, planes), m.square, planes, rules) : none;
    float *factors = (float *)(target->tile + (size_t)layout->first * groups * FACET_TILE_ROWS);
    factors[number] = first.factor;
    factors[FACET_TILE_ROWS + number] = first.radius;
    for (int stage = 0; stage < layout->stages; stage++) {
        uint8_t *byte = target->rows[stage] + number * (size_t)layout->planes[stage] * groups;
        for (int i = 0; i < layout->planes[stage]; i++, planes++)
            for (size_t group = 0; group < groups; group++) *byte++ = packed(codes[group], PLANES - 1 - planes);
        const estimate e = usable ? estimate_of(project(row, dim, inverse, planes), m.square, planes, rules) : none;
        target->factors[stage][2 * number] = e.factor;
        target->factors[stage][2 * number + 1] = e.radius;
    }
}

// What surrounds the body decides the instructions.
#define ENCODE                                                                                                       \
    for (size_t number = 0; number < FACET_TILE_ROWS; number++)                                                      \
        encode_row(rows + number * dim, dim, number, layout, rules, target);

static void encode_scalar(
    const float *rows, size_t dim, const facet_plane_layout *layout, const facet_plane_rules *rules,
    const facet_plane_target *target) {
    ENCODE
}

#if defined(__x86_64__)

TARGET_AVX2 static void encode_avx2(
    const float *rows, size_t dim, const facet_plane_layout *layout, const facet_plane_rules *rules,
    const facet_plane_target *target) {
    ENCODE
}

TARGET_AVX512 static void encode_avx512(
    const float *rows, size_t dim, const facet_plane_layout *layout, const facet_plane_rules *rules,
    const facet_plane_target *target) {
    ENCODE
}

#endif

void facet_plane_encode_with(
    int variant, const float *rows, size_t dim, const facet_plane_layout *layout, const facet_plane_rules *rules,
    const facet_plane_target *target) {
#if defined(__x86_64__)
    if (variant == AVX512) return encode_avx512(rows, dim, layout, rules, target);
    if (variant == AVX2) return encode_avx2(rows, dim, layout, rules, target);
#endif
    (void)variant;
    encode_scalar(rows, dim, layout, rules, target);
}

// Which rows of a tile go on by what their planes sum up to.
#include "plane_variants.h"

// What a plane's sums exceed <b, Q> by, over all planes read.
ALWAYS_INLINE int32_t excess(const facet_plane_query *query, int planes) {
    return ((1 << planes) - 1) * query->offset;
}

static size_t select_tile_scalar(
    const facet_plane_query *query, const uint16_t *tile_sums, const float *factors, int planes,
    const facet_plane_limit *limit, uint32_t first, uint32_t *positions, int32_t *sums) {
    size_t found = 0;
    for (uint32_t row = 0; row < FACET_TILE_ROWS; row++) {
        const int32_t sum = (int32_t)tile_sums[row] - excess(query, planes);
        const int32_t twice = doubled(sum, planes, query->total);
        if (ceiling(twice, factors[row], factors[FACET_TILE_ROWS + row], limit) < limit->bound) continue;
        positions[found] = first + row;
        sums[found++] = sum;
    }
    return found;
}

static size_t select_scalar(
    const facet_plane_query *query, const uint16_t *row_sums, const uint8_t *factors, size_t tile_bytes, size_t count,
    int planes, const facet_plane_limit *limit, uint32_t *positions, int32_t *sums) {
    size_t found = 0;
    for (size_t t = 0; t < count; t++)
        found += select_tile_scalar(
            query, row_sums + t * FACET_TILE_ROWS, (const float *)(factors + t * tile_bytes), planes, limit,
            (uint32_t)t * FACET_TILE_ROWS, positions + found, sums + found);
    return found;
}

#if defined(__x86_64__)

#include <immintrin.h>

// How many tiles ahead factors are asked for.
enum { AHEAD_TILES = 3 };

// For each set of eight rows the places of its members, in order: what moves them to the front. A loop over the members
// would be guessed wrong at most steps where a third of the rows goes on.
static uint8_t members[256][8];

__attribute__((constructor)) static void list_members(void) {
    for (int set = 0; set < 256; set++)
        for (int row = 0, found = 0; row < 8; row++)
            if (set >> row & 1) members[set][found++] = (uint8_t)row;
}

// Eight rows a step: `ceiling`, operation for operation.
TARGET_AVX2 ALWAYS_INLINE size_t select_tile_wide(
    const facet_plane_query *query, const uint16_t *tile_sums, const float *factors, int planes,
    const facet_plane_limit *limit, uint32_t first, uint32_t *positions, int32_t *sums) {
    const __m256i over = _mm256_set1_epi32(excess(query, planes));
    const __m256i centre = _mm256_set1_epi32(((1 << planes) - 1) * query->total);
    const __m256 scale = _mm256_set1_ps(limit->scale), reach = _mm256_set1_ps(limit->reach);
    const __m256 slack = _mm256_set1_ps(limit->slack), bound = _mm256_set1_ps(limit->bound);
    size_t found = 0;
    for (uint32_t row = 0; row < FACET_TILE_ROWS; row += 8) {
        const __m128i raw = _mm_loadu_si128((const __m128i *)(tile_sums + row));
        const __m256i sum = _mm256_sub_epi32(_mm256_cvtepu16_epi32(raw), over);
        const __m256 twice = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_slli_epi32(sum, 1), centre));
        const __m256 factor = _mm256_loadu_ps(factors + row);
        const __m256 radius = _mm256_loadu_ps(factors + FACET_TILE_ROWS + row);
        const __m256 estimate = _mm256_mul_ps(_mm256_mul_ps(twice, factor), scale);
        const __m256 top = _mm256_add_ps(_mm256_add_ps(estimate, _mm256_mul_ps(radius, reach)), slack);
        // Not less, so that a bound that is no number lets its row pass.
        const int mask = _mm256_movemask_ps(_mm256_cmp_ps(top, bound, _CMP_NLT_UQ));
        if (!mask) continue;
        const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)members[mask]));
        const __m256i numbers = _mm256_add_epi32(lanes, _mm256_set1_epi32((int)(first + row)));
        // All eight are written; there is room, since no more were found than rows were seen before these.
        _mm256_storeu_si256((__m256i *)(positions + found), numbers);
        _mm256_storeu_si256((__m256i *)(sums + found), _mm256_permutevar8x32_epi32(sum, lanes));
        found += (size_t)__builtin_popcount((unsigned)mask);
    }
    return found;
}

// Also where AVX-512 is there: the choice is bound by what it writes.
TARGET_AVX2 static size_t select_avx2(
    const facet_plane_query *query, const uint16_t *row_sums, const uint8_t *factors, size_t tile_bytes, size_t count,
    int planes, const facet_plane_limit *limit, uint32_t *positions, int32_t *sums) {
    size_t found = 0;
    for (size_t t = 0; t < count; t++) {
        const uint8_t *tile = factors + t * tile_bytes;
        // Factors stand a tile apart, farther than the processor looks ahead.
        for (size_t line = 0; line < FACET_TILE_FACTOR_BYTES; line += 64)
            __builtin_prefetch((const void *)((uintptr_t)tile + AHEAD_TILES * tile_bytes + line));
        found += select_tile_wide(
            query, row_sums + t * FACET_TILE_ROWS, (const float *)tile, planes, limit, (uint32_t)t * FACET_TILE_ROWS,
            positions + found, sums + found);
    }
    return found;
}

#endif

size_t facet_plane_select_with(
    int variant, const facet_plane_query *query, const uint16_t *row_sums, const uint8_t *factors, size_t tile_bytes,
    size_t count, int planes, const facet_plane_limit *limit, uint32_t *positions, int32_t *sums) {
#if defined(__x86_64__)
    if (variant != SCALAR)
        return select_avx2(query, row_sums, factors, tile_bytes, count, planes, limit, positions, sums);
#endif
    (void)variant;
    return select_scalar(query, row_sums, factors, tile_bytes, count, planes, limit, positions, sums);
}

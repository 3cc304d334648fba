// The first planes of every row of a tile. A nibble of a plane byte picks, from 16 bytes, the sum of Q over the
// components that are set in it: one byte shuffle serves 32 or 64 rows (the fast-scan form of RaBitQ, Gao and Long,
// SIGMOD 2024, and of product quantisation before it). A plane's sum fits 16 bits: 512 groups of at most 124; with
// more planes there are fewer groups, and 15 * 32 * 124 fits too.
#include "plane_variants.h"

static void tile_sums_scalar(const facet_plane_query *query, const uint8_t *tile, int planes, uint16_t *sums) {
    for (int row = 0; row < FACET_TILE_ROWS; row++) {
        uint32_t sum = 0;
        const uint8_t *byte = tile + row;
        for (int plane = 0; plane < planes; plane++) {
            sum *= 2;
            for (size_t group = 0; group < query->groups; group++, byte += FACET_TILE_ROWS) {
                const uint8_t *table = query->sums + group * 32;
                sum += (uint32_t)table[*byte & 15] + table[16 + (*byte >> 4)];
            }
        }
        sums[row] = (uint16_t)sum;
    }
}

// What a plane's sums exceed <b, Q> by, over all planes read.
ALWAYS_INLINE int32_t excess(const facet_plane_query *query, int planes) {
    return ((1 << planes) - 1) * query->offset;
}

static size_t select_scalar(
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

static size_t scan_scalar(
    const facet_plane_query *query, const uint8_t *tiles, size_t count, int planes, const facet_plane_limit *limit,
    uint32_t *positions, int32_t *sums) {
    const size_t plane_bytes = (size_t)planes * query->groups * FACET_TILE_ROWS;
    size_t found = 0;
    for (size_t t = 0; t < count; t++, tiles += plane_bytes + FACET_TILE_FACTOR_BYTES) {
        uint16_t tile[FACET_TILE_ROWS];
        tile_sums_scalar(query, tiles, planes, tile);
        found += select_scalar(
            query, tile, (const float *)(tiles + plane_bytes), planes, limit, (uint32_t)t * FACET_TILE_ROWS,
            positions + found, sums + found);
    }
    return found;
}

#if defined(__x86_64__)

#include <immintrin.h>

// How far ahead of the byte being read the next ones are asked for: about a tile.
enum { PREFETCH_BYTES = 4608 };


TARGET_AVX2 static void tile_sums_avx2(const facet_plane_query *query, const uint8_t *tile, int planes, uint16_t *sums) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i all_a = _mm256_setzero_si256(), odd_a = all_a, all_b = all_a, odd_b = all_a;
    for (int plane = 0; plane < planes; plane++) {
        // Sums so far weigh twice as much as this plane's. Modulo 2^16 the mixed lanes stay what they stand for.
        all_a = _mm256_slli_epi16(all_a, 1), odd_a = _mm256_slli_epi16(odd_a, 1);
        all_b = _mm256_slli_epi16(all_b, 1), odd_b = _mm256_slli_epi16(odd_b, 1);
        const uint8_t *table = query->sums;
        for (size_t group = 0; group < query->groups; group++, table += 32, tile += FACET_TILE_ROWS) {
            _mm_prefetch((const char *)((uintptr_t)tile + PREFETCH_BYTES), _MM_HINT_T0);
            const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
            const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16)));
            const __m256i a = _mm256_load_si256((const __m256i *)tile);
            const __m256i b = _mm256_load_si256((const __m256i *)(tile + 32));
            const __m256i sum_a = _mm256_add_epi8(
                _mm256_shuffle_epi8(low, _mm256_and_si256(a, nibble)),
                _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(a, 4), nibble)));
            const __m256i sum_b = _mm256_add_epi8(
                _mm256_shuffle_epi8(low, _mm256_and_si256(b, nibble)),
                _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(b, 4), nibble)));
            all_a = _mm256_add_epi16(all_a, sum_a);
            all_b = _mm256_add_epi16(all_b, sum_b);
            odd_a = _mm256_add_epi16(odd_a, _mm256_srli_epi16(sum_a, 8));
            odd_b = _mm256_add_epi16(odd_b, _mm256_srli_epi16(sum_b, 8));
        }
    }
    const __m256i even_a = _mm256_sub_epi16(all_a, _mm256_slli_epi16(odd_a, 8));
    const __m256i even_b = _mm256_sub_epi16(all_b, _mm256_slli_epi16(odd_b, 8));
    const __m256i low_a = _mm256_unpacklo_epi16(even_a, odd_a), high_a = _mm256_unpackhi_epi16(even_a, odd_a);
    const __m256i low_b = _mm256_unpacklo_epi16(even_b, odd_b), high_b = _mm256_unpackhi_epi16(even_b, odd_b);
    _mm256_storeu_si256((__m256i *)sums, _mm256_permute2x128_si256(low_a, high_a, 0x20));
    _mm256_storeu_si256((__m256i *)(sums + 16), _mm256_permute2x128_si256(low_a, high_a, 0x31));
    _mm256_storeu_si256((__m256i *)(sums + 32), _mm256_permute2x128_si256(low_b, high_b, 0x20));
    _mm256_storeu_si256((__m256i *)(sums + 48), _mm256_permute2x128_si256(low_b, high_b, 0x31));
}

// For each set of eight rows the places of its members, in order: what moves them to the front. A loop over the members
// would be guessed wrong at most steps where a third of the rows goes on.
static uint8_t members[256][8];

__attribute__((constructor)) static void list_members(void) {
    for (int set = 0; set < 256; set++)
        for (int row = 0, found = 0; row < 8; row++)
            if (set >> row & 1) members[set][found++] = (uint8_t)row;
}

// Eight rows a step: `ceiling`, operation for operation.
TARGET_AVX2 ALWAYS_INLINE size_t select_wide(
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

TARGET_AVX2 static size_t scan_avx2(
    const facet_plane_query *query, const uint8_t *tiles, size_t count, int planes, const facet_plane_limit *limit,
    uint32_t *positions, int32_t *sums) {
    const size_t plane_bytes = (size_t)planes * query->groups * FACET_TILE_ROWS;
    size_t found = 0;
    for (size_t t = 0; t < count; t++, tiles += plane_bytes + FACET_TILE_FACTOR_BYTES) {
        uint16_t tile[FACET_TILE_ROWS];
        tile_sums_avx2(query, tiles, planes, tile);
        found += select_wide(
            query, tile, (const float *)(tiles + plane_bytes), planes, limit, (uint32_t)t * FACET_TILE_ROWS,
            positions + found, sums + found);
    }
    return found;
}

TARGET_AVX512 static void tile_sums_avx512(
    const facet_plane_query *query, const uint8_t *tile, int planes, uint16_t *sums) {
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i all = _mm512_setzero_si512(), odd = all;
    for (int plane = 0; plane < planes; plane++) {
        all = _mm512_slli_epi16(all, 1), odd = _mm512_slli_epi16(odd, 1);
        const uint8_t *table = query->sums;
        for (size_t group = 0; group < query->groups; group++, table += 32, tile += FACET_TILE_ROWS) {
            _mm_prefetch((const char *)((uintptr_t)tile + PREFETCH_BYTES), _MM_HINT_T0);
            const __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
            const __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16)));
            const __m512i bytes = _mm512_loadu_si512(tile);
            const __m512i sum = _mm512_add_epi8(
                _mm512_shuffle_epi8(low, _mm512_and_si512(bytes, nibble)),
                _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble)));
            all = _mm512_add_epi16(all, sum);
            odd = _mm512_add_epi16(odd, _mm512_srli_epi16(sum, 8));
        }
    }
    const __m512i even = _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8));
    const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
    // Lane l of `low` holds rows 16 l ..< 16 l + 8, that of `high` the eight after them.
    _mm_storeu_si128((__m128i *)sums, _mm512_extracti32x4_epi32(low, 0));
    _mm_storeu_si128((__m128i *)(sums + 8), _mm512_extracti32x4_epi32(high, 0));
    _mm_storeu_si128((__m128i *)(sums + 16), _mm512_extracti32x4_epi32(low, 1));
    _mm_storeu_si128((__m128i *)(sums + 24), _mm512_extracti32x4_epi32(high, 1));
    _mm_storeu_si128((__m128i *)(sums + 32), _mm512_extracti32x4_epi32(low, 2));
    _mm_storeu_si128((__m128i *)(sums + 40), _mm512_extracti32x4_epi32(high, 2));
    _mm_storeu_si128((__m128i *)(sums + 48), _mm512_extracti32x4_epi32(low, 3));
    _mm_storeu_si128((__m128i *)(sums + 56), _mm512_extracti32x4_epi32(high, 3));
}

TARGET_AVX512 static size_t scan_avx512(
    const facet_plane_query *query, const uint8_t *tiles, size_t count, int planes, const facet_plane_limit *limit,
    uint32_t *positions, int32_t *sums) {
    const size_t plane_bytes = (size_t)planes * query->groups * FACET_TILE_ROWS;
    size_t found = 0;
    for (size_t t = 0; t < count; t++, tiles += plane_bytes + FACET_TILE_FACTOR_BYTES) {
        uint16_t tile[FACET_TILE_ROWS];
        tile_sums_avx512(query, tiles, planes, tile);
        found += select_wide(
            query, tile, (const float *)(tiles + plane_bytes), planes, limit, (uint32_t)t * FACET_TILE_ROWS,
            positions + found, sums + found);
    }
    return found;
}

#endif

size_t facet_plane_scan_with(
    int variant, const facet_plane_query *query, const uint8_t *tiles, size_t count, int planes,
    const facet_plane_limit *limit, uint32_t *positions, int32_t *sums) {
#if defined(__x86_64__)
    if (variant == AVX512) return scan_avx512(query, tiles, count, planes, limit, positions, sums);
    if (variant == AVX2) return scan_avx2(query, tiles, count, planes, limit, positions, sums);
#endif
    (void)variant;
    return scan_scalar(query, tiles, count, planes, limit, positions, sums);
}

// What a tile's planes sum up to, for several queries together. A nibble of a plane byte picks, from 16 bytes, the sum
// of Q over the components that are set in it: one byte shuffle serves 32 or 64 rows (the fast-scan form of RaBitQ, Gao
// and Long, SIGMOD 2024, and of product quantisation before it). Queries that share a pass share the bytes' loads and
// nibbles. Bytes are widened once a run of four groups, which codes are held to: FACET_QUERY_RUN_MAX. A plane's sum
// then is at most 64 * 255, and 15 times that of four runs, where 4 planes come together, fits 16 bits too.
#include "plane_variants.h"

enum { RUN_GROUPS = FACET_QUERY_RUN / 8 };

static void sums_scalar(
    const facet_plane_query *queries, size_t query_count, const uint8_t *tiles, size_t tile_bytes, size_t count,
    int planes, int onto, uint16_t *const *sums) {
    for (size_t q = 0; q < query_count; q++)
        for (size_t row = 0; row < count * FACET_TILE_ROWS; row++) {
            const uint8_t *byte = tiles + row / FACET_TILE_ROWS * tile_bytes + row % FACET_TILE_ROWS;
            uint32_t sum = onto ? sums[q][row] : 0;
            for (int plane = 0; plane < planes; plane++) {
                sum *= 2;
                for (size_t group = 0; group < queries[q].groups; group++, byte += FACET_TILE_ROWS) {
                    const uint8_t *table = queries[q].sums + group * 32;
                    sum += (uint32_t)table[*byte & 15] + table[16 + (*byte >> 4)];
                }
            }
            sums[q][row] = (uint16_t)sum;
        }
}

#if defined(__x86_64__)

#include <immintrin.h>

// How far ahead of the byte being read the next ones are asked for: 18 lines, nearly as many as a core here has under way
// at a time. At 1 M x 512 in memory 4.3 ns a row; a tile ahead 5.1, with nothing asked for 5.5, into L2 alone 5.2.
enum { PREFETCH_BYTES = 1152 };

// What a tile has behind its planes is read next.
ALWAYS_INLINE void prefetch_rest(const uint8_t *from, const uint8_t *to) {
    for (; from < to; from += 64) __builtin_prefetch(from);
}

// Sums of bytes in two halves of a tile: `all` of every byte with its neighbour above, `odd` of the neighbours alone.
// Modulo 2^16 the mixed lanes stay what they stand for.
typedef struct {
    __m256i all[2], odd[2];
} sums_avx2;

TARGET_AVX2 ALWAYS_INLINE void store_avx2(const sums_avx2 *of, int shift, int onto, uint16_t *sums) {
    for (int half = 0; half < 2; half++, sums += 32) {
        const __m256i even = _mm256_sub_epi16(of->all[half], _mm256_slli_epi16(of->odd[half], 8));
        const __m256i low = _mm256_unpacklo_epi16(even, of->odd[half]);
        const __m256i high = _mm256_unpackhi_epi16(even, of->odd[half]);
        __m256i first = _mm256_permute2x128_si256(low, high, 0x20);
        __m256i last = _mm256_permute2x128_si256(low, high, 0x31);
        if (onto) {
            const __m256i a = _mm256_loadu_si256((const __m256i *)sums);
            const __m256i b = _mm256_loadu_si256((const __m256i *)(sums + 16));
            first = _mm256_add_epi16(first, _mm256_slli_epi16(a, shift));
            last = _mm256_add_epi16(last, _mm256_slli_epi16(b, shift));
        }
        _mm256_storeu_si256((__m256i *)sums, first);
        _mm256_storeu_si256((__m256i *)(sums + 16), last);
    }
}

// `groups` groups, a run at most, from group `at` of a plane on.
TARGET_AVX2 ALWAYS_INLINE void add_run_avx2(
    const facet_plane_query *queries, int query_count, const uint8_t *plane, size_t at, size_t groups, sums_avx2 *of) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i run[FACET_PLANE_QUERIES_MAX][2];
    for (int q = 0; q < query_count; q++) run[q][0] = run[q][1] = _mm256_setzero_si256();
    for (size_t group = at; group < at + groups; group++) {
        const uint8_t *bytes = plane + group * FACET_TILE_ROWS;
        _mm_prefetch((const char *)((uintptr_t)bytes + PREFETCH_BYTES), _MM_HINT_T0);
        const __m256i a = _mm256_loadu_si256((const __m256i *)bytes);
        const __m256i b = _mm256_loadu_si256((const __m256i *)(bytes + 32));
        const __m256i low_a = _mm256_and_si256(a, nibble), low_b = _mm256_and_si256(b, nibble);
        const __m256i high_a = _mm256_and_si256(_mm256_srli_epi16(a, 4), nibble);
        const __m256i high_b = _mm256_and_si256(_mm256_srli_epi16(b, 4), nibble);
        for (int q = 0; q < query_count; q++) {
            const uint8_t *table = queries[q].sums + group * 32;
            const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
            const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16)));
            const __m256i sum_a = _mm256_add_epi8(_mm256_shuffle_epi8(low, low_a), _mm256_shuffle_epi8(high, high_a));
            const __m256i sum_b = _mm256_add_epi8(_mm256_shuffle_epi8(low, low_b), _mm256_shuffle_epi8(high, high_b));
            run[q][0] = _mm256_add_epi8(run[q][0], sum_a);
            run[q][1] = _mm256_add_epi8(run[q][1], sum_b);
        }
    }
    for (int q = 0; q < query_count; q++)
        for (int half = 0; half < 2; half++) {
            of[q].all[half] = _mm256_add_epi16(of[q].all[half], run[q][half]);
            of[q].odd[half] = _mm256_add_epi16(of[q].odd[half], _mm256_srli_epi16(run[q][half], 8));
        }
}

// `query_count` is known where this is called, so that loops over queries are unrolled.
TARGET_AVX2 ALWAYS_INLINE void sums_avx2_of(
    const facet_plane_query *queries, int query_count, const uint8_t *tiles, size_t tile_bytes, size_t count,
    int planes, int onto, uint16_t *const *sums) {
    const size_t groups = queries[0].groups;
    for (size_t t = 0; t < count; t++) {
        const uint8_t *plane = tiles + t * tile_bytes;
        sums_avx2 of[FACET_PLANE_QUERIES_MAX];
        for (int q = 0; q < query_count; q++)
            for (int half = 0; half < 2; half++) of[q].all[half] = of[q].odd[half] = _mm256_setzero_si256();
        for (int p = 0; p < planes; p++, plane += groups * FACET_TILE_ROWS) {
            // Sums so far weigh twice as much as this plane's.
            for (int q = 0; p > 0 && q < query_count; q++)
                for (int half = 0; half < 2; half++) {
                    of[q].all[half] = _mm256_slli_epi16(of[q].all[half], 1);
                    of[q].odd[half] = _mm256_slli_epi16(of[q].odd[half], 1);
                }
            size_t at = 0;
            for (; at + RUN_GROUPS <= groups; at += RUN_GROUPS)
                add_run_avx2(queries, query_count, plane, at, RUN_GROUPS, of);
            if (at < groups) add_run_avx2(queries, query_count, plane, at, groups - at, of);
        }
        prefetch_rest(plane, tiles + (t + 1) * tile_bytes);
        for (int q = 0; q < query_count; q++) store_avx2(&of[q], planes, onto, sums[q] + t * FACET_TILE_ROWS);
    }
}

TARGET_AVX2 static void sums_avx2_by_count(
    const facet_plane_query *queries, size_t query_count, const uint8_t *tiles, size_t tile_bytes, size_t count,
    int planes, int onto, uint16_t *const *sums) {
    switch (query_count) {
    case 1: return sums_avx2_of(queries, 1, tiles, tile_bytes, count, planes, onto, sums);
    case 2: return sums_avx2_of(queries, 2, tiles, tile_bytes, count, planes, onto, sums);
    case 3: return sums_avx2_of(queries, 3, tiles, tile_bytes, count, planes, onto, sums);
    case 4: return sums_avx2_of(queries, 4, tiles, tile_bytes, count, planes, onto, sums);
    }
}

TARGET_AVX512 ALWAYS_INLINE void add_run_avx512(
    const facet_plane_query *queries, int query_count, const uint8_t *plane, size_t at, size_t groups, __m512i *all,
    __m512i *odd) {
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i run[FACET_PLANE_QUERIES_MAX];
    for (int q = 0; q < query_count; q++) run[q] = _mm512_setzero_si512();
    for (size_t group = at; group < at + groups; group++) {
        const uint8_t *bytes = plane + group * FACET_TILE_ROWS;
        _mm_prefetch((const char *)((uintptr_t)bytes + PREFETCH_BYTES), _MM_HINT_T0);
        const __m512i rows = _mm512_loadu_si512(bytes);
        const __m512i low_bits = _mm512_and_si512(rows, nibble);
        const __m512i high_bits = _mm512_and_si512(_mm512_srli_epi16(rows, 4), nibble);
        for (int q = 0; q < query_count; q++) {
            const uint8_t *table = queries[q].sums + group * 32;
            const __m512i low = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
            const __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16)));
            run[q] = _mm512_add_epi8(
                run[q],
                _mm512_add_epi8(_mm512_shuffle_epi8(low, low_bits), _mm512_shuffle_epi8(high, high_bits)));
        }
    }
    for (int q = 0; q < query_count; q++) {
        all[q] = _mm512_add_epi16(all[q], run[q]);
        odd[q] = _mm512_add_epi16(odd[q], _mm512_srli_epi16(run[q], 8));
    }
}

TARGET_AVX512 ALWAYS_INLINE void store_avx512(__m512i all, __m512i odd, int shift, int onto, uint16_t *sums) {
    const __m512i even = _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8));
    const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
    // Lane l of `low` holds rows 16 l ..< 16 l + 8, that of `high` the eight after them.
    const __m512i pairs = _mm512_shuffle_i64x2(low, high, 0x44), rest = _mm512_shuffle_i64x2(low, high, 0xEE);
    __m512i first = _mm512_shuffle_i64x2(pairs, pairs, 0xD8), last = _mm512_shuffle_i64x2(rest, rest, 0xD8);
    if (onto) {
        first = _mm512_add_epi16(first, _mm512_slli_epi16(_mm512_loadu_si512(sums), (unsigned)shift));
        last = _mm512_add_epi16(last, _mm512_slli_epi16(_mm512_loadu_si512(sums + 32), (unsigned)shift));
    }
    _mm512_storeu_si512(sums, first);
    _mm512_storeu_si512(sums + 32, last);
}

// `query_count` is known where this is called: sums that are indexed at run time would live in memory, not in registers.
TARGET_AVX512 ALWAYS_INLINE void sums_avx512_of(
    const facet_plane_query *queries, int query_count, const uint8_t *tiles, size_t tile_bytes, size_t count,
    int planes, int onto, uint16_t *const *sums) {
    const size_t groups = queries[0].groups;
    for (size_t t = 0; t < count; t++) {
        const uint8_t *plane = tiles + t * tile_bytes;
        __m512i all[FACET_PLANE_QUERIES_MAX], odd[FACET_PLANE_QUERIES_MAX];
        for (int q = 0; q < query_count; q++) all[q] = odd[q] = _mm512_setzero_si512();
        for (int p = 0; p < planes; p++, plane += groups * FACET_TILE_ROWS) {
            // Sums so far weigh twice as much as this plane's.
            for (int q = 0; p > 0 && q < query_count; q++)
                all[q] = _mm512_slli_epi16(all[q], 1), odd[q] = _mm512_slli_epi16(odd[q], 1);
            size_t at = 0;
            for (; at + RUN_GROUPS <= groups; at += RUN_GROUPS)
                add_run_avx512(queries, query_count, plane, at, RUN_GROUPS, all, odd);
            if (at < groups) add_run_avx512(queries, query_count, plane, at, groups - at, all, odd);
        }
        prefetch_rest(plane, tiles + (t + 1) * tile_bytes);
        for (int q = 0; q < query_count; q++)
            store_avx512(all[q], odd[q], planes, onto, sums[q] + t * FACET_TILE_ROWS);
    }
}

TARGET_AVX512 static void sums_avx512_by_count(
    const facet_plane_query *queries, size_t query_count, const uint8_t *tiles, size_t tile_bytes, size_t count,
    int planes, int onto, uint16_t *const *sums) {
    switch (query_count) {
    case 1: return sums_avx512_of(queries, 1, tiles, tile_bytes, count, planes, onto, sums);
    case 2: return sums_avx512_of(queries, 2, tiles, tile_bytes, count, planes, onto, sums);
    case 3: return sums_avx512_of(queries, 3, tiles, tile_bytes, count, planes, onto, sums);
    case 4: return sums_avx512_of(queries, 4, tiles, tile_bytes, count, planes, onto, sums);
    }
}

#endif

void facet_plane_sums_with(
    int variant, const facet_plane_query *queries, size_t query_count, const uint8_t *tiles, size_t tile_bytes,
    size_t count, int planes, int onto, uint16_t *const *sums) {
#if defined(__x86_64__)
    if (variant == AVX512)
        return sums_avx512_by_count(queries, query_count, tiles, tile_bytes, count, planes, onto, sums);
    if (variant == AVX2) return sums_avx2_by_count(queries, query_count, tiles, tile_bytes, count, planes, onto, sums);
#endif
    (void)variant;
    sums_scalar(queries, query_count, tiles, tile_bytes, count, planes, onto, sums);
}

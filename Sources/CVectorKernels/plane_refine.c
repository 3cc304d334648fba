// The next planes of the rows that survived, a row at a time: <b, Q> from the bits of one row.
#include "plane_variants.h"

// Rows are asked for this many survivors ahead: they stand anywhere.
enum { PREFETCH_ROWS = 16, CHUNK_BYTES = 32, BITS = 8 };

int32_t facet_plane_prepare(const int8_t *codes, size_t groups, int8_t *by_bit, uint8_t *sums) {
    const size_t chunks = (groups + CHUNK_BYTES - 1) / CHUNK_BYTES;
    for (size_t byte = 0; byte < chunks * CHUNK_BYTES; byte++)
        for (size_t bit = 0; bit < BITS; bit++)
            by_bit[(byte / CHUNK_BYTES * BITS + bit) * CHUNK_BYTES + byte % CHUNK_BYTES] = codes[byte * BITS + bit];
    int32_t offset = 0;
    for (size_t four = 0; four < 2 * groups; four++) {
        const int8_t *code = codes + four * 4;
        int32_t least = 0;
        for (int i = 0; i < 4; i++) least += code[i] < 0 ? -code[i] : 0;
        offset += least;
        for (int subset = 0; subset < 16; subset++) {
            int32_t sum = least;
            for (int i = 0; i < 4; i++) sum += subset >> i & 1 ? code[i] : 0;
            sums[four * 16 + (size_t)subset] = (uint8_t)sum;
        }
    }
    return offset;
}

static int32_t row_sum_scalar(const facet_plane_query *query, const uint8_t *row, int planes) {
    int32_t sum = 0;
    for (int plane = 0; plane < planes; plane++) {
        sum *= 2;
        for (size_t group = 0; group < query->groups; group++, row++)
            for (size_t bit = 0; bit < BITS; bit++)
                sum += *row >> bit & 1 ? query->codes[group * BITS + bit] : 0;
    }
    return sum;
}

ALWAYS_INLINE void prefetch_row(const uint8_t *rows, const float *factors, size_t stride, uint32_t position) {
    const uint8_t *row = rows + position * stride;
    for (size_t line = 0; line < stride; line += 64) __builtin_prefetch(row + line);
    __builtin_prefetch(factors + 2 * (size_t)position);
}

// The first rows together, for nothing asked for them before: where few rows are left, these are all.
ALWAYS_INLINE void prefetch_first(
    const uint8_t *rows, const float *factors, size_t stride, const uint32_t *positions, size_t count) {
    for (size_t i = 0; i < count && i < PREFETCH_ROWS; i++) prefetch_row(rows, factors, stride, positions[i]);
}

// The rows from `start` on, one at a time, around each variant's sum of a row; `kept` rows are kept before them.
#define REFINE(start, kept_before, row_sum)                                                                          \
    const size_t stride = (size_t)planes * query->groups;                                                            \
    size_t kept = kept_before;                                                                                       \
    if (start == 0) prefetch_first(rows, factors, stride, positions, count);                                         \
    for (size_t i = start; i < count; i++) {                                                                         \
        if (i + PREFETCH_ROWS < count) prefetch_row(rows, factors, stride, positions[i + PREFETCH_ROWS]);             \
        const uint32_t position = positions[i];                                                                      \
        const int32_t sum = sums[i] * (1 << planes) + row_sum(query, rows + position * stride, planes);               \
        const int32_t twice = doubled(sum, before + planes, query->total);                                           \
        const float *factor = factors + 2 * (size_t)position;                                                        \
        positions[kept] = position;                                                                                  \
        sums[kept] = sum;                                                                                            \
        kept += !(ceiling(twice, factor[0], factor[1], limit) < limit->bound);                                       \
    }                                                                                                                \
    return kept;

static size_t refine_scalar(
    const facet_plane_query *query, const uint8_t *rows, const float *factors, int before, int planes,
    const facet_plane_limit *limit, uint32_t *positions, int32_t *sums, size_t count) {
    REFINE(0, 0, row_sum_scalar)
}

#if defined(__x86_64__)

#include <immintrin.h>

// `chunks` times 256 components, at most 4: the products of one bit, weighted by it, then fit 16 bits. Bits behind the
// row belong to its neighbour and meet codes of zero.
TARGET_AVX2 ALWAYS_INLINE __m256i chunk_sums(const int8_t *codes, const uint8_t *row, size_t chunks) {
    __m256i total = _mm256_setzero_si256();
#pragma clang loop unroll(full)
    for (int bit = 0; bit < BITS; bit++) {
        const __m256i mask = _mm256_set1_epi8((char)(1 << bit));
        __m256i sum = _mm256_setzero_si256();
        for (size_t c = 0; c < chunks; c++) {
            const __m256i bytes = _mm256_loadu_si256((const __m256i *)(row + c * CHUNK_BYTES));
            const __m256i code =
                _mm256_loadu_si256((const __m256i *)(codes + (c * BITS + (size_t)bit) * CHUNK_BYTES));
            sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_and_si256(bytes, mask), code));
        }
        // Every product is a multiple of the bit.
        total = _mm256_add_epi16(total, _mm256_srai_epi16(sum, bit));
    }
    return total;
}

// Eight parts of <b, Q>.
TARGET_AVX2 ALWAYS_INLINE __m256i row_parts(const facet_plane_query *query, const uint8_t *row, int planes) {
    const size_t chunks = (query->groups + CHUNK_BYTES - 1) / CHUNK_BYTES;
    __m256i total = _mm256_setzero_si256();
    for (int plane = 0; plane < planes; plane++, row += query->groups) {
        total = _mm256_slli_epi16(total, 1);
        // The usual dimensions are unrolled.
        if (chunks == 2) {
            total = _mm256_add_epi16(total, chunk_sums(query->by_bit, row, 2));
        } else if (chunks == 1) {
            total = _mm256_add_epi16(total, chunk_sums(query->by_bit, row, 1));
        } else {
            for (size_t c = 0; c < chunks; c += 4) {
                const size_t some = chunks - c < 4 ? chunks - c : 4;
                total = _mm256_add_epi16(
                    total, chunk_sums(query->by_bit + c * BITS * CHUNK_BYTES, row + c * CHUNK_BYTES, some));
            }
        }
    }
    return _mm256_madd_epi16(total, _mm256_set1_epi16(1));
}

TARGET_AVX2 ALWAYS_INLINE int32_t row_sum_avx2(const facet_plane_query *query, const uint8_t *row, int planes) {
    const __m256i wide = row_parts(query, row, planes);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}

TARGET_AVX2 ALWAYS_INLINE __m128i four_sums_avx2(
    const facet_plane_query *query, const uint8_t *rows, size_t stride, const uint32_t at[4], int planes) {
    const __m256i a = row_parts(query, rows + at[0] * stride, planes);
    const __m256i b = row_parts(query, rows + at[1] * stride, planes);
    const __m256i c = row_parts(query, rows + at[2] * stride, planes);
    const __m256i d = row_parts(query, rows + at[3] * stride, planes);
    const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

// `ceiling` of four rows, operation for operation; a bit for each row that goes on.
TARGET_AVX2 ALWAYS_INLINE int four_go_on(
    __m128i twice, const float *factors, const uint32_t at[4], const facet_plane_limit *limit) {
    const __m128 zero = _mm_setzero_ps();
    const __m128 ab = _mm_loadh_pi(
        _mm_loadl_pi(zero, (const __m64 *)(factors + 2 * (size_t)at[0])), (const __m64 *)(factors + 2 * (size_t)at[1]));
    const __m128 cd = _mm_loadh_pi(
        _mm_loadl_pi(zero, (const __m64 *)(factors + 2 * (size_t)at[2])), (const __m64 *)(factors + 2 * (size_t)at[3]));
    const __m128 factor = _mm_shuffle_ps(ab, cd, 0x88), radius = _mm_shuffle_ps(ab, cd, 0xDD);
    const __m128 estimate = _mm_mul_ps(_mm_mul_ps(_mm_cvtepi32_ps(twice), factor), _mm_set1_ps(limit->scale));
    const __m128 wide = _mm_add_ps(estimate, _mm_mul_ps(radius, _mm_set1_ps(limit->reach)));
    const __m128 top = _mm_add_ps(wide, _mm_set1_ps(limit->slack));
    return _mm_movemask_ps(_mm_cmp_ps(top, _mm_set1_ps(limit->bound), _CMP_NLT_UQ));
}

// Four rows together: their sums are added up, and their ceilings computed, in one go; around each variant's sums of
// four rows, and of one for those that are left.
#define REFINE_FOURS(four_sums, row_sum)                                                                             \
    const size_t row_bytes = (size_t)planes * query->groups;                                                         \
    const __m128i shift = _mm_cvtsi32_si128(planes);                                                                 \
    const __m128i centre = _mm_set1_epi32(((1 << (before + planes)) - 1) * query->total);                            \
    size_t done = 0, found = 0;                                                                                      \
    if (count >= 4) prefetch_first(rows, factors, row_bytes, positions, count);                                      \
    for (; done + 4 <= count; done += 4) {                                                                           \
        for (size_t i = done + PREFETCH_ROWS; i < done + PREFETCH_ROWS + 4 && i < count; i++)                        \
            prefetch_row(rows, factors, row_bytes, positions[i]);                                                    \
        uint32_t at[4];                                                                                              \
        int32_t four[4];                                                                                             \
        __builtin_memcpy(at, positions + done, sizeof at);                                                           \
        const __m128i first = _mm_sll_epi32(_mm_loadu_si128((const __m128i *)(sums + done)), shift);                 \
        const __m128i sum = _mm_add_epi32(first, four_sums(query, rows, row_bytes, at, planes));                     \
        const int mask = four_go_on(_mm_sub_epi32(_mm_slli_epi32(sum, 1), centre), factors, at, limit);              \
        _mm_storeu_si128((__m128i *)four, sum);                                                                      \
        for (int i = 0; i < 4; i++) {                                                                                \
            positions[found] = at[i];                                                                                \
            sums[found] = four[i];                                                                                   \
            found += (size_t)(mask >> i & 1);                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    REFINE(done, found, row_sum)

TARGET_AVX2 static size_t refine_avx2(
    const facet_plane_query *query, const uint8_t *rows, const float *factors, int before, int planes,
    const facet_plane_limit *limit, uint32_t *positions, int32_t *sums, size_t count) {
    REFINE_FOURS(four_sums_avx2, row_sum_avx2)
}

// The 64 components of eight bytes of a row: sixteen parts of <b, Q> of four components each.
TARGET_AVX512 ALWAYS_INLINE __m512i add_eight_bytes(__m512i total, const uint8_t *bytes, __m512i code) {
    uint64_t bits;
    __builtin_memcpy(&bits, bytes, sizeof bits);
    return _mm512_dpbusd_epi32(total, _mm512_maskz_set1_epi8(bits, 1), code);
}

TARGET_AVX512 ALWAYS_INLINE int32_t row_sum_avx512(const facet_plane_query *query, const uint8_t *row, int planes) {
    __m512i total = _mm512_setzero_si512();
    for (int plane = 0; plane < planes; plane++, row += query->groups) {
        total = _mm512_slli_epi32(total, 1);
        for (size_t byte = 0; byte < query->groups; byte += 8)
            total = add_eight_bytes(total, row + byte, _mm512_loadu_si512(query->codes + byte * BITS));
    }
    return _mm512_reduce_add_epi32(total);
}

TARGET_AVX512 ALWAYS_INLINE __m256i halves(__m512i wide) {
    return _mm256_add_epi32(_mm512_castsi512_si256(wide), _mm512_extracti64x4_epi64(wide, 1));
}

// Four rows share the query's codes, and their sums wait for none of each other.
TARGET_AVX512 ALWAYS_INLINE __m128i four_sums_avx512(
    const facet_plane_query *query, const uint8_t *rows, size_t stride, const uint32_t at[4], int planes) {
    const uint8_t *row[4];
    __m512i total[4];
    for (int i = 0; i < 4; i++) row[i] = rows + at[i] * stride, total[i] = _mm512_setzero_si512();
    for (int plane = 0; plane < planes; plane++) {
        for (int i = 0; i < 4; i++) total[i] = _mm512_slli_epi32(total[i], 1);
        for (size_t byte = 0; byte < query->groups; byte += 8) {
            const __m512i code = _mm512_loadu_si512(query->codes + byte * BITS);
            for (int i = 0; i < 4; i++) total[i] = add_eight_bytes(total[i], row[i] + byte, code);
        }
        for (int i = 0; i < 4; i++) row[i] += query->groups;
    }
    const __m256i all = _mm256_hadd_epi32(
        _mm256_hadd_epi32(halves(total[0]), halves(total[1])), _mm256_hadd_epi32(halves(total[2]), halves(total[3])));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

TARGET_AVX512 static size_t refine_avx512(
    const facet_plane_query *query, const uint8_t *rows, const float *factors, int before, int planes,
    const facet_plane_limit *limit, uint32_t *positions, int32_t *sums, size_t count) {
    REFINE_FOURS(four_sums_avx512, row_sum_avx512)
}

#endif

size_t facet_plane_refine_with(
    int variant, const facet_plane_query *query, const uint8_t *rows, const float *factors, int before, int planes,
    const facet_plane_limit *limit, uint32_t *positions, int32_t *sums, size_t count) {
#if defined(__x86_64__)
    if (variant == AVX512) return refine_avx512(query, rows, factors, before, planes, limit, positions, sums, count);
    if (variant == AVX2) return refine_avx2(query, rows, factors, before, planes, limit, positions, sums, count);
#endif
    (void)variant;
    return refine_scalar(query, rows, factors, before, planes, limit, positions, sums, count);
}

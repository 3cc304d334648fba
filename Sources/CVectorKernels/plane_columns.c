// Rows of a later stage turned into tiles as the first scan has them.
#include "plane_variants.h"

static void row_bytes_scalar(const uint8_t *rows, size_t row_bytes, size_t from, uint8_t *tile) {
    for (size_t byte = from; byte < row_bytes; byte++)
        for (size_t row = 0; row < FACET_TILE_ROWS; row++)
            tile[byte * FACET_TILE_ROWS + row] = rows[row * row_bytes + byte];
}

static void spread_factors(const float *factors, float *tile) {
    for (size_t row = 0; row < FACET_TILE_ROWS; row++) {
        tile[row] = factors[2 * row];
        tile[FACET_TILE_ROWS + row] = factors[2 * row + 1];
    }
}

static void columns_scalar(
    const uint8_t *rows, size_t row_bytes, const float *factors, size_t count, uint8_t *tiles) {
    for (size_t t = 0; t < count; t++) {
        row_bytes_scalar(rows, row_bytes, 0, tiles);
        spread_factors(factors, (float *)(tiles + row_bytes * FACET_TILE_ROWS));
        rows += row_bytes * FACET_TILE_ROWS;
        factors += 2 * FACET_TILE_ROWS;
        tiles += row_bytes * FACET_TILE_ROWS + FACET_TILE_FACTOR_BYTES;
    }
}

#if defined(__x86_64__)

#include <immintrin.h>

enum { SIDE = 16 };

// 16 bytes of 32 rows: each step brings bytes of rows together that were 8, 4, 2, 1 apart, and after four of them a
// register holds one byte of every row.
TARGET_AVX2 ALWAYS_INLINE void turn_avx2(const uint8_t *rows, size_t row_bytes, uint8_t *tile) {
    __m256i a[SIDE], b[SIDE];
    for (size_t i = 0; i < SIDE; i++) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(rows + i * row_bytes));
        const __m128i high = _mm_loadu_si128((const __m128i *)(rows + (i + SIDE) * row_bytes));
        a[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }
#pragma clang loop unroll(full)
    for (int step = 0; step < 4; step++) {
        for (size_t i = 0; i < SIDE / 2; i++) {
            b[2 * i] = _mm256_unpacklo_epi8(a[i], a[i + SIDE / 2]);
            b[2 * i + 1] = _mm256_unpackhi_epi8(a[i], a[i + SIDE / 2]);
        }
        for (size_t i = 0; i < SIDE; i++) a[i] = b[i];
    }
    for (size_t i = 0; i < SIDE; i++) _mm256_storeu_si256((__m256i *)(tile + i * FACET_TILE_ROWS), a[i]);
}

TARGET_AVX2 static void columns_avx2(
    const uint8_t *rows, size_t row_bytes, const float *factors, size_t count, uint8_t *tiles) {
    for (size_t t = 0; t < count; t++) {
        size_t byte = 0;
        for (; byte + SIDE <= row_bytes; byte += SIDE) {
            turn_avx2(rows + byte, row_bytes, tiles + byte * FACET_TILE_ROWS);
            turn_avx2(rows + 2 * SIDE * row_bytes + byte, row_bytes, tiles + byte * FACET_TILE_ROWS + 2 * SIDE);
        }
        row_bytes_scalar(rows, row_bytes, byte, tiles);
        spread_factors(factors, (float *)(tiles + row_bytes * FACET_TILE_ROWS));
        rows += row_bytes * FACET_TILE_ROWS;
        factors += 2 * FACET_TILE_ROWS;
        tiles += row_bytes * FACET_TILE_ROWS + FACET_TILE_FACTOR_BYTES;
    }
}

#endif

void facet_plane_columns_with(
    int variant, const uint8_t *rows, size_t row_bytes, const float *factors, size_t count, uint8_t *tiles) {
#if defined(__x86_64__)
    if (variant != SCALAR) return columns_avx2(rows, row_bytes, factors, count, tiles);
#endif
    (void)variant;
    columns_scalar(rows, row_bytes, factors, count, tiles);
}

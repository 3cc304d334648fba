// Planes of bits back to elements of four bytes: 8 x 8 matrices of bits are transposed, bytes are interleaved.
#include <string.h>

#include "storage_variants.h"

enum { ELEMENT_BYTES = 4, BITS = 8 };

// A matrix of bits, one row a byte (Warren, Hacker's Delight, 7-3).
static uint64_t transposed(uint64_t x) {
    uint64_t t = (x ^ x >> 7) & 0x00AA00AA00AA00AA;
    x ^= t ^ t << 7;
    t = (x ^ x >> 14) & 0x0000CCCC0000CCCC;
    x ^= t ^ t << 14;
    t = (x ^ x >> 28) & 0x00000000F0F0F0F0;
    return x ^ t ^ t << 28;
}

static void unshuffle_scalar(const uint8_t *planes, size_t groups, size_t from, uint8_t *elements) {
    for (size_t byte = 0; byte < ELEMENT_BYTES; byte++)
        for (size_t group = from; group < groups; group++) {
            uint64_t matrix = 0;
            for (size_t bit = 0; bit < BITS; bit++)
                matrix |= (uint64_t)planes[(byte * BITS + bit) * groups + group] << (8 * bit);
            matrix = transposed(matrix);
            for (size_t element = 0; element < 8; element++)
                elements[(group * 8 + element) * ELEMENT_BYTES + byte] = (uint8_t)(matrix >> (8 * element));
        }
}

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET_AVX2 __attribute__((target("avx2")))
#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { GROUPS = 32, VECTORS = 8 };

TARGET_AVX2 ALWAYS_INLINE __m256i exchanged(__m256i x, int shift, uint64_t mask) {
    const __m256i t = _mm256_and_si256(
        _mm256_xor_si256(x, _mm256_srli_epi64(x, shift)), _mm256_set1_epi64x((long long)mask));
    return _mm256_xor_si256(x, _mm256_xor_si256(t, _mm256_slli_epi64(t, shift)));
}

TARGET_AVX2 ALWAYS_INLINE __m256i four_transposed(__m256i x) {
    x = exchanged(x, 7, 0x00AA00AA00AA00AA);
    x = exchanged(x, 14, 0x0000CCCC0000CCCC);
    return exchanged(x, 28, 0x00000000F0F0F0F0);
}

// One byte of 256 elements: vector i holds it for elements 16 i + 0 ..< 16 in its lower half, 128 further on in its
// upper half, because interleaving stays within the halves.
TARGET_AVX2 ALWAYS_INLINE void byte_of_elements(const uint8_t *planes, size_t groups, __m256i out[VECTORS]) {
    __m256i p[VECTORS], q[VECTORS];
    for (size_t i = 0; i < VECTORS; i++) p[i] = _mm256_loadu_si256((const __m256i *)(planes + i * groups));
    // Pairs of planes, then fours, then all eight: a word is the eight planes' bytes of a group.
    for (size_t i = 0; i < 4; i++) {
        q[2 * i] = _mm256_unpacklo_epi8(p[2 * i], p[2 * i + 1]);
        q[2 * i + 1] = _mm256_unpackhi_epi8(p[2 * i], p[2 * i + 1]);
    }
    for (size_t half = 0; half < 2; half++)
        for (size_t i = 0; i < 2; i++) {
            p[4 * i + 2 * half] = _mm256_unpacklo_epi16(q[4 * i + half], q[4 * i + 2 + half]);
            p[4 * i + 2 * half + 1] = _mm256_unpackhi_epi16(q[4 * i + half], q[4 * i + 2 + half]);
        }
    for (size_t i = 0; i < 4; i++) {
        out[2 * i] = four_transposed(_mm256_unpacklo_epi32(p[i], p[4 + i]));
        out[2 * i + 1] = four_transposed(_mm256_unpackhi_epi32(p[i], p[4 + i]));
    }
}

TARGET_AVX2 ALWAYS_INLINE void store_halves(uint8_t *at, __m256i four) {
    _mm_storeu_si128((__m128i *)at, _mm256_castsi256_si128(four));
    _mm_storeu_si128((__m128i *)(at + 128 * ELEMENT_BYTES), _mm256_extracti128_si256(four, 1));
}

TARGET_AVX2 static void unshuffle_avx2(const uint8_t *planes, size_t groups, uint8_t *elements) {
    size_t group = 0;
    for (; group + GROUPS <= groups; group += GROUPS) {
        __m256i bytes[ELEMENT_BYTES][VECTORS];
        for (size_t byte = 0; byte < ELEMENT_BYTES; byte++)
            byte_of_elements(planes + byte * BITS * groups + group, groups, bytes[byte]);
        for (size_t i = 0; i < VECTORS; i++) {
            uint8_t *at = elements + (group * 8 + 16 * i) * ELEMENT_BYTES;
            const __m256i a = _mm256_unpacklo_epi8(bytes[0][i], bytes[1][i]);
            const __m256i b = _mm256_unpackhi_epi8(bytes[0][i], bytes[1][i]);
            const __m256i c = _mm256_unpacklo_epi8(bytes[2][i], bytes[3][i]);
            const __m256i d = _mm256_unpackhi_epi8(bytes[2][i], bytes[3][i]);
            store_halves(at, _mm256_unpacklo_epi16(a, c));
            store_halves(at + 16, _mm256_unpackhi_epi16(a, c));
            store_halves(at + 32, _mm256_unpacklo_epi16(b, d));
            store_halves(at + 48, _mm256_unpackhi_epi16(b, d));
        }
    }
    unshuffle_scalar(planes, groups, group, elements);
}

#endif

void facet_unshuffle_words_with(int variant, const uint8_t *planes, size_t groups, uint8_t *elements) {
#if defined(__x86_64__)
    if (variant == AVX2) return unshuffle_avx2(planes, groups, elements);
#endif
    (void)variant;
    unshuffle_scalar(planes, groups, 0, elements);
}

void facet_unshuffle_words(const uint8_t *planes, size_t groups, uint8_t *elements) {
    facet_unshuffle_words_with(storage_variant(), planes, groups, elements);
}

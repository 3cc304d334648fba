// CRC-32C: eight tables at a time (Kounavis and Berry, 2005), or the instruction, three runs of bytes side by side so
// that its latency of three cycles is not waited for.
#include <string.h>

#include "storage_variants.h"

enum { TABLES = 8, RUN_BYTES = 512 };

static const uint32_t polynomial = 0x82F63B78;
static uint32_t tables[TABLES][256];
// What RUN_BYTES zero bytes make of a checksum, byte by byte of it.
static uint32_t beyond_run[4][256];

static uint32_t crc_scalar(uint32_t crc, const uint8_t *at, size_t count) {
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        word ^= crc;
        crc = 0;
        for (int byte = 0; byte < TABLES; byte++) crc ^= tables[TABLES - 1 - byte][word >> (8 * byte) & 255];
    }
    for (; count > 0; count--, at++) crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
    return crc;
}

// Before `choose_variant`, or after it: neither needs the other.
__attribute__((constructor)) static void make_tables(void) {
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
        tables[0][value] = crc;
    }
    for (int table = 1; table < TABLES; table++)
        for (int value = 0; value < 256; value++) {
            const uint32_t before = tables[table - 1][value];
            tables[table][value] = before >> 8 ^ tables[0][before & 255];
        }
    static const uint8_t zeros[RUN_BYTES];
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t value = 0; value < 256; value++)
            beyond_run[byte][value] = crc_scalar(value << (8 * byte), zeros, RUN_BYTES);
}

#if defined(__x86_64__)

#include <immintrin.h>

static uint32_t beyond(uint64_t crc) {
    return beyond_run[0][crc & 255] ^ beyond_run[1][crc >> 8 & 255] ^ beyond_run[2][crc >> 16 & 255]
        ^ beyond_run[3][crc >> 24 & 255];
}

static inline uint64_t word_at(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t seed, const uint8_t *at, size_t count) {
    uint64_t crc = seed;
    for (; count >= 3 * RUN_BYTES; count -= 3 * RUN_BYTES, at += 3 * RUN_BYTES) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < RUN_BYTES; i += 8) {
            crc = _mm_crc32_u64(crc, word_at(at + i));
            second = _mm_crc32_u64(second, word_at(at + RUN_BYTES + i));
            third = _mm_crc32_u64(third, word_at(at + 2 * RUN_BYTES + i));
        }
        crc = beyond(beyond(crc) ^ second) ^ third;
    }
    for (; count >= 8; count -= 8, at += 8) crc = _mm_crc32_u64(crc, word_at(at));
    for (; count > 0; count--, at++) crc = _mm_crc32_u8((uint32_t)crc, *at);
    return (uint32_t)crc;
}

#endif

uint32_t facet_crc32c_with(int variant, const void *bytes, size_t count, uint32_t seed) {
#if defined(__x86_64__)
    if (variant == AVX2) return ~crc_sse42(~seed, bytes, count);
#endif
    (void)variant;
    return ~crc_scalar(~seed, bytes, count);
}

uint32_t facet_crc32c(const void *bytes, size_t count, uint32_t seed) {
    return facet_crc32c_with(storage_variant(), bytes, count, seed);
}

/// Storage kernels: what every block that is read goes through. Thread-safe, no allocation; all variants give the scalar
/// reference's bytes.
#ifndef FACET_STORAGE_H
#define FACET_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of `count` bytes; `seed` is the checksum of what stands before
/// them, 0 at the beginning.
uint32_t facet_crc32c(const void *bytes, size_t count, uint32_t seed);

/// Undoes the bit-shuffle of elements of four bytes: 32 planes of `groups` bytes, plane p holding bit p of eight
/// elements a byte, become `groups` x 8 elements. Neither needs an alignment; they do not overlap.
void facet_unshuffle_words(const uint8_t *planes, size_t groups, uint8_t *elements);

/// The same by one variant, which must be supported here: for tests and benchmarks.
uint32_t facet_crc32c_with(int variant, const void *bytes, size_t count, uint32_t seed);
void facet_unshuffle_words_with(int variant, const uint8_t *planes, size_t groups, uint8_t *elements);

/// Variants are 0 ..< count; 0 is the scalar reference. Names are static: "scalar", "avx2" (with SSE4.2's CRC).
int facet_storage_count(void);
const char *facet_storage_name(int variant);
/// 1 where this CPU can run the variant.
int facet_storage_supported(int variant);

#ifdef __cplusplus
}
#endif

/// What `facet_read_cached` found: all bytes; some that a disk would have to give, or an error that a plain read names;
/// a file or kernel that does not tell.
enum { FACET_READ_WHOLE = 1, FACET_READ_WOULD_WAIT = 0, FACET_READ_UNKNOWN = -1 };

/// Reads `count` bytes at `offset` if the system has them in memory, and does not wait for them if not.
int facet_read_cached(int descriptor, void *bytes, size_t count, int64_t offset);

#endif

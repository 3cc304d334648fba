/// Vector kernels: whole block per call, no allocation, no call back, no errno, thread-safe.
///
/// Every score is fixed by its definition, not by the CPU that computes it:
///     float(tree(sum over i of double(query[i]) * double(row[i]), one sum a lane, lane = i mod 8))
///     tree = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)), lanes summed in rising i
/// A product of two floats is exact in double (48 of 53 bits), so a fused multiply-add rounds where a separate one
/// does, and all variants agree bit for bit on finite input. Round-to-nearest and denormals on, as at process start.
#ifndef FACET_KERNELS_H
#define FACET_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Scores `count` rows of `dim` floats each, stored one after another, against `query`.
/// `query` holds `dim` floats converted to double; a double that is no float breaks the definition above.
/// `dim` is a multiple of 8. `rows` needs the alignment of a float only. Writes `count` floats to `out`.
void facet_score_rows(const double *query, const float *rows, size_t count, size_t dim, float *out);

/// The same by the variant asked for, which must be supported here: for tests and benchmarks.
void facet_score_rows_with(
    int variant, const double *query, const float *rows, size_t count, size_t dim, float *out);

/// The same scores of the rows at `positions`, in their order: rows that stand apart, chosen by something cheaper.
void facet_score_chosen(
    const double *query, const float *rows, const uint32_t *positions, size_t count, size_t dim, float *out);
void facet_score_chosen_with(
    int variant, const double *query, const float *rows, const uint32_t *positions, size_t count, size_t dim,
    float *out);

/// Writes the positions of the scores >= `bound`, rising, to `indices` (room for `count`); returns how many.
/// NaN is never selected.
size_t facet_select_at_least(const float *scores, size_t count, float bound, uint32_t *indices);

/// Variants are 0 ..< count; 0 is the scalar reference. Names are static: "scalar", "avx2", "avx512".
int facet_kernel_count(void);
const char *facet_kernel_name(int variant);
/// 1 where this CPU (and its operating system) can run the variant.
int facet_kernel_supported(int variant);
/// The variant that `facet_score_rows` uses: the last one supported.
int facet_kernel_chosen(void);

#ifdef __cplusplus
}
#endif

#endif

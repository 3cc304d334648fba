#include "plane_variants.h"

// Chosen before main runs and never changed, so that no call needs a lock.
static int chosen = SCALAR;

int facet_plane_supported(int variant) {
    if (variant == SCALAR) return 1;
#if defined(__x86_64__)
    if (variant == AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
    if (variant == AVX512)
        return facet_plane_supported(AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#endif
    return 0;
}

int facet_plane_chosen(void) { return chosen; }

__attribute__((constructor)) static void choose(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    for (int variant = 0; variant < PLANE_VARIANTS; variant++)
        if (facet_plane_supported(variant)) chosen = variant;
}

void facet_plane_encode(
    const float *rows, size_t dim, const facet_plane_layout *layout, const facet_plane_rules *rules,
    const facet_plane_target *target) {
    facet_plane_encode_with(chosen, rows, dim, layout, rules, target);
}

void facet_plane_sums(
    const facet_plane_query *queries, size_t query_count, const uint8_t *tiles, size_t tile_bytes, size_t count,
    int planes, int onto, uint16_t *const *sums) {
    facet_plane_sums_with(chosen, queries, query_count, tiles, tile_bytes, count, planes, onto, sums);
}

size_t facet_plane_select(
    const facet_plane_query *query, const uint16_t *row_sums, const uint8_t *factors, size_t tile_bytes, size_t count,
    int planes, const facet_plane_limit *limit, uint32_t *positions, int32_t *sums) {
    return facet_plane_select_with(
        chosen, query, row_sums, factors, tile_bytes, count, planes, limit, positions, sums);
}

void facet_plane_columns(
    const uint8_t *rows, size_t row_bytes, const float *factors, size_t count, uint8_t *tiles) {
    facet_plane_columns_with(chosen, rows, row_bytes, factors, count, tiles);
}

size_t facet_plane_refine(
    const facet_plane_query *query, const uint8_t *rows, const float *factors, int before, int planes,
    const facet_plane_limit *limit, uint32_t *positions, int32_t *sums, size_t count) {
    return facet_plane_refine_with(chosen, query, rows, factors, before, planes, limit, positions, sums, count);
}

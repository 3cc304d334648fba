#include "storage_variants.h"

static int chosen = SCALAR;

int facet_storage_supported(int variant) {
#if defined(__x86_64__)
    if (variant == AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("sse4.2");
#endif
    return variant == SCALAR;
}

__attribute__((constructor)) static void choose_variant(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    if (facet_storage_supported(AVX2)) chosen = AVX2;
}

int storage_variant(void) { return chosen; }
int facet_storage_count(void) { return VARIANTS; }
const char *facet_storage_name(int variant) { return variant == AVX2 ? "avx2" : "scalar"; }

#include "facet_kernels.h"

// The scalar reference: the definition in facet_kernels.h, word for word. The vectoriser may keep the eight lanes
// in one register; it may not reorder a lane, because that would change results and no fast-math flag allows it.
static float score_scalar(const double *query, const float *row, size_t dim) {
    double s[8] = {0};
    for (size_t i = 0; i < dim; i += 8)
        for (size_t lane = 0; lane < 8; lane++) s[lane] += query[i + lane] * (double)row[i + lane];
    return (float)(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));
}

static void score_rows_scalar(const double *query, const float *rows, size_t count, size_t dim, float *out) {
    for (size_t r = 0; r < count; r++) out[r] = score_scalar(query, rows + r * dim, dim);
}

static void score_chosen_scalar(
    const double *query, const float *rows, const uint32_t *positions, size_t count, size_t dim, float *out) {
    for (size_t r = 0; r < count; r++) out[r] = score_scalar(query, rows + positions[r] * dim, dim);
}

#if defined(__x86_64__)

typedef double double8 __attribute__((vector_size(64)));
// Rows are read wherever they stand.
typedef double double8_unaligned __attribute__((vector_size(64), aligned(8)));
typedef float float8_unaligned __attribute__((vector_size(32), aligned(4)));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

// How far ahead of the row being read the next ones are asked for: beyond the hardware's reach at a page's end.
enum { PREFETCH_BYTES = 4096 };

ALWAYS_INLINE float tree(const double8 *sum) {
    const double8 s = *sum;
    return (float)(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));
}

ALWAYS_INLINE void accumulate(double8 *sum, const double8 *query, const float *at) {
    const double8 row = __builtin_convertvector(*(const float8_unaligned *)at, double8);
    *sum = __builtin_elementwise_fma(*query, row, *sum);
}

// Four rows together hide the latency of the addition: each row's own sums must be taken in order.
ALWAYS_INLINE void score_four(const double *query, const float *const row[4], size_t dim, uintptr_t ahead, float *out) {
    double8 a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i < dim; i += 8) {
        if (ahead) {
            // Eight floats of four rows are 128 bytes: two lines.
            __builtin_prefetch((const void *)(ahead + i * 16));
            __builtin_prefetch((const void *)(ahead + i * 16 + 64));
        }
        const double8 q = *(const double8_unaligned *)(query + i);
        accumulate(&a, &q, row[0] + i);
        accumulate(&b, &q, row[1] + i);
        accumulate(&c, &q, row[2] + i);
        accumulate(&d, &q, row[3] + i);
    }
    out[0] = tree(&a);
    out[1] = tree(&b);
    out[2] = tree(&c);
    out[3] = tree(&d);
}

ALWAYS_INLINE float score_one(const double *query, const float *row, size_t dim) {
    double8 sum = {0};
    for (size_t i = 0; i < dim; i += 8) {
        const double8 q = *(const double8_unaligned *)(query + i);
        accumulate(&sum, &q, row + i);
    }
    return tree(&sum);
}

// One body; what surrounds it decides the instructions.
ALWAYS_INLINE void score_rows_wide(const double *query, const float *rows, size_t count, size_t dim, float *out) {
    size_t r = 0;
    for (; r + 4 <= count; r += 4) {
        const float *row = rows + r * dim;
        const float *const four[4] = {row, row + dim, row + 2 * dim, row + 3 * dim};
        // An address as a number: it may lie beyond the block, where a prefetch does nothing.
        score_four(query, four, dim, (uintptr_t)row + PREFETCH_BYTES, out + r);
    }
    for (; r < count; r++) out[r] = score_one(query, rows + r * dim, dim);
}

// The beginnings of the next rows; the hardware follows from there.
ALWAYS_INLINE void prefetch_row(const float *row) {
    for (size_t line = 0; line < 4; line++) __builtin_prefetch(row + line * 16);
}

ALWAYS_INLINE void score_chosen_wide(
    const double *query, const float *rows, const uint32_t *positions, size_t count, size_t dim, float *out) {
    // The first rows whole: nothing asked for them before, and often they are all.
    for (size_t i = 0; i < 4 && i < count; i++)
        for (size_t at = 0; at < dim; at += 16) __builtin_prefetch(rows + positions[i] * dim + at);
    size_t r = 0;
    for (; r + 4 <= count; r += 4) {
        const float *four[4];
        for (size_t i = 0; i < 4; i++) four[i] = rows + positions[r + i] * dim;
        for (size_t i = r + 4; i < r + 8 && i < count; i++) prefetch_row(rows + positions[i] * dim);
        score_four(query, four, dim, 0, out + r);
    }
    for (; r < count; r++) out[r] = score_one(query, rows + positions[r] * dim, dim);
}

__attribute__((target("avx2,fma"))) static void score_rows_avx2(
    const double *query, const float *rows, size_t count, size_t dim, float *out) {
    score_rows_wide(query, rows, count, dim, out);
}

__attribute__((target("avx512f,avx2,fma"))) static void score_rows_avx512(
    const double *query, const float *rows, size_t count, size_t dim, float *out) {
    score_rows_wide(query, rows, count, dim, out);
}

__attribute__((target("avx2,fma"))) static void score_chosen_avx2(
    const double *query, const float *rows, const uint32_t *positions, size_t count, size_t dim, float *out) {
    score_chosen_wide(query, rows, positions, count, dim, out);
}

__attribute__((target("avx512f,avx2,fma"))) static void score_chosen_avx512(
    const double *query, const float *rows, const uint32_t *positions, size_t count, size_t dim, float *out) {
    score_chosen_wide(query, rows, positions, count, dim, out);
}

static int avx2_supported(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int avx512_supported(void) { return avx2_supported() && __builtin_cpu_supports("avx512f"); }

#endif

static int always_supported(void) { return 1; }

typedef struct {
    const char *name;
    int (*supported)(void);
    void (*score_rows)(const double *, const float *, size_t, size_t, float *);
    void (*score_chosen)(const double *, const float *, const uint32_t *, size_t, size_t, float *);
} variant_entry;

static const variant_entry variants[] = {
    {"scalar", always_supported, score_rows_scalar, score_chosen_scalar},
#if defined(__x86_64__)
    {"avx2", avx2_supported, score_rows_avx2, score_chosen_avx2},
    {"avx512", avx512_supported, score_rows_avx512, score_chosen_avx512},
#endif
};

enum { VARIANT_COUNT = sizeof(variants) / sizeof(variants[0]) };

// Chosen before main runs and never changed, so that no call needs a lock.
static int chosen_variant = 0;

__attribute__((constructor)) static void choose_variant(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    for (int v = 0; v < VARIANT_COUNT; v++)
        if (variants[v].supported()) chosen_variant = v;
}

void facet_score_rows(const double *query, const float *rows, size_t count, size_t dim, float *out) {
    variants[chosen_variant].score_rows(query, rows, count, dim, out);
}

void facet_score_rows_with(
    int variant, const double *query, const float *rows, size_t count, size_t dim, float *out) {
    variants[variant].score_rows(query, rows, count, dim, out);
}

void facet_score_chosen(
    const double *query, const float *rows, const uint32_t *positions, size_t count, size_t dim, float *out) {
    variants[chosen_variant].score_chosen(query, rows, positions, count, dim, out);
}

void facet_score_chosen_with(
    int variant, const double *query, const float *rows, const uint32_t *positions, size_t count, size_t dim,
    float *out) {
    variants[variant].score_chosen(query, rows, positions, count, dim, out);
}

int facet_kernel_count(void) { return VARIANT_COUNT; }
const char *facet_kernel_name(int variant) { return variants[variant].name; }
int facet_kernel_supported(int variant) { return variants[variant].supported() != 0; }
int facet_kernel_chosen(void) { return chosen_variant; }

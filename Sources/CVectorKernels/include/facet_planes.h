/// Kernels over bit planes: 4 bits a component, most significant plane first, of a uniform code of the vector.
///
/// A component's code is u = clamp(floor(o / step) + 8, 0, 15); its first p planes say u >> (4 - p), which stands for
/// x_p = (u >> (4 - p)) + 1/2 - 2^(p - 1), the middle of its cell. Whole blocks per call, no allocation, thread-safe.
/// All variants give the scalar reference's integers exactly, and its bits where they compute with floats: every
/// operation is rounded by itself, none is fused, and sums have a fixed order.
///
/// Memory of a block of rows, in tiles of 64:
///     tiles   [tile][plane < first][byte of 8 components, component 0 in bit 0][row of 64], then
///             [row of 64] factor, [row of 64] radius: what the first scan reads, one stream
///     rows    for each later stage [row][plane of the stage][byte], read where a row survived; readable for
///             FACET_PLANE_SLACK bytes behind the last
///     factors for each later stage [row]{factor, radius}
/// factor = |o|^2 / <x_p, o>, so that factor * <x_p, q> estimates <o, q>; radius = factor * |part of x_p across o|.
#ifndef FACET_PLANES_H
#define FACET_PLANES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FACET_TILE_ROWS = 64,
    /// Bytes of a tile behind its planes: 64 factors and 64 radii.
    FACET_TILE_FACTOR_BYTES = 512,
    FACET_PLANE_SLACK = 64,
    /// Query codes lie in -31...31.
    FACET_QUERY_CODE_MAX = 31,
    /// The sizes of so many codes, from a multiple of it on, add up to so much at most: their sums fit a byte.
    FACET_QUERY_RUN = 32,
    FACET_QUERY_RUN_MAX = 255,
    /// Queries whose sums are taken together: more would not fit the registers.
    FACET_PLANE_QUERIES_MAX = 4,
    FACET_PLANE_STAGES_MAX = 2,
    FACET_PLANE_STEPS = 4,
    /// Bits a component.
    FACET_PLANES = 4,
};

/// How many planes are read together: `first` for every row, then stage by stage; their sum is 4.
typedef struct {
    int first;
    int stages;
    int planes[FACET_PLANE_STAGES_MAX];
} facet_plane_layout;

/// What a row must be for its estimate to be used; one that is not gets factor 0 and radius infinity at every stage.
typedef struct {
    /// |norm^2 - 1| at most.
    float norm_tolerance;
    /// dim * sum of o^4 / (sum of o^2)^2 at most.
    float fourth_moment_max;
    float radius_max;
    /// A radius of less is raised to it, by prefix length less one.
    float radius_min[FACET_PLANES];
    /// Added to the square of each radius.
    float radius_slack;
    /// Steps tried, in units of the row's root mean square; the one with the greatest cosine is kept.
    float steps[FACET_PLANE_STEPS];
    /// The prefix length whose cosine decides: 3 or 4.
    int deciding_planes;
} facet_plane_rules;

/// Where one tile's codes go; `rows` and `factors` point at the tile's first row.
typedef struct {
    uint8_t *tile;
    uint8_t *rows[FACET_PLANE_STAGES_MAX];
    float *factors[FACET_PLANE_STAGES_MAX];
} facet_plane_target;

/// Encodes 64 rows of `dim` floats. `dim` is a multiple of 8, 2,048 at most.
void facet_plane_encode(
    const float *rows, size_t dim, const facet_plane_layout *layout, const facet_plane_rules *rules,
    const facet_plane_target *target);

/// The query's codes Q and the tables that the kernels read them from.
typedef struct {
    /// `groups` x 8 codes, then zeros up to a multiple of 256 codes.
    const int8_t *codes;
    /// The codes as [32 bytes of a row][bit][byte]: made by `facet_plane_prepare`, as long as `codes`.
    const int8_t *by_bit;
    /// For each four components, the sum of Q over every subset of them, above the least one: 16 bytes a group.
    const uint8_t *sums;
    /// What a plane's sum of `sums` exceeds <b, Q> by.
    int32_t offset;
    /// The sum of Q.
    int32_t total;
    /// dim / 8.
    size_t groups;
} facet_plane_query;

/// Fills `by_bit` and `sums` (2 * dim / 8 * 16 bytes) from `codes`; returns `offset`.
int32_t facet_plane_prepare(const int8_t *codes, size_t groups, int8_t *by_bit, uint8_t *sums);

/// A row goes on unless factor * scale * (2 <u_p, Q> - (2^p - 1) total) + radius * reach + slack < bound.
typedef struct {
    float scale;
    float reach;
    float slack;
    float bound;
} facet_plane_limit;

/// What the planes of each row of `count` tiles of `planes` planes sum up to, above the least sum, for each of
/// 1...FACET_PLANE_QUERIES_MAX queries of one dimension: `sums[query][row]`. A tile begins with its planes and is
/// `tile_bytes` long. With `onto`, `sums` holds the sums of the planes before these, and then those of all.
void facet_plane_sums(
    const facet_plane_query *queries, size_t query_count, const uint8_t *tiles, size_t tile_bytes, size_t count,
    int planes, int onto, uint16_t *const *sums);

/// Writes the rows of `count` tiles that go on by `row_sums`, the sums of their first `planes` planes: rising, and
/// their <u_p, Q>; returns how many. `factors` are the first tile's, the next ones' follow `tile_bytes` later.
/// `positions` and `sums` have room for every row.
size_t facet_plane_select(
    const facet_plane_query *query, const uint16_t *row_sums, const uint8_t *factors, size_t tile_bytes, size_t count,
    int planes, const facet_plane_limit *limit, uint32_t *positions, int32_t *sums);

/// Turns a later stage's rows of `row_bytes` bytes and their factors into `count` tiles, each [byte of a row][row of
/// 64], then factors and radii: where several queries want most rows, the planes are summed up as the first ones are.
void facet_plane_columns(
    const uint8_t *rows, size_t row_bytes, const float *factors, size_t count, uint8_t *tiles);

/// Reads the next `planes` planes of `count` rows whose first `before` planes are in `sums`; keeps, in place and in
/// order, the rows that go on, and returns how many.
size_t facet_plane_refine(
    const facet_plane_query *query, const uint8_t *rows, const float *factors, int before, int planes,
    const facet_plane_limit *limit, uint32_t *positions, int32_t *sums, size_t count);

/// The same by one variant, which must be supported here: for tests and benchmarks.
void facet_plane_encode_with(
    int variant, const float *rows, size_t dim, const facet_plane_layout *layout, const facet_plane_rules *rules,
    const facet_plane_target *target);
void facet_plane_sums_with(
    int variant, const facet_plane_query *queries, size_t query_count, const uint8_t *tiles, size_t tile_bytes,
    size_t count, int planes, int onto, uint16_t *const *sums);
size_t facet_plane_select_with(
    int variant, const facet_plane_query *query, const uint16_t *row_sums, const uint8_t *factors, size_t tile_bytes,
    size_t count, int planes, const facet_plane_limit *limit, uint32_t *positions, int32_t *sums);
void facet_plane_columns_with(
    int variant, const uint8_t *rows, size_t row_bytes, const float *factors, size_t count, uint8_t *tiles);
size_t facet_plane_refine_with(
    int variant, const facet_plane_query *query, const uint8_t *rows, const float *factors, int before, int planes,
    const facet_plane_limit *limit, uint32_t *positions, int32_t *sums, size_t count);

/// Variants are numbered and named as in facet_kernels.h; "avx512" needs its BW and VNNI parts here.
int facet_plane_supported(int variant);
/// The variant in use: the last one supported.
int facet_plane_chosen(void);

#ifdef __cplusplus
}
#endif

#endif

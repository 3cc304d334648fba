// Faces in an image, with ONNX Runtime, libjpeg-turbo and libpng behind a plain C surface.
//
// An engine is used by one thread at a time. No call throws, exits, prints or keeps a pointer it was given.
// Positions are pixels of the upright image (EXIF orientation applied), x to the right, y down.
#ifndef FACET_EXTRACTION_H
#define FACET_EXTRACTION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FACET_OK = 0,
    /// The bytes are no JPEG or PNG that can be decoded completely.
    FACET_UNDECODABLE = 1,
    /// More pixels, or a longer side, than the limits allow; found before memory is allocated for them.
    FACET_TOO_LARGE = 2,
    /// ONNX Runtime or a model file cannot be used as the model description says.
    FACET_MODEL = 3,
    /// Memory or another resource ran out.
    FACET_RESOURCE = 4,
};

enum { FACET_COLOUR_RGB = 0, FACET_COLOUR_BGR = 1 };
enum { FACET_LANDMARKS = 5, FACET_MESSAGE_BYTES = 256 };

/// Why a call failed, as a sentence without a full stop; never any content of the image.
typedef struct {
    char message[FACET_MESSAGE_BYTES];
} facet_error;

typedef struct {
    /// The detector sees the image scaled so that its longest side has this many pixels; 0 leaves the image as it is.
    int32_t detector_side;
    /// The scaling never enlarges by more than this factor.
    float detector_enlarge_max;
    /// Detections below this score (0...1) are dropped.
    float detector_score_min;
    /// Of two detections that overlap by more than this (intersection over union) the weaker one is dropped.
    float detector_overlap_max;
    /// Side of the square crop the embedder takes, in pixels.
    int32_t embedder_side;
    /// Length of an embedding.
    int32_t dimension;
    /// FACET_COLOUR_RGB or FACET_COLOUR_BGR: the order of the embedder's input planes.
    int32_t colour_order;
    /// The embedder's input is (pixel - mean) * scale, mean in the order of the planes.
    float mean[3];
    float scale;
    /// Where the landmarks stand in the crop: x, y of each, in the order of facet_face.landmarks.
    float template_points[2 * FACET_LANDMARKS];
} facet_model;

typedef struct {
    int32_t side_max;
    int64_t pixels_max;
    int32_t faces_max;
} facet_image_limits;

typedef struct {
    float left, top, width, height;
    /// 0...1.
    float score;
    /// x, y of left eye, right eye, nose, left mouth corner, right mouth corner, as the viewer sees them.
    float landmarks[2 * FACET_LANDMARKS];
    /// 0...100 each.
    float brightness, sharpness;
    /// Degrees.
    float roll, yaw, pitch;
} facet_face;

typedef struct {
    int32_t width, height;
    /// Faces written, largest box first.
    int32_t count;
} facet_image;

typedef struct facet_engine facet_engine;

/// Loads ONNX Runtime from `runtime_library` and both models from memory. On success `*engine` is the caller's.
int facet_engine_create(
    const char *runtime_library, const uint8_t *detector, size_t detector_count, const uint8_t *embedder,
    size_t embedder_count, const facet_model *model, facet_engine **engine, facet_error *error);

void facet_engine_destroy(facet_engine *engine);

/// Decodes, detects and embeds. `faces` has room for `limits->faces_max`, `embeddings` for that many times the
/// model's dimension. At most `embed_max` faces are embedded: the largest; the others' rows are left alone.
/// Embeddings are unit vectors.
int facet_engine_extract(
    facet_engine *engine, const uint8_t *bytes, size_t count, const facet_image_limits *limits, int32_t embed_max,
    facet_image *image, facet_face *faces, float *embeddings, facet_error *error);

/// Decodes only; on success `*pixels` holds width * height * 3 bytes of RGB, to be freed with facet_pixels_free.
int facet_image_decode(
    const uint8_t *bytes, size_t count, const facet_image_limits *limits, facet_image *image, uint8_t **pixels,
    facet_error *error);

void facet_pixels_free(uint8_t *pixels);

typedef struct {
    /// Address space of the process, in bytes.
    uint64_t memory_bytes_max;
    /// User and group to become when started as root.
    uint32_t user;
    uint32_t group;
} facet_sandbox;

enum {
    /// The process is neither root nor was it started as root.
    FACET_SANDBOX_UNPRIVILEGED = 1,
    /// System calls are filtered.
    FACET_SANDBOX_FILTERED = 2,
};

/// First call of an extractor process: closes every inherited descriptor but 0, 1 and 2 and limits memory.
int facet_sandbox_prepare(const facet_sandbox *sandbox, facet_error *error);

/// Gives up what is left, for good: user, new descriptors, file writes, threads, core dumps, and every system call
/// but those that decoding and arithmetic need. Models must be loaded before. `*in_force` receives the flags of
/// what this system allowed; everything else is in force or the call fails.
int facet_sandbox_enter(const facet_sandbox *sandbox, uint32_t *in_force, facet_error *error);

/// A pipe that no other child inherits: `ends[0]` reads, `ends[1]` writes. Returns 0 or an errno.
int facet_pipe(int32_t ends[2]);

/// The process is killed when it spends more than `seconds` of CPU from now on; to be called before each image.
int facet_sandbox_allow_cpu(uint32_t seconds, facet_error *error);

#ifdef __cplusplus
}
#endif
#endif

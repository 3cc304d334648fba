// The C surface of decoding, detection and embedding.
#include "detector.h"
#include "embedder.h"

struct facet_engine {
    facet::Runtime runtime;
    facet::Detector detector;
    facet::Embedder embedder;
    facet_model model;

    facet_engine(const char *library, facet::Bytes detector, facet::Bytes embedder, const facet_model &model)
        : runtime(library),
          detector(runtime, detector, model),
          embedder(runtime, embedder, model),
          model(model) {}
};

namespace {

void extract(
    facet_engine &engine, facet::Bytes bytes, const facet_image_limits &limits, int32_t embed_max, facet_image &image,
    facet_face *faces, float *embeddings) {
    const facet::Image decoded = facet::decode(bytes, limits);
    int32_t count = 0;
    for (facet_face &face : engine.detector.detect(decoded, limits.faces_max)) {
        const std::optional<facet::Crop> crop = facet::align(decoded, face, engine.model);
        if (!crop) continue;
        facet::assess(decoded, *crop, face);
        if (count < embed_max) engine.embedder.embed(*crop, embeddings + count * engine.model.dimension);
        faces[count] = face;
        count += 1;
    }
    image = {decoded.width, decoded.height, count};
}

}  // namespace

int facet_engine_create(
    const char *runtime_library, const uint8_t *detector, size_t detector_count, const uint8_t *embedder,
    size_t embedder_count, const facet_model *model, facet_engine **engine, facet_error *error) {
    return facet::guarded(error, [&] {
        *engine = new facet_engine(
            runtime_library, facet::Bytes{detector, detector_count}, facet::Bytes{embedder, embedder_count}, *model);
    });
}

void facet_engine_destroy(facet_engine *engine) { delete engine; }

int facet_engine_extract(
    facet_engine *engine, const uint8_t *bytes, size_t count, const facet_image_limits *limits, int32_t embed_max,
    facet_image *image, facet_face *faces, float *embeddings, facet_error *error) {
    return facet::guarded(error, [&] {
        extract(*engine, facet::Bytes{bytes, count}, *limits, embed_max, *image, faces, embeddings);
    });
}

int facet_image_decode(
    const uint8_t *bytes, size_t count, const facet_image_limits *limits, facet_image *image, uint8_t **pixels,
    facet_error *error) {
    return facet::guarded(error, [&] {
        facet::Image decoded = facet::decode(facet::Bytes{bytes, count}, *limits);
        *image = {decoded.width, decoded.height, 0};
        *pixels = decoded.pixels.release();
    });
}

void facet_pixels_free(uint8_t *pixels) { delete[] pixels; }

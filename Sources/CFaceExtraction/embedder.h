// Alignment to the model's template, and the embedding of the aligned crop.
#pragma once

#include <optional>

#include "runtime.h"

namespace facet {

/// A square crop in which the landmarks stand where the template says; three planes R, G, B of 0...255.
struct Crop {
    int side;
    std::vector<float> planes;
};

/// None when the landmarks fall into one point, so that no crop is defined.
std::optional<Crop> align(const Image &image, const facet_face &face, const facet_model &model);

class Embedder {
public:
    Embedder(const Runtime &runtime, Bytes model, const facet_model &description);

    /// Writes `dimension` values of a unit vector. Throws FACET_MODEL if the model's output has no direction.
    void embed(const Crop &crop, float *out) const;

private:
    Session session;
    facet_model description;
};

/// Sets brightness, sharpness, roll, yaw and pitch.
void assess(const Image &image, const Crop &crop, facet_face &face);

}  // namespace facet

#include "embedder.h"

#include <cmath>

namespace facet {
namespace {

/// x' = a x - b y + dx, y' = b x + a y + dy: from crop to image.
struct Similarity {
    double a, b, dx, dy;
};

/// The least-squares similarity from the template to the landmarks, closed form over complex numbers
/// (Umeyama 1991 without reflection), turned round so that each crop pixel knows where to read.
std::optional<Similarity> crop_to_image(const float *landmarks, const float *points) {
    double mx = 0, my = 0, ux = 0, uy = 0;
    for (int k = 0; k < FACET_LANDMARKS; k++) {
        mx += landmarks[2 * k] / double(FACET_LANDMARKS);
        my += landmarks[2 * k + 1] / double(FACET_LANDMARKS);
        ux += points[2 * k] / double(FACET_LANDMARKS);
        uy += points[2 * k + 1] / double(FACET_LANDMARKS);
    }
    double a = 0, b = 0, spread = 0;
    for (int k = 0; k < FACET_LANDMARKS; k++) {
        const double px = landmarks[2 * k] - mx, py = landmarks[2 * k + 1] - my;
        const double qx = points[2 * k] - ux, qy = points[2 * k + 1] - uy;
        a += px * qx + py * qy;
        b += px * qy - py * qx;
        spread += px * px + py * py;
    }
    const double length = a * a + b * b;
    if (!(spread > 1e-9) || !(length > 1e-9)) return std::nullopt;
    // Forward map is (a + bi) / spread; its inverse is the conjugate over the squared length.
    const double inverse_a = a * spread / length, inverse_b = -b * spread / length;
    return Similarity{
        inverse_a, inverse_b, mx - inverse_a * ux + inverse_b * uy, my - inverse_b * ux - inverse_a * uy};
}

}  // namespace

/// Bilinear; outside the image is black, as OpenCV's warpAffine has it by default.
std::optional<Crop> align(const Image &image, const facet_face &face, const facet_model &model) {
    const std::optional<Similarity> found = crop_to_image(face.landmarks, model.template_points);
    if (!found) return std::nullopt;
    const Similarity map = *found;
    const int side = model.embedder_side;
    const size_t plane = size_t(side) * size_t(side);
    Crop crop{side, std::vector<float>(3 * plane)};
    auto pixel = [&](int x, int y, int k) -> float {
        const bool inside = x >= 0 && y >= 0 && x < image.width && y < image.height;
        return inside ? float(image.at(x, y)[k]) : 0.f;
    };
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            // Far outside is black either way, and must not overflow an int.
            const double fx = std::fmin(std::fmax(map.a * x - map.b * y + map.dx, -4), image.width + 4.0);
            const double fy = std::fmin(std::fmax(map.b * x + map.a * y + map.dy, -4), image.height + 4.0);
            const int left = int(std::floor(fx)), top = int(std::floor(fy));
            const float wx = float(fx - left), wy = float(fy - top);
            for (int k = 0; k < 3; k++) {
                const float upper = pixel(left, top, k) * (1 - wx) + pixel(left + 1, top, k) * wx;
                const float lower = pixel(left, top + 1, k) * (1 - wx) + pixel(left + 1, top + 1, k) * wx;
                crop.planes[size_t(k) * plane + size_t(y) * size_t(side) + size_t(x)] = upper * (1 - wy) + lower * wy;
            }
        }
    }
    return crop;
}

Embedder::Embedder(const Runtime &runtime, Bytes model, const facet_model &description)
    : session(runtime, model, "embedder"), description(description) {
    if (session.outputs().size() != 1) throw Failure(FACET_MODEL, "embedder: the model must have one output");
}

void Embedder::embed(const Crop &crop, float *out) const {
    const size_t plane = size_t(crop.side) * size_t(crop.side);
    const size_t dimension = size_t(description.dimension);
    std::vector<float> input(3 * plane);
    for (size_t k = 0; k < 3; k++) {
        const size_t source = description.colour_order == FACET_COLOUR_BGR ? 2 - k : k;
        for (size_t i = 0; i < plane; i++) {
            input[k * plane + i] = (crop.planes[source * plane + i] - description.mean[k]) * description.scale;
        }
    }
    const auto outputs =
        session.run(input, crop.side, crop.side, {session.outputs()[0].c_str()}, {dimension});
    const float *values = session.values(outputs[0]);
    double square = 0;
    for (size_t i = 0; i < dimension; i++) square += double(values[i]) * double(values[i]);
    const double norm = std::sqrt(square);
    if (!std::isfinite(norm) || norm < 1e-6) throw Failure(FACET_MODEL, "embedder: an output without direction");
    for (size_t i = 0; i < dimension; i++) out[i] = float(values[i] / norm);
}

}  // namespace facet

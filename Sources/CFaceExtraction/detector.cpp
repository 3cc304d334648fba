#include "detector.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace facet {
namespace {

constexpr int strides[] = {8, 16, 32};
constexpr int stride_max = 32;
/// Candidates looked at after scoring; a hostile image cannot make suppression quadratic in its pixels.
constexpr size_t candidates_max = 5000;

/// Bilinear, pixel centres at .5, edges repeated: what OpenCV's INTER_LINEAR does. Planes in B, G, R order.
void resize(const Image &image, int width, int height, int plane_width, size_t plane, float *out) {
    const float step_x = float(image.width) / float(width), step_y = float(image.height) / float(height);
    for (int y = 0; y < height; y++) {
        const float fy = std::clamp((float(y) + .5f) * step_y - .5f, 0.f, float(image.height - 1));
        const int top = int(fy), bottom = std::min(top + 1, image.height - 1);
        const float wy = fy - float(top);
        for (int x = 0; x < width; x++) {
            const float fx = std::clamp((float(x) + .5f) * step_x - .5f, 0.f, float(image.width - 1));
            const int left = int(fx), right = std::min(left + 1, image.width - 1);
            const float wx = fx - float(left);
            const uint8_t *a = image.at(left, top), *b = image.at(right, top);
            const uint8_t *c = image.at(left, bottom), *d = image.at(right, bottom);
            for (size_t k = 0; k < 3; k++) {
                const float upper = float(a[k]) * (1 - wx) + float(b[k]) * wx;
                const float lower = float(c[k]) * (1 - wx) + float(d[k]) * wx;
                out[(2 - k) * plane + size_t(y) * size_t(plane_width) + size_t(x)] = upper * (1 - wy) + lower * wy;
            }
        }
    }
}

float overlap(const facet_face &a, const facet_face &b) {
    const float x = std::min(a.left + a.width, b.left + b.width) - std::max(a.left, b.left);
    const float y = std::min(a.top + a.height, b.top + b.height) - std::max(a.top, b.top);
    const float both = std::max(0.f, x) * std::max(0.f, y);
    return both / (a.width * a.height + b.width * b.height - both);
}

bool finite(const facet_face &face) {
    const float sum = face.left + face.top + face.width + face.height;
    const bool boxed = std::isfinite(sum) && face.width > 0 && face.height > 0;
    return boxed && std::all_of(std::begin(face.landmarks), std::end(face.landmarks), [](float v) {
               return std::isfinite(v);
           });
}

}  // namespace

Detector::Detector(const Runtime &runtime, Bytes model, const facet_model &description)
    : session(runtime, model, "detector"), description(description) {}

std::vector<facet_face> Detector::detect(const Image &image, int faces_max) const {
    Canvas input = canvas(image);
    std::vector<facet_face> faces = suppress(candidates(input));
    std::sort(faces.begin(), faces.end(), [](const facet_face &a, const facet_face &b) {
        return a.width * a.height > b.width * b.height;
    });
    if (faces.size() > size_t(faces_max)) faces.resize(size_t(faces_max));
    return faces;
}

Detector::Canvas Detector::canvas(const Image &image) const {
    const int longest = std::max(image.width, image.height);
    float scale = 1;
    if (description.detector_side > 0) {
        scale = std::min(description.detector_enlarge_max, float(description.detector_side) / float(longest));
    }
    const int width = std::max(1, int(std::lround(float(image.width) * scale)));
    const int height = std::max(1, int(std::lround(float(image.height) * scale)));
    Canvas canvas;
    canvas.width = (width + stride_max - 1) / stride_max * stride_max;
    canvas.height = (height + stride_max - 1) / stride_max * stride_max;
    canvas.scale_x = float(image.width) / float(width);
    canvas.scale_y = float(image.height) / float(height);
    const size_t plane = size_t(canvas.width) * size_t(canvas.height);
    canvas.planes.assign(3 * plane, 0.f);
    resize(image, width, height, canvas.width, plane, canvas.planes.data());
    return canvas;
}

/// Each cell of each stride's grid proposes one face, relative to its corner and in units of the stride.
std::vector<facet_face> Detector::candidates(Canvas &canvas) const {
    static const std::vector<const char *> names = {
        "cls_8", "obj_8", "bbox_8", "kps_8", "cls_16", "obj_16", "bbox_16", "kps_16", "cls_32", "obj_32", "bbox_32",
        "kps_32"};
    std::vector<size_t> expected;
    for (int stride : strides) {
        const size_t cells = size_t(canvas.width / stride) * size_t(canvas.height / stride);
        for (size_t values : {1, 1, 4, 10}) expected.push_back(cells * values);
    }
    const auto outputs = session.run(canvas.planes, canvas.height, canvas.width, names, expected);
    std::vector<facet_face> faces;
    for (size_t level = 0; level < 3; level++) {
        const float *face = session.values(outputs[4 * level]), *object = session.values(outputs[4 * level + 1]);
        const float *boxes = session.values(outputs[4 * level + 2]), *points = session.values(outputs[4 * level + 3]);
        const int columns = canvas.width / strides[level];
        const float stride = float(strides[level]);
        for (size_t cell = 0; cell < expected[4 * level]; cell++) {
            const float score = std::sqrt(std::clamp(face[cell], 0.f, 1.f) * std::clamp(object[cell], 0.f, 1.f));
            if (!(score >= description.detector_score_min)) continue;
            const float x = float(int(cell) % columns), y = float(int(cell) / columns);
            const float *box = boxes + 4 * cell, *point = points + 10 * cell;
            facet_face found = {};
            found.score = score;
            found.width = std::exp(box[2]) * stride * canvas.scale_x;
            found.height = std::exp(box[3]) * stride * canvas.scale_y;
            found.left = (x + box[0]) * stride * canvas.scale_x - found.width / 2;
            found.top = (y + box[1]) * stride * canvas.scale_y - found.height / 2;
            for (int k = 0; k < FACET_LANDMARKS; k++) {
                found.landmarks[2 * k] = (point[2 * k] + x) * stride * canvas.scale_x;
                found.landmarks[2 * k + 1] = (point[2 * k + 1] + y) * stride * canvas.scale_y;
            }
            if (finite(found)) faces.push_back(found);
        }
    }
    return faces;
}

std::vector<facet_face> Detector::suppress(std::vector<facet_face> faces) const {
    // Equal scores by position, so that the order never hangs on the sorting algorithm.
    std::sort(faces.begin(), faces.end(), [](const facet_face &a, const facet_face &b) {
        return std::tie(b.score, a.top, a.left) < std::tie(a.score, b.top, b.left);
    });
    if (faces.size() > candidates_max) faces.resize(candidates_max);
    std::vector<facet_face> kept;
    for (const facet_face &face : faces) {
        const bool covered = std::any_of(kept.begin(), kept.end(), [&](const facet_face &other) {
            return overlap(face, other) > description.detector_overlap_max;
        });
        if (!covered) kept.push_back(face);
    }
    return kept;
}

}  // namespace facet

// Quality figures and head pose. Both are guides for people who judge a photo, not measurements.
#include <algorithm>
#include <cmath>

#include "embedder.h"

namespace facet {
namespace {

/// Rec. 601 luma, 0...255.
float luma(float red, float green, float blue) { return 0.299f * red + 0.587f * green + 0.114f * blue; }

/// Mean luma over the part of the box inside the image, as 0...100; every n-th pixel of a large face.
float brightness(const Image &image, const facet_face &face) {
    constexpr int samples_per_side = 128;
    const auto inside = [](float at, int side) { return int(std::clamp(at, 0.f, float(side - 1))); };
    const int left = inside(face.left, image.width), right = inside(face.left + face.width, image.width);
    const int top = inside(face.top, image.height), bottom = inside(face.top + face.height, image.height);
    const int step_x = std::max(1, (right - left) / samples_per_side);
    const int step_y = std::max(1, (bottom - top) / samples_per_side);
    double sum = 0, count = 0;
    for (int y = top; y <= bottom; y += step_y) {
        for (int x = left; x <= right; x += step_x) {
            const uint8_t *p = image.at(x, y);
            sum += luma(p[0], p[1], p[2]);
            count += 1;
        }
    }
    return float(sum / count / 255 * 100);
}

/// Variance v of the Laplacian over the aligned crop (Pech-Pacheco et al. 2000), so that photos of any size compare;
/// mapped to 0...100 as 100 v / (v + 250): 50 where an edge is as strong as in an ordinary 112-pixel crop.
float sharpness(const Crop &crop) {
    const int side = crop.side;
    const size_t plane = size_t(side) * size_t(side);
    std::vector<float> grey(plane);
    for (size_t i = 0; i < plane; i++) {
        grey[i] = luma(crop.planes[i], crop.planes[plane + i], crop.planes[2 * plane + i]);
    }
    double sum = 0, square = 0, count = 0;
    for (int y = 1; y + 1 < side; y++) {
        for (int x = 1; x + 1 < side; x++) {
            const float *p = grey.data() + size_t(y) * size_t(side) + size_t(x);
            const double edge = 4 * p[0] - p[-1] - p[1] - p[-side] - p[side];
            sum += edge;
            square += edge * edge;
            count += 1;
        }
    }
    const double variance = std::max(0.0, square / count - sum / count * (sum / count));
    return float(100 * variance / (variance + 250));
}

/// Roll is the slope of the line through the eyes. Yaw and pitch follow from how far the nose's tip, which stands out
/// by about .45 of the eyes' distance, has left its frontal place; positive: turned to the viewer's right, and up.
void set_pose(facet_face &face) {
    constexpr float degrees = 57.29578f, protrusion = 0.45f, nose_frontal = 0.495f, height_per_width = 1.155f;
    const float *p = face.landmarks;
    const float eye_x = (p[0] + p[2]) / 2, eye_y = (p[1] + p[3]) / 2;
    const float mouth_x = (p[6] + p[8]) / 2, mouth_y = (p[7] + p[9]) / 2;
    const float dx = p[2] - p[0], dy = p[3] - p[1];
    const float width = std::max(1e-3f, std::hypot(dx, dy));
    const float right_x = dx / width, right_y = dy / width;
    // Down is right turned by a quarter; what follows is in the face's own axes.
    const float nose_right = (p[4] - eye_x) * right_x + (p[5] - eye_y) * right_y;
    const float mouth_right = (mouth_x - eye_x) * right_x + (mouth_y - eye_y) * right_y;
    const float nose_down = -(p[4] - eye_x) * right_y + (p[5] - eye_y) * right_x;
    const float mouth_down = std::max(1e-3f, -(mouth_x - eye_x) * right_y + (mouth_y - eye_y) * right_x);
    const float along = nose_down / mouth_down;
    const float offset = (nose_right - mouth_right * nose_frontal) / width;
    face.roll = std::atan2(dy, dx) * degrees;
    face.yaw = std::atan(offset / protrusion) * degrees;
    face.pitch = std::atan((nose_frontal - along) * height_per_width / protrusion) * degrees;
}

}  // namespace

void assess(const Image &image, const Crop &crop, facet_face &face) {
    face.brightness = brightness(image, face);
    face.sharpness = sharpness(crop);
    set_pose(face);
}

}  // namespace facet

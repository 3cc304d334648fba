// A decoded image and the decoders that make one.
#pragma once

#include <memory>

#include "failure.h"

namespace facet {

/// Packed 8-bit RGB, rows from the top, no padding.
struct Image {
    int width = 0;
    int height = 0;
    std::unique_ptr<uint8_t[]> pixels;

    Image() = default;
    Image(int width, int height) : Image(width, height, 3) {}
    /// Room for `channels` bytes a pixel while decoding; what is read later is three.
    Image(int width, int height, int channels)
        : width(width), height(height), pixels(new uint8_t[size_t(width) * size_t(height) * size_t(channels)]) {}

    const uint8_t *at(int x, int y) const { return pixels.get() + (size_t(y) * size_t(width) + size_t(x)) * 3; }
    uint8_t *at(int x, int y) { return pixels.get() + (size_t(y) * size_t(width) + size_t(x)) * 3; }
};

struct Bytes {
    const uint8_t *data;
    size_t count;
};

/// JPEG or PNG by its first bytes, upright. Throws FACET_UNDECODABLE, FACET_TOO_LARGE, std::bad_alloc.
Image decode(Bytes bytes, const facet_image_limits &limits);

Image decode_jpeg(Bytes bytes, const facet_image_limits &limits);
Image decode_png(Bytes bytes, const facet_image_limits &limits);

/// Throws unless both sides are positive and inside the limits.
void check_size(int64_t width, int64_t height, const facet_image_limits &limits);

/// EXIF orientation of a JPEG, 1...8; 1 where there is none or where it is malformed.
int exif_orientation(Bytes jpeg);

/// The upright image of one stored with this EXIF orientation.
Image upright(Image image, int orientation);

}  // namespace facet

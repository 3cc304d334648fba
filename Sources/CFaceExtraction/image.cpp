#include "image.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace facet {

void report(facet_error *error, const char *message) {
    if (error) std::snprintf(error->message, sizeof error->message, "%s", message);
}

void check_size(int64_t width, int64_t height, const facet_image_limits &limits) {
    if (width < 1 || height < 1) throw Failure(FACET_UNDECODABLE, "the image has no pixels");
    if (width > limits.side_max || height > limits.side_max || width * height > limits.pixels_max) {
        char text[FACET_MESSAGE_BYTES];
        std::snprintf(
            text, sizeof text, "%lld x %lld pixels; allowed are %d a side and %lld in all", (long long)width,
            (long long)height, limits.side_max, (long long)limits.pixels_max);
        throw Failure(FACET_TOO_LARGE, text);
    }
}

Image decode(Bytes bytes, const facet_image_limits &limits) {
    static const uint8_t jpeg[] = {0xff, 0xd8, 0xff};
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    auto begins = [&](const uint8_t *magic, size_t count) {
        return bytes.count >= count && std::memcmp(bytes.data, magic, count) == 0;
    };
    if (begins(jpeg, sizeof jpeg)) return upright(decode_jpeg(bytes, limits), exif_orientation(bytes));
    if (begins(png, sizeof png)) return decode_png(bytes, limits);
    throw Failure(FACET_UNDECODABLE, "the bytes are neither a JPEG nor a PNG");
}

/// Each orientation says where the stored first row and first column lie (EXIF 2.32, tag 0x0112).
Image upright(Image image, int orientation) {
    if (orientation <= 1 || orientation > 8) return image;
    const bool swapped = orientation >= 5;
    const int width = image.width, height = image.height;
    Image turned(swapped ? height : width, swapped ? width : height);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            const int right = width - 1 - x, bottom = height - 1 - y;
            int column = x, row = y;
            switch (orientation) {
            case 2: column = right; break;
            case 3: column = right, row = bottom; break;
            case 4: row = bottom; break;
            case 5: column = y, row = x; break;
            case 6: column = bottom, row = x; break;
            case 7: column = bottom, row = right; break;
            case 8: column = y, row = right; break;
            }
            std::copy_n(image.at(x, y), 3, turned.at(column, row));
        }
    }
    return turned;
}

}  // namespace facet

#include <turbojpeg.h>

#include <climits>
#include <cstring>

#include "image.h"

namespace facet {
namespace {

struct Decompressor {
    tjhandle handle = tjInitDecompress();
    Decompressor() {
        if (!handle) throw std::bad_alloc();
    }
    Decompressor(const Decompressor &) = delete;
    ~Decompressor() { tjDestroy(handle); }
};

/// A JPEG that ends early decodes to grey with a warning only; an embedding of grey must never be enrolled.
/// Other warnings (stray bytes between markers, odd versions) are common in sound photos.
void check(tjhandle handle, int result) {
    if (result == 0) return;
    const char *message = tjGetErrorStr2(handle);
    if (tjGetErrorCode(handle) == TJERR_WARNING && !std::strstr(message, "remature end")) return;
    throw Failure(FACET_UNDECODABLE, std::string("JPEG: ") + message);
}

/// Files with four inks hold them inverted (Adobe's convention, which every common writer follows).
void inks_to_rgb(uint8_t *pixels, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *ink = pixels + 4 * i;
        const unsigned black = ink[3];
        const unsigned rgb[3] = {ink[0] * black, ink[1] * black, ink[2] * black};
        for (int k = 0; k < 3; k++) pixels[3 * i + size_t(k)] = uint8_t((rgb[k] + 127) / 255);
    }
}

}  // namespace

Image decode_jpeg(Bytes bytes, const facet_image_limits &limits) {
    if (bytes.count > ULONG_MAX) throw Failure(FACET_TOO_LARGE, "JPEG: too many bytes");
    Decompressor jpeg;
    int width = 0, height = 0, sampling = 0, colours = 0;
    const auto size = static_cast<unsigned long>(bytes.count);
    check(jpeg.handle, tjDecompressHeader3(jpeg.handle, bytes.data, size, &width, &height, &sampling, &colours));
    check_size(width, height, limits);
    const bool inks = colours == TJCS_CMYK || colours == TJCS_YCCK;
    Image image(width, height, inks ? 4 : 3);
    const int flags = TJFLAG_LIMITSCANS | TJFLAG_ACCURATEDCT;
    const int format = inks ? TJPF_CMYK : TJPF_RGB;
    check(
        jpeg.handle,
        tjDecompress2(jpeg.handle, bytes.data, size, image.pixels.get(), width, 0, height, format, flags));
    if (inks) inks_to_rgb(image.pixels.get(), size_t(width) * size_t(height));
    return image;
}

}  // namespace facet

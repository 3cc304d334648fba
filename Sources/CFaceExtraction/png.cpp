#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "image.h"

namespace facet {
namespace {

/// libpng reports errors by longjmp, which must not skip a destructor: everything that owns memory lives here,
/// outside the function that calls setjmp.
struct Reader {
    Bytes bytes;
    size_t at = 0;
    char message[128] = "PNG: cannot be read";
    png_structp png = nullptr;
    png_infop info = nullptr;
    std::unique_ptr<png_bytep[]> rows;

    explicit Reader(Bytes bytes);
    Reader(const Reader &) = delete;
    ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void fail(png_structp png, png_const_charp message) {
    auto reader = static_cast<Reader *>(png_get_error_ptr(png));
    std::snprintf(reader->message, sizeof reader->message, "PNG: %s", message);
    png_longjmp(png, 1);
}

void ignore(png_structp, png_const_charp) {}

void read(png_structp png, png_bytep out, size_t count) {
    auto reader = static_cast<Reader *>(png_get_io_ptr(png));
    if (count > reader->bytes.count - reader->at) png_error(png, "the file ends early");
    std::memcpy(out, reader->bytes.data + reader->at, count);
    reader->at += count;
}

Reader::Reader(Bytes bytes) : bytes(bytes) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, fail, ignore);
    if (png) info = png_create_info_struct(png);
    if (!info) {
        png_destroy_read_struct(&png, nullptr, nullptr);
        throw std::bad_alloc();
    }
}

/// False on an error, told in `reader.message`; so for the next two.
bool read_header(Reader &reader) {
    png_structp png = reader.png;
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_read_fn(png, &reader, read);
    png_set_chunk_malloc_max(png, 8 << 20);
    png_set_chunk_cache_max(png, 64);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_read_info(png, reader.info);
    return true;
}

/// Any PNG becomes 8-bit RGB, or RGBA where it has transparency.
bool set_layout(Reader &reader) {
    png_structp png = reader.png;
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, reader.info);
    return true;
}

bool read_rows(Reader &reader) {
    if (setjmp(png_jmpbuf(reader.png))) return false;
    png_read_image(reader.png, reader.rows.get());
    png_read_end(reader.png, nullptr);
    return true;
}

/// Transparent pixels as a viewer on white paper shows them; in place, since RGB needs less room than RGBA.
void flatten(uint8_t *pixels, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const unsigned alpha = pixels[4 * i + 3];
        for (size_t k = 0; k < 3; k++) {
            pixels[3 * i + k] = uint8_t((pixels[4 * i + k] * alpha + 255 * (255 - alpha) + 127) / 255);
        }
    }
}

}  // namespace

Image decode_png(Bytes bytes, const facet_image_limits &limits) {
    Reader reader(bytes);
    if (!read_header(reader)) throw Failure(FACET_UNDECODABLE, reader.message);
    const int64_t width = png_get_image_width(reader.png, reader.info);
    const int64_t height = png_get_image_height(reader.png, reader.info);
    check_size(width, height, limits);
    if (!set_layout(reader)) throw Failure(FACET_UNDECODABLE, reader.message);
    const size_t channels = png_get_channels(reader.png, reader.info);
    const size_t row = size_t(width) * channels;
    if (channels < 3 || png_get_rowbytes(reader.png, reader.info) != row) {
        throw Failure(FACET_UNDECODABLE, "PNG: a pixel layout that is not known");
    }
    Image image{int(width), int(height), int(channels)};
    reader.rows.reset(new png_bytep[size_t(height)]);
    for (size_t y = 0; y < size_t(height); y++) reader.rows[y] = image.pixels.get() + y * row;
    if (!read_rows(reader)) throw Failure(FACET_UNDECODABLE, reader.message);
    if (channels == 4) flatten(image.pixels.get(), size_t(width) * size_t(height));
    return image;
}

}  // namespace facet

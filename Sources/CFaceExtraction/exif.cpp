// EXIF orientation from a JPEG's APP1 segment. Every read is bounded; what is malformed means "upright".
#include <cstring>

#include "image.h"

namespace facet {
namespace {

/// The TIFF structure inside the segment; offsets count from its first byte.
class Tiff {
public:
    explicit Tiff(Bytes bytes) : bytes(bytes), big(bytes.count > 0 && bytes.data[0] == 'M') {}

    bool valid() const {
        return bytes.count >= 8 && bytes.data[0] == bytes.data[1] && (bytes.data[0] == 'I' || big) && u16(2) == 42;
    }

    uint32_t u16(size_t offset) const {
        if (offset > bytes.count || bytes.count - offset < 2) return 0;
        const uint8_t *p = bytes.data + offset;
        return big ? uint32_t(p[0]) << 8 | p[1] : uint32_t(p[1]) << 8 | p[0];
    }

    uint32_t u32(size_t offset) const {
        const uint32_t first = u16(offset), second = u16(offset + 2);
        return big ? first << 16 | second : second << 16 | first;
    }

private:
    Bytes bytes;
    bool big;
};

int orientation_of(Tiff tiff) {
    constexpr uint32_t tag = 0x0112, type_short = 3;
    if (!tiff.valid()) return 1;
    const size_t directory = tiff.u32(4);
    const uint32_t entries = tiff.u16(directory);
    for (uint32_t i = 0; i < entries; i++) {
        const size_t entry = directory + 2 + size_t(i) * 12;
        if (tiff.u16(entry) != tag) continue;
        const uint32_t value = tiff.u16(entry + 8);
        const bool one_short = tiff.u16(entry + 2) == type_short && tiff.u32(entry + 4) == 1;
        return one_short && value >= 1 && value <= 8 ? int(value) : 1;
    }
    return 1;
}

}  // namespace

int exif_orientation(Bytes jpeg) {
    constexpr uint8_t app1 = 0xe1, start_of_scan = 0xda;
    size_t at = 2;
    while (at + 4 <= jpeg.count && jpeg.data[at] == 0xff) {
        const uint8_t marker = jpeg.data[at + 1];
        if (marker == 0xff) {  // A fill byte before the marker.
            at += 1;
            continue;
        }
        const size_t length = size_t(jpeg.data[at + 2]) << 8 | jpeg.data[at + 3];
        if (marker == start_of_scan || length < 2 || length > jpeg.count - at - 2) return 1;
        const uint8_t *segment = jpeg.data + at + 4;
        if (marker == app1 && length >= 8 && std::memcmp(segment, "Exif\0\0", 6) == 0) {
            return orientation_of(Tiff(Bytes{segment + 6, length - 8}));
        }
        at += 2 + length;
    }
    return 1;
}

}  // namespace facet

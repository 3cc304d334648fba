import Foundation

/// Small synthetic images, made here byte by byte: no photo of a person is needed to break a decoder.
enum TestImages {
    static let width = 48
    static let height = 32

    /// A JPEG (4:4:4, quality 95) of four flat quarters: red, green above blue, white; 48 x 32 pixels.
    static let quarters = Data(base64Encoded: quartersBase64).map { [UInt8]($0) } ?? []

    /// The same JPEG with an EXIF segment that says `orientation`, in either byte order.
    static func oriented(_ orientation: UInt16, bigEndian: Bool) -> [UInt8] {
        func u16(_ value: UInt16) -> [UInt8] {
            let bytes = [UInt8(value >> 8), UInt8(value & 255)]
            return bigEndian ? bytes : bytes.reversed()
        }
        func u32(_ value: UInt16) -> [UInt8] { bigEndian ? u16(0) + u16(value) : u16(value) + u16(0) }
        let mark: [UInt8] = Array((bigEndian ? "MM" : "II").utf8)
        let tiff = mark + u16(42) + u32(8) + u16(1) + u16(0x0112) + u16(3) + u32(1) + u16(orientation) + u16(0) + u32(0)
        return withExif(tiff)
    }

    /// The same JPEG with these bytes as its EXIF structure.
    static func withExif(_ tiff: [UInt8]) -> [UInt8] {
        let length = tiff.count + 8
        let segment: [UInt8] = [0xff, 0xe1, UInt8(length >> 8), UInt8(length & 255)] + Array("Exif\0\0".utf8) + tiff
        return Array(quarters[..<2]) + segment + Array(quarters[2...])
    }

    /// A PNG's signature and header for these sides, and nothing after it.
    static func pngHeader(width: UInt32, height: UInt32) -> [UInt8] {
        let sides = [width, height].flatMap { side in (0..<4).map { UInt8(side >> (24 - 8 * $0) & 255) } }
        let body = Array("IHDR".utf8) + sides + [8, 2, 0, 0, 0]
        let crc = crc32(body)
        return [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13] + body
            + (0..<4).map { UInt8(crc >> (24 - 8 * $0) & 255) } + [0, 0, 0, 0] + Array("IDAT".utf8)
    }

    /// The quarters with other sides in the JPEG's frame header.
    static func jpeg(claimingWidth width: UInt16, height: UInt16) -> [UInt8] {
        var bytes = quarters
        guard let frame = bytes.indices.dropLast().first(where: { bytes[$0] == 0xff && bytes[$0 + 1] == 0xc0 }) else {
            return []
        }
        bytes.replaceSubrange(
            frame + 5..<frame + 9,
            with: [UInt8(height >> 8), UInt8(height & 255), UInt8(width >> 8), UInt8(width & 255)])
        return bytes
    }

    static let gif: [UInt8] = Array("GIF89a".utf8) + [1, 0, 1, 0, 0, 0, 0, 0x3b]

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { crc, byte in
            (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value >> 1 ^ (value & 1 == 1 ? 0xedb8_8320 : 0) }
        }
    }
}

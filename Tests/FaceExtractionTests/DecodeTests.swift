import CFaceExtraction
import Testing

@testable import FaceExtraction

/// Red, green, blue or white at a pixel of a decoded image.
private struct Decoded {
    var width: Int
    var height: Int
    var pixels: [UInt8]

    func colour(_ x: Int, _ y: Int) -> String {
        let at = 3 * (y * width + x)
        let bright = pixels[at..<at + 3].map { $0 > 128 }
        switch (bright[0], bright[1], bright[2]) {
        case (true, false, false): return "R"
        case (false, true, false): return "G"
        case (false, false, true): return "B"
        case (true, true, true): return "W"
        default: return "?"
        }
    }

    /// Colours of the four quarters: top left, top right, bottom left, bottom right.
    var quarters: String {
        let (x0, x1, y0, y1) = (width / 4, width * 3 / 4, height / 4, height * 3 / 4)
        return colour(x0, y0) + colour(x1, y0) + colour(x0, y1) + colour(x1, y1)
    }
}

private func decode(_ bytes: [UInt8], sideMax: Int32 = 10_000) -> (code: Int, image: Decoded?) {
    var limits = facet_image_limits(side_max: sideMax, pixels_max: 50_000_000, faces_max: 100)
    var image = facet_image()
    var pixels: UnsafeMutablePointer<UInt8>?
    var error = facet_error()
    let code = Int(facet_image_decode(bytes, bytes.count, &limits, &image, &pixels, &error))
    guard code == FACET_OK, let pixels else { return (code, nil) }
    defer { facet_pixels_free(pixels) }
    let (width, height) = (Int(image.width), Int(image.height))
    let copy = Array(UnsafeBufferPointer(start: pixels, count: 3 * width * height))
    return (code, Decoded(width: width, height: height, pixels: copy))
}

@Suite struct DecodeTests {
    /// What the viewer must see for each stored orientation of an image whose quarters are R G over B W.
    @Test(
        arguments: Array(zip(1...8, ["RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"])), [false, true])
    func orientationIsApplied(_ expected: (orientation: Int, quarters: String), bigEndian: Bool) throws {
        let (_, decoded) = decode(TestImages.oriented(UInt16(expected.orientation), bigEndian: bigEndian))
        let image = try #require(decoded)
        #expect(image.quarters == expected.quarters)
        let swapped = expected.orientation >= 5
        #expect(image.width == (swapped ? TestImages.height : TestImages.width))
        #expect(image.height == (swapped ? TestImages.width : TestImages.height))
    }

    @Test func malformedExifMeansUpright() throws {
        var generator = SplitMix(seed: 7)
        for orientation: UInt16 in [0, 9, 65_535] {
            #expect(decode(TestImages.oriented(orientation, bigEndian: true)).image?.quarters == "RGBW")
        }
        let sound: [UInt8] = Array("MM\0*\0\0\0\u{8}\0\u{1}".utf8) + [1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0]
        for count in 0..<sound.count {
            #expect(decode(TestImages.withExif(Array(sound[..<count]))).code == FACET_OK)
        }
        for _ in 0..<500 {
            var broken = sound
            broken[Int(generator.next() % UInt64(broken.count))] = UInt8(truncatingIfNeeded: generator.next())
            #expect(decode(TestImages.withExif(broken)).code == FACET_OK)
        }
    }

    @Test func everyTruncationIsRefused() {
        #expect(decode(TestImages.quarters).code == FACET_OK)
        for count in 0..<TestImages.quarters.count - 2 {
            #expect(decode(Array(TestImages.quarters[..<count])).code == FACET_UNDECODABLE, "\(count) bytes")
        }
    }

    @Test func flippedBytesNeverCrash() {
        for index in TestImages.quarters.indices {
            for bit in [0x01, 0x80, 0xff] as [UInt8] {
                var bytes = TestImages.quarters
                bytes[index] ^= bit
                let code = decode(bytes).code
                #expect([FACET_OK, FACET_UNDECODABLE, FACET_TOO_LARGE].contains(code))
            }
        }
    }

    @Test func otherFormatsAndNoiseAreRefused() {
        var generator = SplitMix(seed: 11)
        #expect(decode([]).code == FACET_UNDECODABLE)
        #expect(decode(TestImages.gif).code == FACET_UNDECODABLE)
        for _ in 0..<200 {
            let noise = (0..<64).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            #expect(decode(noise).code == FACET_UNDECODABLE)
            #expect(decode([0xff, 0xd8, 0xff] + noise).code == FACET_UNDECODABLE)
            #expect(decode([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] + noise).code == FACET_UNDECODABLE)
        }
    }

    /// A header may promise gigabytes; it is refused before any are asked for.
    @Test func sizesAreCheckedFirst() {
        #expect(decode(TestImages.pngHeader(width: 20_000, height: 10)).code == FACET_TOO_LARGE)
        #expect(decode(TestImages.pngHeader(width: 9_000, height: 9_000)).code == FACET_TOO_LARGE)
        #expect(decode(TestImages.pngHeader(width: 0, height: 0)).code == FACET_UNDECODABLE)
        #expect(decode(TestImages.jpeg(claimingWidth: 20_000, height: 10)).code == FACET_TOO_LARGE)
        #expect(decode(TestImages.jpeg(claimingWidth: 60_000, height: 60_000)).code == FACET_TOO_LARGE)
        #expect(decode(TestImages.quarters, sideMax: 47).code == FACET_TOO_LARGE)
    }
}

import CStorageKernels
import Testing

private let variants = (0..<facet_storage_count()).filter { facet_storage_supported($0) == 1 }

private func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var state: UInt64 = (seed &* 0x9E37_79B9_7F4A_7C15) | 1
    return (0..<count).map { _ -> UInt8 in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state >> 32)
    }
}

/// The definition, a bit at a time.
private func crc(_ bytes: ArraySlice<UInt8>, seed: UInt32) -> UInt32 {
    var crc = ~seed
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 {
            let odd = crc & 1 == 1
            crc >>= 1
            if odd { crc ^= 0x82F6_3B78 }
        }
    }
    return ~crc
}

@Test(arguments: variants) private func everyVariantOfTheChecksumIsTheDefinitions(_ variant: Int32) {
    #expect(facet_crc32c_with(variant, "123456789", 9, 0) == 0xE306_9283)
    let all = bytes(5_000, seed: 1)
    for count in Array(0...70) + [511, 512, 1_535, 1_536, 1_537, 3_072, 4_000, 4_990] {
        for start in [0, 1, 7] {
            let some = all[start..<start + count]
            let seed = UInt32(truncatingIfNeeded: count * 77_777_777)
            let found = some.withUnsafeBytes { facet_crc32c_with(variant, $0.baseAddress, count, seed) }
            #expect(found == crc(some, seed: seed), "\(count) bytes from \(start)")
        }
    }
}

@Test(arguments: variants) private func everyVariantPutsBitsWhereTheFormatSays(_ variant: Int32) {
    for groups in Array(0...70) + [96, 255, 256, 257, 1_024] {
        let planes = bytes(32 * groups + 1, seed: UInt64(groups))
        var expected = [UInt8](repeating: 0, count: 32 * groups)
        for element in 0..<8 * groups {
            for bit in 0..<32 {
                let plane: UInt8 = planes[1 + bit * groups + element / 8]
                let value: UInt8 = (plane >> UInt8(element % 8)) & 1
                expected[element * 4 + bit / 8] |= value << UInt8(bit % 8)
            }
        }
        var elements = [UInt8](repeating: 0xAA, count: 32 * groups + 1)
        planes.withUnsafeBufferPointer { planes in
            elements.withUnsafeMutableBufferPointer { elements in
                guard let from = planes.baseAddress, let to = elements.baseAddress else { return }
                // At an odd address, and not a byte too far.
                facet_unshuffle_words_with(variant, from + 1, groups, to)
            }
        }
        #expect(elements == expected + [0xAA], "\(groups) groups")
    }
}

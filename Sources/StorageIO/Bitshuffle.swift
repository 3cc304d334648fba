import CStorageKernels

/// Transposes the bits of a block: first bit 0 of every element, then bit 1, and so on. Elements beyond a multiple of
/// eight are copied as they are. The transform is its own format: docs/formats/segment.md.
///
/// A *group* is eight elements: eight bits, one byte, of every plane. Floats, which every search undoes, have a kernel.
enum Bitshuffle {
    static func shuffle(_ bytes: UnsafeRawBufferPointer, elementBytes: Int) -> [UInt8] {
        precondition(elementBytes > 0, "an element has bytes")
        return [UInt8](unsafeUninitializedCapacity: bytes.count) { buffer, count in
            let target = UnsafeMutableRawBufferPointer(buffer)
            if let source = bytes.baseAddress, let out = target.baseAddress {
                let groups = bytes.count / elementBytes / 8
                for byte in 0..<elementBytes {
                    shuffle(source + byte, into: out + byte * 8 * groups, groups: groups, stride: elementBytes)
                }
                copyRemainder(bytes, into: target, from: groups * 8 * elementBytes)
            }
            count = bytes.count
        }
    }

    /// `target` is as long as `bytes`.
    static func unshuffle(
        _ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, elementBytes: Int
    ) {
        precondition(elementBytes > 0 && bytes.count == target.count, "an element has bytes, and all have a place")
        guard let source = bytes.baseAddress, let out = target.baseAddress else { return }
        let groups = bytes.count / elementBytes / 8
        if elementBytes == 4 {
            facet_unshuffle_words(
                source.assumingMemoryBound(to: UInt8.self), groups, out.assumingMemoryBound(to: UInt8.self))
        } else {
            for byte in 0..<elementBytes {
                unshuffle(source + byte * 8 * groups, into: out + byte, groups: groups, stride: elementBytes)
            }
        }
        copyRemainder(bytes, into: target, from: groups * 8 * elementBytes)
    }

    private static func copyRemainder(
        _ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, from done: Int
    ) {
        UnsafeMutableRawBufferPointer(rebasing: target[done...])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done...]))
    }

    /// One byte of every element, `stride` bytes apart, into its eight planes of `groups` bytes.
    private static func shuffle(
        _ source: UnsafeRawPointer, into out: UnsafeMutableRawPointer, groups: Int, stride: Int
    ) {
        for group in 0..<groups {
            var word: UInt64 = 0
            let first = source + group * 8 * stride
            for element in 0..<8 {
                word |= UInt64(first.load(fromByteOffset: element * stride, as: UInt8.self)) << UInt64(8 * element)
            }
            word = transposeBits(word)
            for bit in 0..<8 {
                let value = UInt8(truncatingIfNeeded: word >> UInt64(8 * bit))
                out.storeBytes(of: value, toByteOffset: bit * groups + group, as: UInt8.self)
            }
        }
    }

    /// Eight planes of `groups` bytes into one byte of every element.
    private static func unshuffle(
        _ source: UnsafeRawPointer, into out: UnsafeMutableRawPointer, groups: Int, stride: Int
    ) {
        for group in 0..<groups {
            var word: UInt64 = 0
            for bit in 0..<8 {
                word |= UInt64(source.load(fromByteOffset: bit * groups + group, as: UInt8.self)) << UInt64(8 * bit)
            }
            word = transposeBits(word)
            let first = out + group * 8 * stride
            for element in 0..<8 {
                let value = UInt8(truncatingIfNeeded: word >> UInt64(8 * element))
                first.storeBytes(of: value, toByteOffset: element * stride, as: UInt8.self)
            }
        }
    }

    /// Transposes an 8 x 8 matrix of bits, one row a byte (Warren, Hacker's Delight, 7-3).
    @inline(__always)
    private static func transposeBits(_ matrix: UInt64) -> UInt64 {
        var x = matrix
        var t = (x ^ x >> 7) & 0x00AA_00AA_00AA_00AA
        x ^= t ^ t << 7
        t = (x ^ x >> 14) & 0x0000_CCCC_0000_CCCC
        x ^= t ^ t << 14
        t = (x ^ x >> 28) & 0x0000_0000_F0F0_F0F0
        return x ^ t ^ t << 28
    }
}

/// Transposes the bits of a block: first bit 0 of every element, then bit 1, and so on. Elements beyond a multiple of
/// eight are copied as they are. The transform is its own format: docs/formats/segment.md.
///
/// A *group* is eight elements: eight bits, one byte, of every plane. Eight groups are done at once where there are
/// eight, so that planes and elements are read and written by the word.
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
            unshuffleWords(source, into: out, groups: groups)
        } else {
            for byte in 0..<elementBytes {
                unshuffle(
                    source + byte * 8 * groups, into: out + byte, groups: 0..<groups, of: groups, stride: elementBytes)
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

    /// Eight planes of `count` bytes into one byte of every element of `groups`.
    private static func unshuffle(
        _ source: UnsafeRawPointer, into out: UnsafeMutableRawPointer, groups: Range<Int>, of count: Int, stride: Int
    ) {
        for group in groups {
            var word: UInt64 = 0
            for bit in 0..<8 {
                word |= UInt64(source.load(fromByteOffset: bit * count + group, as: UInt8.self)) << UInt64(8 * bit)
            }
            word = transposeBits(word)
            let first = out + group * 8 * stride
            for element in 0..<8 {
                let value = UInt8(truncatingIfNeeded: word >> UInt64(8 * element))
                first.storeBytes(of: value, toByteOffset: element * stride, as: UInt8.self)
            }
        }
    }

    /// Elements of four bytes: 32 planes of `groups` bytes. Planes are read by the word: one bit of 64 elements.
    private static func unshuffleWords(
        _ source: UnsafeRawPointer, into out: UnsafeMutableRawPointer, groups: Int
    ) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 32) { words in
            guard let words = words.baseAddress else { return }
            var group = 0
            while group + 8 <= groups {
                for byte in 0..<4 {
                    transpose(source + byte * 8 * groups + group, groups: groups, into: words + byte * 8)
                }
                interleave(UnsafeRawPointer(words), into: out + group * 32)
                group += 8
            }
            for byte in 0..<4 {
                unshuffle(source + byte * 8 * groups, into: out + byte, groups: group..<groups, of: groups, stride: 4)
            }
        }
    }

    /// Eight planes that hold one byte of 64 elements: word i becomes that byte of elements 8 i to 8 i + 7.
    @inline(__always)
    private static func transpose(_ source: UnsafeRawPointer, groups: Int, into out: UnsafeMutablePointer<UInt64>) {
        var (x0, x4) = exchange(plane(source, 0, groups), plane(source, 4, groups), 32, 0x0000_0000_FFFF_FFFF)
        var (x1, x5) = exchange(plane(source, 1, groups), plane(source, 5, groups), 32, 0x0000_0000_FFFF_FFFF)
        var (x2, x6) = exchange(plane(source, 2, groups), plane(source, 6, groups), 32, 0x0000_0000_FFFF_FFFF)
        var (x3, x7) = exchange(plane(source, 3, groups), plane(source, 7, groups), 32, 0x0000_0000_FFFF_FFFF)
        (x0, x2) = exchange(x0, x2, 16, 0x0000_FFFF_0000_FFFF)
        (x1, x3) = exchange(x1, x3, 16, 0x0000_FFFF_0000_FFFF)
        (x4, x6) = exchange(x4, x6, 16, 0x0000_FFFF_0000_FFFF)
        (x5, x7) = exchange(x5, x7, 16, 0x0000_FFFF_0000_FFFF)
        (x0, x1) = exchange(x0, x1, 8, 0x00FF_00FF_00FF_00FF)
        (x2, x3) = exchange(x2, x3, 8, 0x00FF_00FF_00FF_00FF)
        (x4, x5) = exchange(x4, x5, 8, 0x00FF_00FF_00FF_00FF)
        (x6, x7) = exchange(x6, x7, 8, 0x00FF_00FF_00FF_00FF)
        let low = transposeBits(SIMD4(x0, x1, x2, x3))
        let high = transposeBits(SIMD4(x4, x5, x6, x7))
        UnsafeMutableRawPointer(out).storeBytes(of: low, as: SIMD4<UInt64>.self)
        UnsafeMutableRawPointer(out + 4).storeBytes(of: high, as: SIMD4<UInt64>.self)
    }

    @inline(__always)
    private static func plane(_ source: UnsafeRawPointer, _ number: Int, _ groups: Int) -> UInt64 {
        UInt64(littleEndian: source.loadUnaligned(fromByteOffset: number * groups, as: UInt64.self))
    }

    /// Exchanges the upper part of `a` with the lower part of `b`: one step of a transposition by halving.
    @inline(__always)
    private static func exchange(_ a: UInt64, _ b: UInt64, _ shift: UInt64, _ mask: UInt64) -> (UInt64, UInt64) {
        let t = (a &>> shift ^ b) & mask
        return (a ^ t &<< shift, b ^ t)
    }

    /// 64 elements of four bytes from four runs of 64 bytes.
    @inline(__always)
    private static func interleave(_ runs: UnsafeRawPointer, into out: UnsafeMutableRawPointer) {
        for part in 0..<4 {
            let b0 = widened(runs + part * 16)
            let b1 = widened(runs + 64 + part * 16)
            let b2 = widened(runs + 128 + part * 16)
            let b3 = widened(runs + 192 + part * 16)
            let elements = b0 | b1 &<< 8 | b2 &<< 16 | b3 &<< 24
            out.storeBytes(of: elements, toByteOffset: part * 64, as: SIMD16<UInt32>.self)
        }
    }

    @inline(__always)
    private static func widened(_ bytes: UnsafeRawPointer) -> SIMD16<UInt32> {
        SIMD16<UInt32>(truncatingIfNeeded: bytes.loadUnaligned(as: SIMD16<UInt8>.self))
    }

    /// `transposeBits` of four matrices.
    @inline(__always)
    private static func transposeBits(_ matrices: SIMD4<UInt64>) -> SIMD4<UInt64> {
        var x = matrices
        var t = (x ^ x &>> 7) & 0x00AA_00AA_00AA_00AA
        x ^= t ^ t &<< 7
        t = (x ^ x &>> 14) & 0x0000_CCCC_0000_CCCC
        x ^= t ^ t &<< 14
        t = (x ^ x &>> 28) & 0x0000_0000_F0F0_F0F0
        return x ^ t ^ t &<< 28
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

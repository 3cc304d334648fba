import CLZ4

/// A stored block that does not decode to the length it should have.
package enum CodecError: Error, Hashable, Sendable {
    case unknownCodec(UInt8)
    case malformed(reason: String)
}

/// How a block's bytes are stored. Raw values are format.
package enum BlockCodec: UInt8, Hashable, Sendable {
    case raw = 0
    case lz4 = 1
    /// The bits of equal weight of all elements stand together, then LZ4: embeddings compress no other way.
    case bitshuffleLZ4 = 2

    /// LZ4 counts in 32 bits; a larger block is stored raw, and refused where its codec says otherwise.
    private static let bytesMax = 0x7E00_0000

    /// Encodes as preferred, or raw where that saves nothing. `elementBytes` matters to the bit-shuffle alone.
    package static func encode(
        _ bytes: UnsafeRawBufferPointer, elementBytes: Int, preferring preferred: BlockCodec
    ) -> (codec: BlockCodec, stored: [UInt8]) {
        guard preferred != .raw, !bytes.isEmpty, bytes.count <= bytesMax else { return (.raw, Array(bytes)) }
        var shuffled: [UInt8] = []
        if preferred == .bitshuffleLZ4 { shuffled = Bitshuffle.shuffle(bytes, elementBytes: elementBytes) }
        let compressed =
            preferred == .bitshuffleLZ4 ? shuffled.withUnsafeBytes(compress) : compress(bytes)
        return compressed.count < bytes.count ? (preferred, compressed) : (.raw, Array(bytes))
    }

    /// Fills `target`, whose length is the decoded one; any other length or garbage throws. `scratch`, at least as long,
    /// spares the bit-shuffle memory of its own.
    package func decode(
        _ stored: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, elementBytes: Int,
        scratch: UnsafeMutableRawBufferPointer? = nil
    ) throws(CodecError) {
        switch self {
        case .raw:
            guard stored.count == target.count else {
                throw .malformed(reason: "\(stored.count) raw bytes where \(target.count) belong")
            }
            target.copyMemory(from: stored)
        case .lz4:
            try Self.decompress(stored, into: target)
        case .bitshuffleLZ4:
            let own =
                scratch == nil ? UnsafeMutableRawBufferPointer.allocate(byteCount: target.count, alignment: 16) : nil
            defer { own?.deallocate() }
            guard let memory = own ?? scratch else { preconditionFailure("one of them is there") }
            let shuffled = UnsafeMutableRawBufferPointer(rebasing: memory[..<target.count])
            try Self.decompress(stored, into: shuffled)
            Bitshuffle.unshuffle(UnsafeRawBufferPointer(shuffled), into: target, elementBytes: elementBytes)
        }
    }

    private static func compress(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        let bound = Int(LZ4_compressBound(Int32(bytes.count)))
        return [UInt8](unsafeUninitializedCapacity: bound) { buffer, count in
            let target = UnsafeMutableRawBufferPointer(buffer).assumingMemoryBound(to: CChar.self)
            count = Int(
                LZ4_compress_default(
                    bytes.assumingMemoryBound(to: CChar.self).baseAddress, target.baseAddress, Int32(bytes.count),
                    Int32(bound)))
        }
    }

    private static func decompress(
        _ stored: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard stored.count <= bytesMax, target.count <= bytesMax else {
            throw .malformed(reason: "\(stored.count) bytes for \(target.count): larger than LZ4 makes")
        }
        let count = LZ4_decompress_safe(
            stored.assumingMemoryBound(to: CChar.self).baseAddress,
            target.assumingMemoryBound(to: CChar.self).baseAddress, Int32(stored.count), Int32(target.count))
        guard count == target.count else {
            throw .malformed(reason: "LZ4 gives \(count) bytes where \(target.count) belong")
        }
    }
}

import SimulatedDisk
import StorageIO
import Testing

@Suite struct BlockCodecTests {
    @Test func checksumIsCastagnolis() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    }

    @Test(arguments: 0..<200)
    func checksumsChain(seed: Int) {
        var random = SplitMix(state: UInt64(seed))
        let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        let cut = Int.random(in: 0...bytes.count, using: &random)
        let parts = CRC32C.checksum(Array(bytes[cut...]), seed: CRC32C.checksum(Array(bytes[..<cut])))
        #expect(parts == CRC32C.checksum(bytes))
    }

    @Test(arguments: 0..<300)
    func everyCodecGivesBackItsBytes(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let element = [1, 2, 4, 16][seed % 4]
        let count = Int.random(in: 0...5_000, using: &random)
        let spread = [1, 3, 255][seed % 3]
        let bytes = (0..<count).map { _ in UInt8(Int.random(in: 0...spread, using: &random)) }
        for codec in [BlockCodec.raw, .lz4, .bitshuffleLZ4] {
            let (used, stored) = bytes.withUnsafeBytes {
                BlockCodec.encode($0, elementBytes: element, preferring: codec)
            }
            #expect(stored.count <= bytes.count)
            #expect(try decode(used, stored, count: count, element: element) == bytes)
        }
    }

    @Test(arguments: 0..<300)
    func garbageThrowsOrFillsNeverTraps(seed: Int) {
        var random = SplitMix(state: UInt64(seed))
        let stored = (0..<Int.random(in: 0...400, using: &random)).map { _ in
            UInt8.random(in: 0...255, using: &random)
        }
        for codec in [BlockCodec.raw, .lz4, .bitshuffleLZ4] {
            _ = try? decode(codec, stored, count: Int.random(in: 0...2_000, using: &random), element: 4)
        }
        #expect(throws: CodecError.self) { try decode(.raw, stored, count: stored.count + 1, element: 4) }
    }

    @Test func embeddingsCompressOnlyWhenTheirBitsAreShuffled() {
        var random = SplitMix(state: 4)
        let floats = (0..<4_096).map { _ in Float.random(in: -0.1...0.1, using: &random) }
        let (plain, shuffled) = floats.withUnsafeBytes {
            (
                BlockCodec.encode($0, elementBytes: 4, preferring: .lz4),
                BlockCodec.encode($0, elementBytes: 4, preferring: .bitshuffleLZ4)
            )
        }
        #expect(plain.codec == .raw)
        #expect(shuffled.codec == .bitshuffleLZ4)
        #expect(shuffled.stored.count < floats.count * 4 * 95 / 100)
    }

    private func decode(_ codec: BlockCodec, _ stored: [UInt8], count: Int, element: Int) throws -> [UInt8] {
        var out = [UInt8](repeating: 0, count: count)
        try stored.withUnsafeBytes { source in
            try out.withUnsafeMutableBytes { try codec.decode(source, into: $0, elementBytes: element) }
        }
        return out
    }
}

import SimulatedDisk
import Testing

@testable import StorageIO

@Suite struct BitshuffleTests {
    /// Every length around the kernels' steps, against the definition, bit by bit.
    @Test(arguments: [1, 2, 4, 8, 16])
    func planesAreWhatTheFormatSaysAndComeBack(elementBytes: Int) {
        var random = SplitMix(state: UInt64(elementBytes))
        let counts = Array(0...260) + [1_000, 2_048, 4_099]
        for count in counts {
            let bytes = (0..<count * elementBytes + count % elementBytes).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let shuffled = bytes.withUnsafeBytes { Bitshuffle.shuffle($0, elementBytes: elementBytes) }
            if count <= 80 || count > 260 {
                #expect(shuffled == byDefinition(bytes, elementBytes), "\(count) elements")
            }
            var back = [UInt8](repeating: 0x55, count: bytes.count)
            shuffled.withUnsafeBytes { source in
                back.withUnsafeMutableBytes { Bitshuffle.unshuffle(source, into: $0, elementBytes: elementBytes) }
            }
            #expect(back == bytes, "\(count) elements of \(elementBytes)")
        }
    }

    /// Source and target at any address: a block may stand anywhere in a file's buffer.
    @Test(arguments: 0..<16)
    func addressesNeedNoAlignment(shift: Int) {
        var random = SplitMix(state: 3)
        let bytes = (0..<1_100).map { _ in UInt8.random(in: 0...255, using: &random) }
        let shuffled = bytes.withUnsafeBytes { Bitshuffle.shuffle($0, elementBytes: 4) }
        let source = [UInt8](repeating: 0, count: shift) + shuffled
        var target = [UInt8](repeating: 0, count: bytes.count + 16)
        source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                Bitshuffle.unshuffle(
                    UnsafeRawBufferPointer(rebasing: source[shift...]),
                    into: UnsafeMutableRawBufferPointer(rebasing: target[(15 - shift)..<(15 - shift + bytes.count)]),
                    elementBytes: 4)
            }
        }
        #expect(Array(target[(15 - shift)..<(15 - shift + bytes.count)]) == bytes)
    }

    private func byDefinition(_ bytes: [UInt8], _ elementBytes: Int) -> [UInt8] {
        let groups = bytes.count / elementBytes / 8
        var out = bytes
        for plane in 0..<8 * elementBytes {
            for group in 0..<groups {
                out[plane * groups + group] = (0..<8).reduce(0) { byte, element in
                    let value = bytes[(group * 8 + element) * elementBytes + plane / 8]
                    return byte | (value >> UInt8(plane % 8) & 1) << UInt8(element)
                }
            }
        }
        return out
    }
}

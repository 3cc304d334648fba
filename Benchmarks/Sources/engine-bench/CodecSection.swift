import FaceModel
import Foundation
import StorageIO
import VectorSearch

/// What storage costs: the codec of fp32 rows in blocks as segments have them, and checksums.
enum CodecSection {
    private static let rows = 8_192

    static func run(_ settings: Settings) throws {
        say(
            "\n## Codecs: one thread, CPU; load \(Machine.load)\n"
                + "| | ratio | encodes GB/s | decodes GB/s | a block us |\n|---|---|---|---|---|"
        )
        for dimension in settings.dimensions {
            let faces = try BenchCollection.made(settings.set, dimension: dimension, faces: rows, probes: 1)
            say("| fp32 rows of \(dimension), blocks of \(Limits.vectorsPerBlock) | \(try codec(faces)) |")
        }
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        let time = Times.median(rounds: 15, shares: bytes.count) { sink = CRC32C.checksum(bytes) }
        say("\nCRC32C: \((1 / time).two) GB/s; load \(Machine.load)")
    }

    private static func codec(_ faces: BenchCollection) throws -> String {
        let blockBytes = Limits.vectorsPerBlock * faces.dimension * MemoryLayout<Float>.stride
        let raw = UnsafeRawBufferPointer(start: faces.rows, count: faces.count * faces.dimension * 4)
        let blocks = stride(from: 0, to: raw.count, by: blockBytes).map {
            UnsafeRawBufferPointer(rebasing: raw[$0..<$0 + blockBytes])
        }
        var stored: [(codec: BlockCodec, stored: [UInt8])] = []
        let encode = Times.median(rounds: 3, shares: raw.count) {
            stored = blocks.map { BlockCodec.encode($0, elementBytes: 4, preferring: .bitshuffleLZ4) }
        }
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: blockBytes, alignment: 64)
        defer { target.deallocate() }
        let decode = try Times.median(shares: raw.count) {
            for block in stored {
                try block.stored.withUnsafeBytes { try block.codec.decode($0, into: target, elementBytes: 4) }
            }
        }
        let ratio = Double(raw.count) / Double(stored.reduce(0) { $0 + $1.stored.count })
        let micro = decode * Double(blockBytes) / 1_000
        return "\(ratio.three) | \((1 / encode).two) | \((1 / decode).two) | \(micro.two)"
    }
}

/// Where results of measured work go, so that it is not optimised away. Main thread alone.
nonisolated(unsafe) var sink: UInt32 = 0

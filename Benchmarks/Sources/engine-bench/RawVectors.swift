import Foundation

/// A collection as raw files in one folder: what engine-bench hands the peers, and takes from whoever has real faces.
///
///     rows-D.f32, probes-D.f32             little endian floats, a vector after another, D a vector
///     rows-D.i32, probes-D.i32             whose image each is: a number an identity
struct RawVectors {
    var dimension: Int
    var rows: [Float]
    var identities: [Int32]
    var probes: [Float]
    var probeIdentities: [Int32]

    struct Unreadable: Error, CustomStringConvertible {
        var description: String
    }

    init(reading folder: String, dimension: Int) throws {
        self.dimension = dimension
        rows = try Self.read(folder, "rows-\(dimension).f32", as: Float.self)
        identities = try Self.read(folder, "rows-\(dimension).i32", as: Int32.self)
        probes = try Self.read(folder, "probes-\(dimension).f32", as: Float.self)
        probeIdentities = try Self.read(folder, "probes-\(dimension).i32", as: Int32.self)
        guard rows.count == identities.count * dimension, probes.count == probeIdentities.count * dimension else {
            throw Unreadable(description: "\(folder): vectors and identities differ in number")
        }
    }

    private static func read<Value: BitwiseCopyable>(
        _ folder: String, _ name: String, as: Value.Type
    ) throws -> [Value] {
        let data = try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
        let count = data.count / MemoryLayout<Value>.stride
        return [Value](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = data.copyBytes(to: buffer) / MemoryLayout<Value>.stride
        }
    }
}

/// Writes raw files of a collection that is in memory.
enum RawFile {
    static func write(_ bytes: UnsafeRawBufferPointer, _ folder: String, _ name: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = "\(folder)/\(name)"
        try Data().write(to: URL(filePath: path))
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        // In pieces: Data beyond 2 GiB is written in part.
        for start in stride(from: 0, to: bytes.count, by: 256 << 20) {
            let piece = bytes[start..<min(start + (256 << 20), bytes.count)]
            try file.write(contentsOf: Data(piece))
        }
        try file.close()
    }
}

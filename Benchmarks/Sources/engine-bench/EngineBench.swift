import CVectorKernels
import FaceModel
import Foundation
import VectorSearch

/// The search engine's figures beside the bars of the design; `--only` picks sections, and `peers` writes vectors and
/// answers for loadtests/peers.
@main
enum EngineBench {
    static func main() {
        do {
            try run(try Settings(CommandLine.arguments))
        } catch let misuse as Settings.Misuse {
            fail("\(misuse)\n\(Settings.usage)", code: 2)
        } catch {
            fail("\(error)", code: 1)
        }
    }

    private static func fail(_ text: String, code: Int32) -> Never {
        FileHandle.standardError.write(Data((text + "\n").utf8))
        exit(code)
    }

    private static func run(_ settings: Settings) throws {
        say("kernels: \(String(cString: facet_kernel_name(facet_plane_chosen()))); \(Machine.text)")
        let bars = Bars()
        let start = ContinuousClock.now
        if settings.runs(.codecs) { try CodecSection.run(settings) }
        if settings.runs(.kernels) { try KernelSection.run(settings) }
        if settings.runs(.stream) { try StreamSection.run(settings, bars) }
        let sections: [Settings.Section] = [.exhaustive, .batches, .store, .shard, .tails, .peers]
        if sections.contains(where: settings.runs) {
            for dimension in settings.dimensions { try measure(dimension, settings, bars) }
        }
        bars.printTable()
        // Last, because it fails where a threshold is exceeded.
        if settings.runs(.allocations) { try AllocationSection.run(settings) }
        say("\n\((nanoseconds(since: start) / 1e9).one) s in all; load \(Machine.load)")
    }

    private static func measure(_ dimension: Int, _ settings: Settings, _ bars: Bars) throws {
        let faces = try collection(dimension, settings)
        let (bytes, encode) = (Double(faces.planes.bytes) / Double(faces.count), faces.encodeNanoseconds)
        let name = settings.given == nil ? "set \(settings.set.rawValue)" : "given faces"
        say("\n## \(name): \(faces.count) x \(dimension)")
        say("planes \(bytes.one) B a face, made in \(encode.one) ns a face; \(SetStatistics(faces).text)")
        say("one thread reads \(Machine.readGigabytesPerSecond(faces).one) GB/s; load \(Machine.load)")
        if settings.runs(.exhaustive) { ExhaustiveSection.run(faces, settings, bars) }
        if settings.runs(.batches) { try BatchSection.run(faces, settings, bars) }
        if settings.runs(.store) { try StoreSection.run(faces, settings, bars) }
        if settings.runs(.shard) { try ShardSection.run(faces, settings, bars) }
        if settings.runs(.tails) { Tails.run(faces) }
        if settings.runs(.peers) { try PeersSection.run(faces, settings) }
    }

    private static func collection(_ dimension: Int, _ settings: Settings) throws -> BenchCollection {
        guard let folder = settings.given else {
            return try .made(settings.set, dimension: dimension, faces: settings.faces, probes: settings.probes)
        }
        return try .given(RawVectors(reading: folder, dimension: dimension), probes: settings.probes)
    }
}

/// What a set is like: a check of the generator against the design's text.
struct SetStatistics {
    let text: String

    init(_ faces: BenchCollection) {
        var (genuine, impostor): ([Double], [Double]) = ([], [])
        var bits = Bits(state: 7)
        for row in 1..<min(faces.count, 20_000) {
            if faces.identities[row] == faces.identities[row - 1] { genuine.append(Self.cosine(faces, row, row - 1)) }
            let other = Int(bits.next() % UInt64(faces.count))
            if faces.identities[row] != faces.identities[other] { impostor.append(Self.cosine(faces, row, other)) }
        }
        text = "genuine \(Self.text(genuine)), impostor \(Self.text(impostor))"
    }

    private static func cosine(_ faces: BenchCollection, _ a: Int, _ b: Int) -> Double {
        let (first, second) = (faces.rows + a * faces.dimension, faces.rows + b * faces.dimension)
        return (0..<faces.dimension).reduce(0) { $0 + Double(first[$1]) * Double(second[$1]) }
    }

    private static func text(_ values: [Double]) -> String {
        let mean = values.reduce(0, +) / Double(max(1, values.count))
        let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, values.count))
        return "\(mean.three) +- \(square.squareRoot().three)"
    }
}

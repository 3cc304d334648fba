import Foundation

/// What the command line asks for.
struct Settings {
    var set = FaceSet.hard
    var dimensions = [512, 128]
    var faces = 1_000_000
    var probes = 1_000
    /// Of the probes, those whose time counts.
    var timed = 100
    var threads = 2
    /// A folder with raw vectors to use instead of a made set.
    var given: String?
    /// Where vectors and answers are written for the peers.
    var folder: String?
    /// Where segments are written.
    var directory = NSTemporaryDirectory() + "facet-engine-bench"
    /// Streamed segments stay, and those of a run before that was as large are searched instead of made again.
    var keep = false
    var thresholds = "Benchmarks/thresholds.json"
    /// Nil: what `make bench-engine` measures.
    var only: [Section]?

    enum Section: String, CaseIterable {
        case exhaustive, batches, store, shard, codecs, kernels, allocations, tails, peers, stream

        /// Those that run when none is named: the others have commands of their own.
        static let usual: [Section] = [.allocations, .codecs, .kernels, .exhaustive, .batches, .store]
    }

    struct Misuse: Error, CustomStringConvertible {
        var description: String
    }

    static let usage = """
        engine-bench [--set hard|soft] [--dimensions 512,128] [--faces 1000000] [--probes 1000] [--timed 100]
                     [--threads 2] [--directory FOLDER] [--thresholds FILE] [--only SECTION,...]
                     [--vectors FOLDER] [--write FOLDER] [--keep yes|no]
        sections: \(Section.allCases.map(\.rawValue).joined(separator: ", "))
        """

    init(_ arguments: [String]) throws {
        var rest = arguments.dropFirst()
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw Misuse(description: "\(name) without a value") }
            guard try set(name, value) else { throw Misuse(description: "\(name) \(value): not understood") }
        }
    }

    func runs(_ section: Section) -> Bool { (only ?? Section.usual).contains(section) }

    private mutating func set(_ name: String, _ value: String) throws -> Bool {
        switch name {
        case "--set": return take(FaceSet(rawValue: value), \.set)
        case "--dimensions":
            dimensions = value.split(separator: ",").compactMap { Int($0) }
            return !dimensions.isEmpty
        case "--faces": return take(Int(value), \.faces)
        case "--probes": return take(Int(value), \.probes)
        case "--timed": return take(Int(value), \.timed)
        case "--threads": return take(Int(value), \.threads)
        case "--vectors": given = value
        case "--write": folder = value
        case "--directory": directory = value
        case "--keep":
            keep = value == "yes"
            return keep || value == "no"
        case "--thresholds": thresholds = value
        case "--only":
            let names = value.split(separator: ",")
            only = names.compactMap { Section(rawValue: String($0)) }
            return only?.count == names.count
        default: return false
        }
        return true
    }

    private mutating func take<Value>(_ value: Value?, _ place: WritableKeyPath<Settings, Value>) -> Bool {
        guard let value else { return false }
        self[keyPath: place] = value
        return true
    }
}

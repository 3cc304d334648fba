import Foundation

/// What every server that answers clients can be told, embedded or in a cluster.
package struct ServiceSettings: Equatable, Sendable {
    package var region = "us-east-1"
    package var extractorExecutable: String?
    package var models = ".runtime/models/sface"
    package var runtimeLibrary = ".runtime/lib/libonnxruntime.so"
    package var extractorProcesses = 1
    package var searchThreads = max(1, ProcessInfo.processInfo.activeProcessorCount)
    /// Keep what every search reads from being swapped out.
    package var lockMemory = false
    /// Leave the planes that not every search reads in the segments' files.
    package var mapPlanes = false
    /// Each copy's files are read whole once in so many seconds; 0: never.
    package var scrubAfterSeconds = 604_800
    package var logLevel = "info"

    package static let logLevels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
    static let keys = ["region", "extractor", "search", "disk", "log"]

    init() {}

    /// Takes its keys out of the file's top section.
    init(_ top: inout ConfigurationSection) throws(ConfigurationError) {
        region = try top.text("region") ?? region
        var extractor = try top.section("extractor")
        extractorExecutable = try extractor.text("executable") ?? extractorExecutable
        models = try extractor.text("models") ?? models
        runtimeLibrary = try extractor.text("library") ?? runtimeLibrary
        extractorProcesses = try extractor.integer("processes", in: 1...64) ?? extractorProcesses
        try extractor.finish(allowed: ["executable", "models", "library", "processes"])
        var search = try top.section("search")
        searchThreads = try search.integer("threads", in: 1...256) ?? searchThreads
        lockMemory = try search.flag("lock_memory") ?? lockMemory
        mapPlanes = try search.text("planes", oneOf: ["memory", "mapped"]).map { $0 == "mapped" } ?? mapPlanes
        try search.finish(allowed: ["threads", "lock_memory", "planes"])
        var disk = try top.section("disk")
        scrubAfterSeconds = try disk.integer("scrub_after_seconds", in: 0...31_536_000) ?? scrubAfterSeconds
        try disk.finish(allowed: ["scrub_after_seconds"])
        var log = try top.section("log")
        logLevel = try log.text("level", oneOf: Self.logLevels) ?? logLevel
        try log.finish(allowed: ["level"])
    }
}

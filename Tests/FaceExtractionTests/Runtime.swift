import Foundation
import Testing

@testable import FaceExtraction

/// The folder that holds Tests/ and .runtime/.
let repository: String = {
    let here = URL(fileURLWithPath: #filePath)
    return here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
}()

/// What `make deps` installs; without it these tests fail rather than pass for lack of anything to test.
enum Runtime {
    static var directory: String { ProcessInfo.processInfo.environment["FACET_RUNTIME"] ?? repository + "/.runtime" }

    static func configuration(processes: Int = 1) throws -> ExtractorConfiguration {
        let configuration = ExtractorConfiguration(
            executable: executable, models: directory + "/models/sface", library: directory + "/lib/libonnxruntime.so",
            processes: processes)
        for path in [configuration.models + "/manifest.json", configuration.library] {
            try #require(FileManager.default.fileExists(atPath: path), "\(path) is missing; run 'make deps' first")
        }
        return configuration
    }

    static func photo(_ name: String) throws -> [UInt8] {
        let path = directory + "/photos/" + name
        try #require(FileManager.default.fileExists(atPath: path), "\(path) is missing; run 'make deps' first")
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// The executable built beside this test bundle.
    private static var executable: String {
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
        return bundle + "/face-extractor"
    }
}

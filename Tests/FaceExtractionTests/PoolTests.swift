import FaceModel
import Foundation
import Logging
import Testing

@testable import FaceExtraction

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs `body` with a pool of real processes and stops them after.
private func withPool(
    processes: Int = 1, imageTime: Duration = .seconds(10), _ body: (ExtractorPool) async throws -> Void
) async throws {
    var configuration = try Runtime.configuration(processes: processes)
    configuration.imageTime = imageTime
    let pool = try await ExtractorPool.start(configuration, logger: quiet)
    do {
        try await body(pool)
    } catch {
        await pool.stop()
        throw error
    }
    await pool.stop()
}

private func refusal(_ pool: ExtractorPool, _ image: [UInt8]) async -> ExtractionError? {
    do {
        _ = try await pool.extract(image: image, scope: .allFaces)
        return nil
    } catch {
        return error
    }
}

/// This process's children that run the extractor.
private func children() throws -> [pid_t] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter { pid in
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        return stat.contains("(face-extractor)") && fields.count > 2 && fields[2] == "\(getpid())" && fields[1] != "Z"
    }
}

@Suite(.serialized) struct PoolTests {
    @Test func sameFaceIsNearAndAnotherIsFar() async throws {
        try await withPool(processes: 2) { pool in
            func embedding(_ photo: String) async throws -> [Float] {
                let image = try await pool.extract(image: try Runtime.photo(photo), scope: .largestFace)
                return try #require(image.faces.first).embedding.values
            }
            func cosine(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
            let enrolled = try await embedding("obama.jpg")
            #expect(abs(cosine(enrolled, enrolled) - 1) < 1e-5)
            #expect(cosine(enrolled, try await embedding("obama2.jpg")) >= 0.525)
            #expect(cosine(enrolled, try await embedding("biden.jpg")) < 0.36)
        }
    }

    @Test func badImagesAreRefusedAndTheProcessLives() async throws {
        try await withPool { pool in
            let before = try children()
            var generator = SplitMix(seed: 5)
            let noise = (0..<10_000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            let cut = Array(TestImages.quarters.prefix(TestImages.quarters.count / 2))
            for image in [[], TestImages.gif, noise, cut] {
                guard case .undecodable = await refusal(pool, image) else {
                    Issue.record("an image of \(image.count) bytes was not refused as undecodable")
                    continue
                }
            }
            for image in [
                TestImages.pngHeader(width: 20_000, height: 20_000), [UInt8](repeating: 0, count: 5_242_881),
            ] {
                guard case .tooLarge = await refusal(pool, image) else {
                    Issue.record("an image of \(image.count) bytes was not refused as too large")
                    continue
                }
            }
            #expect(try await pool.extract(image: TestImages.quarters, scope: .allFaces).faces.isEmpty)
            #expect(try children() == before)
        }
    }

    @Test func aKilledProcessIsReplaced() async throws {
        try await withPool { pool in
            for _ in 0..<3 {
                let victim = try #require(try children().first)
                kill(victim, SIGKILL)
                let image = try await pool.extract(image: TestImages.quarters, scope: .allFaces)
                #expect(image.width == TestImages.width)
                #expect(try children() != [victim])
            }
        }
        #expect(try children().isEmpty)
    }

    /// A stopped process stands for one that is caught in an image: it is killed, and the next image is served.
    @Test func aProcessThatTakesTooLongIsReplaced() async throws {
        try await withPool(imageTime: .seconds(2)) { pool in
            let victim = try #require(try children().first)
            kill(victim, SIGSTOP)
            guard case .undecodable = await refusal(pool, TestImages.quarters) else {
                Issue.record("an image without an answer was not refused as undecodable")
                return
            }
            #expect(try await pool.extract(image: TestImages.quarters, scope: .allFaces).faces.isEmpty)
        }
    }

    @Test func extractorsRunWithoutRights() async throws {
        try await withPool { _ in
            let pid = try #require(try children().first)
            let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            #expect(status.contains("NoNewPrivs:\t1"))
            #expect(status.contains("Seccomp:\t2"))
            #expect(!status.contains("Uid:\t0"))
        }
    }

    @Test func aModelThatCannotBeLoadedIsSaidAtOnce() async throws {
        var configuration = try Runtime.configuration()
        configuration.library = "/nonexistent/libonnxruntime.so"
        do {
            _ = try await ExtractorPool.start(configuration, logger: quiet)
            Issue.record("a pool started without a runtime")
        } catch {
            #expect("\(error)".contains("/nonexistent/libonnxruntime.so"))
        }
        configuration.executable = "/nonexistent/face-extractor"
        await #expect(throws: FaceExtractionError.self) { try await ExtractorPool.start(configuration, logger: quiet) }
    }

    @Test func afterStopImagesAreRefused() async throws {
        let pool = try await ExtractorPool.start(try Runtime.configuration(), logger: quiet)
        await pool.stop()
        guard case .unavailable = await refusal(pool, TestImages.quarters) else {
            Issue.record("a stopped pool took an image")
            return
        }
    }
}

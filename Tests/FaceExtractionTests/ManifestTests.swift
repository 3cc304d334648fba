import FaceModel
import Foundation
import Testing

@testable import FaceExtraction

private let committed = repository + "/models/sface/manifest.json"

/// The manifest with one key path set to another value, or removed.
private func manifest(_ path: [String], _ value: Any?) throws -> Data {
    func edit(_ node: Any, _ path: ArraySlice<String>) -> Any {
        guard var object = node as? [String: Any], let key = path.first else { return node }
        if path.count == 1 {
            object[key] = value
        } else if let child = object[key] {
            object[key] = edit(child, path.dropFirst())
        }
        return object
    }
    let root = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: committed)))
    return try JSONSerialization.data(withJSONObject: edit(root, path[...]))
}

private func refusal(_ data: Data) -> String? {
    do {
        _ = try ModelManifest(json: data, path: "m.json")
        return nil
    } catch {
        return "\(error)"
    }
}

@Suite struct ManifestTests {
    @Test func theCommittedManifestIsRead() throws {
        let manifest = try ModelManifest(json: Data(contentsOf: URL(fileURLWithPath: committed)), path: committed)
        #expect(manifest.embedder.dimension == 128)
        #expect(manifest.calibration?.points.map(\.similarity) == [80, 90, 95, 99])
        #expect(manifest.calibration?.points.map(\.extrapolated) == [false, false, false, true])
        #expect(manifest.scatter == MateScatter(cosineMean: 0.669, cosineDeviation: 0.112))
    }

    @Test func errorsNameFileAndKey() throws {
        let cases: [(path: [String], value: Any?, key: String)] = [
            (["name"], nil, "name"), (["format"], 2, "format"), (["version"], "1.0-beta", "version"),
            (["detector", "file"], "../x", "detector.file"), (["detector", "scoreMin"], 2, "detector.scoreMin"),
            (["detector", "longestSide"], true, "detector.longestSide"),
            (["embedder", "sha256"], "AB", "embedder.sha256"),
            (["embedder", "dimension"], 3, "embedder.dimension"), (["embedder", "mean"], [1, 2], "embedder.mean"),
            (["embedder", "colourOrder"], "CMYK", "embedder.colourOrder"),
            (["embedder", "template"], [[1, 2]], "embedder.template"), (["embedder", "typo"], 1, "embedder.typo"),
            (["scatter", "cosineMean"], 1.5, "scatter.cosineMean"),
            (["scatter", "cosineDeviation"], nil, "scatter.cosineDeviation"),
            (["scatter", "typo"], 1, "scatter.typo"), (["calibration", "points"], [], "calibration.points"),
            (["calibration", "points"], [["similarity": 80]], "calibration.points[0].cosineInterval"),
        ]
        for wrong in cases {
            let text = refusal(try manifest(wrong.path, wrong.value)) ?? "accepted"
            #expect(text.contains("m.json") && text.contains("'\(wrong.key)'"), "\(text)")
        }
    }

    @Test func aModelWithoutCalibrationIsAModel() throws {
        #expect(try ModelManifest(json: manifest(["scatter"], nil), path: "m.json").scatter == nil)
        #expect(try ModelManifest(json: manifest(["calibration"], nil), path: "m.json").calibration == nil)
    }

    @Test func damagedFilesAreNamed() throws {
        #expect(refusal(Data("{".utf8))?.contains("m.json") == true)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("manifest-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(throws: FaceExtractionError.self) { try ModelDirectory.load(path: folder.path) }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: committed))
        try bytes.write(to: folder.appendingPathComponent("manifest.json"))
        try Data("not a model".utf8).write(to: folder.appendingPathComponent("detector.onnx"))
        do {
            _ = try ModelDirectory.load(path: folder.path)
            Issue.record("a wrong file was accepted")
        } catch {
            #expect("\(error)".contains("detector.onnx") && "\(error)".contains("SHA-256"))
        }
    }
}

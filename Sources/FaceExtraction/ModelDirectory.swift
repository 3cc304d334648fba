import Crypto
package import FaceModel
package import Foundation

/// A folder with `manifest.json` and the weights it names (docs/formats/model-manifest.md).
package struct ModelDirectory: Sendable {
    package let path: String
    package let description: FaceModelDescription
    package let manifest: ModelManifest

    package static let manifestName = "manifest.json"
    private static let manifestBytesMax = 1 << 20
    private static let weightBytesMax = 1 << 30

    package var detectorPath: String { path + "/" + manifest.detector.weights.file }
    package var embedderPath: String { path + "/" + manifest.embedder.weights.file }

    /// Reads the manifest and checks that both weight files are the ones it names.
    package static func load(path: String) throws(FaceExtractionError) -> ModelDirectory {
        let directory = try loadManifest(path: path)
        _ = try directory.detectorWeights()
        _ = try directory.embedderWeights()
        return directory
    }

    /// Reads the manifest alone, for a caller that goes on to take the weights.
    package static func loadManifest(path: String) throws(FaceExtractionError) -> ModelDirectory {
        let file = path + "/" + manifestName
        let bytes = try read(file, bytesMax: manifestBytesMax)
        let manifest = try ModelManifest(json: bytes, path: file)
        return ModelDirectory(
            path: path,
            description: FaceModelDescription(
                name: manifest.name, version: manifest.version, dimension: manifest.embedder.dimension,
                digest: Array(SHA256.hash(data: bytes)), calibration: manifest.calibration,
                scatter: manifest.scatter),
            manifest: manifest)
    }

    /// The detector's bytes, checked: what is returned is what was hashed.
    package func detectorWeights() throws(FaceExtractionError) -> Data {
        try Self.checked(detectorPath, sha256: manifest.detector.weights.sha256)
    }

    package func embedderWeights() throws(FaceExtractionError) -> Data {
        try Self.checked(embedderPath, sha256: manifest.embedder.weights.sha256)
    }

    private static func checked(_ path: String, sha256 expected: String) throws(FaceExtractionError) -> Data {
        let bytes = try read(path, bytesMax: weightBytesMax)
        let got = hexadecimal(SHA256.hash(data: bytes))
        guard got == expected else { throw .wrongDigest(path: path, expected: expected, got: got) }
        return bytes
    }

    private static func read(_ path: String, bytesMax: Int) throws(FaceExtractionError) -> Data {
        do {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            let size = (attributes[.size] as? NSNumber)?.intValue ?? 0
            guard size <= bytesMax else {
                throw FaceExtractionError.unreadable(
                    path: path, problem: "has \(size) bytes; at most \(bytesMax) are read")
            }
            return try Data(contentsOf: URL(fileURLWithPath: path))
        } catch let error as FaceExtractionError {
            throw error
        } catch {
            throw .unreadable(path: path, problem: "is missing or cannot be read")
        }
    }

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

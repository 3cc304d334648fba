import AccessControl
import FaceModel
import Foundation
import Testing

/// A request that botocore signed: testdata/make_vectors.py.
struct SigV4Vector: Sendable, CustomTestStringConvertible {
    var name = ""
    var secret: [UInt8] = []
    var region = ""
    var request = SignedRequest(method: "", path: "", query: "", headers: [], body: [])

    var testDescription: String { name }

    static let all: [SigV4Vector] = {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("testdata/sigv4.txt")
        guard let text = try? String(contentsOf: url, encoding: .utf8) else { return [] }
        return text.components(separatedBy: "\n\n").map(SigV4Vector.init(block:))
    }()

    private init(block: String) {
        for line in block.split(separator: "\n") {
            let parts = line.components(separatedBy: ": ")
            let value = parts.dropFirst().joined(separator: ": ")
            switch parts[0] {
            case "case": name = value
            case "secret": secret = Array(value.utf8)
            case "region": region = value
            case "method": request.method = value
            case "path": request.path = value
            case "query": request.query = value
            case "header":
                let header = value.components(separatedBy: ": ")
                request.headers.append(.init(header[0], header.dropFirst().joined(separator: ": ")))
            case "body": request.body = Self.bytes(hex: value)
            default: continue
            }
        }
    }

    private static func bytes(hex: String) -> [UInt8] {
        let text = Array(hex.utf8)
        return stride(from: 0, to: text.count, by: 2).compactMap {
            UInt8(String(decoding: text[$0..<$0 + 2], as: UTF8.self), radix: 16)
        }
    }
}

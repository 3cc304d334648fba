import FaceModel
import Testing

@testable import FaceExtraction

private func parse(_ bytes: [UInt8]) throws(FaceExtractionError) -> ExtractorMessage {
    let count = min(bytes.count, ExtractorProtocol.headerBytes)
    return try ExtractorProtocol.decode(header: Array(bytes[..<count]), payload: Array(bytes[count...]))
}

private func samples() -> [ExtractorMessage] {
    let detail = FaceDetail(
        box: BoundingBox(left: -0.1, top: 0.2, width: 0.3, height: 0.4),
        landmarks: (0..<5).map { Landmark(x: Float($0) / 8, y: Float($0) / 4) }, confidence: 93,
        quality: FaceQuality(brightness: 50, sharpness: 60), pose: FacePose(roll: -4, yaw: 5, pitch: 6))
    let embedding = Embedding((0..<128).map { Float($0) / 128 })
    let image = ExtractedImage(
        width: 640, height: 480, faces: Array(repeating: ExtractedFace(detail: detail, embedding: embedding), count: 2))
    let hello = ExtractorHello(
        modelDigest: (0..<32).map { UInt8($0) }, dimension: 128, unprivileged: true, filtered: false)
    return [
        .hello(hello), .refusal("no model"), .request(id: 7, scope: .largestFace, image: [1, 2, 3]),
        .faces(id: 8, image: image), .faces(id: 9, image: ExtractedImage(width: 1, height: 1, faces: [])),
        .accepted(id: 12), .rejection(id: 10, error: .undecodable(reason: "x")),
        .rejection(id: 11, error: .tooLarge(reason: "y")),
    ]
}

@Suite struct ProtocolTests {
    @Test func whatIsWrittenIsRead() throws {
        for message in samples() {
            let bytes = ExtractorProtocol.encode(message)
            #expect(ExtractorProtocol.encode(try parse(bytes)) == bytes)
        }
    }

    @Test func everyTruncationAndExtensionIsRefused() {
        for message in samples() {
            let bytes = ExtractorProtocol.encode(message)
            for count in 0..<bytes.count {
                #expect(throws: FaceExtractionError.self) { try parse(Array(bytes[..<count])) }
            }
            #expect(throws: FaceExtractionError.self) { try parse(bytes + [0]) }
        }
    }

    /// Whatever is accepted after damage is a message that writes back to the same bytes; nothing traps.
    @Test func damageNeverTraps() throws {
        var generator = SplitMix(seed: 3)
        for message in samples() {
            let bytes = ExtractorProtocol.encode(message)
            for _ in 0..<2_000 {
                var damaged = bytes
                for _ in 0...Int(generator.next() % 3) {
                    let index = Int(generator.next() % UInt64(bytes.count))
                    damaged[index] = UInt8(truncatingIfNeeded: generator.next())
                }
                guard let parsed = try? parse(damaged), case .faces = parsed else { continue }
                #expect(ExtractorProtocol.encode(parsed) == damaged)
            }
        }
    }

    @Test func lengthIsBoundedBeforeAnythingIsRead() throws {
        var header = Array(ExtractorProtocol.encode(.refusal("")).prefix(ExtractorProtocol.headerBytes))
        header.replaceSubrange(8..<12, with: [255, 255, 255, 255])
        #expect(throws: FaceExtractionError.self) { try ExtractorProtocol.payloadBytes(header: header) }
        header.replaceSubrange(4..<6, with: [2, 0])
        #expect(throws: FaceExtractionError.message(problem: "is of version 2; this build speaks 1")) {
            try ExtractorProtocol.payloadBytes(header: header)
        }
    }

    @Test func valuesThatAreNoNumbersAreRefused() {
        for message in samples() {
            guard case .faces(_, let image) = message, !image.faces.isEmpty else { continue }
            var bytes = ExtractorProtocol.encode(message)
            bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0xc0, 0x7f])
            #expect(throws: FaceExtractionError.message(problem: "a value is not finite")) { try parse(bytes) }
        }
    }
}

package import FaceModel

// Messages between Facet and its face-extractor processes, over a pipe each way (docs/formats/extractor.md).
//
//  0       4         6       8         12
//  +-------+---------+-------+---------+-----------
//  | magic | version | kind  | length  | payload ...
//  +-------+---------+-------+---------+-----------
//   "FXP\n"  u16       u16     u32        length bytes; all little-endian

/// What an extractor says of itself before the first image.
package struct ExtractorHello: Hashable, Sendable {
    /// SHA-256 over the manifest it loaded.
    package var modelDigest: [UInt8]
    package var dimension: Int
    /// It runs as a user without rights.
    package var unprivileged: Bool
    /// Its system calls are filtered.
    package var filtered: Bool

    package init(modelDigest: [UInt8], dimension: Int, unprivileged: Bool, filtered: Bool) {
        self.modelDigest = modelDigest
        self.dimension = dimension
        self.unprivileged = unprivileged
        self.filtered = filtered
    }
}

/// One message of the protocol.
package enum ExtractorMessage: Sendable {
    case hello(ExtractorHello)
    /// Instead of a hello: the extractor cannot serve and ends.
    case refusal(String)
    case request(id: UInt64, scope: ExtractionScope, image: [UInt8])
    /// The request was read whole; the image is looked at only after this.
    case accepted(id: UInt64)
    case faces(id: UInt64, image: ExtractedImage)
    case rejection(id: UInt64, error: ExtractionError)
}

package enum ExtractorProtocol {
    package static let version: UInt16 = 1
    package static let headerBytes = 12
    package static let textBytesMax = 1_024
    /// The largest payload either side accepts: an image, or a hundred faces of the largest dimension.
    package static let payloadBytesMax = Limits.imageBytesMax + requestHeadBytes

    private static let magic: [UInt8] = Array("FXP\n".utf8)
    private static let requestHeadBytes = 16
    private static let digestBytes = 32

    private enum Kind: UInt16 {
        case hello = 1
        case refusal = 2
        case request = 3
        case faces = 4
        case rejection = 5
        case accepted = 6
    }

    package static func encode(_ message: ExtractorMessage) -> [UInt8] {
        var payload = WireWriter()
        let kind = write(message, to: &payload)
        precondition(payload.bytes.count <= payloadBytesMax, "message larger than the protocol allows")
        var whole = WireWriter()
        whole.raw(magic)
        whole.integer(version)
        whole.integer(kind.rawValue)
        whole.integer(UInt32(payload.bytes.count))
        whole.raw(payload.bytes)
        return whole.bytes
    }

    /// Length of the payload that follows a header of `headerBytes`.
    package static func payloadBytes(header: [UInt8]) throws(FaceExtractionError) -> Int {
        var reader = WireReader(header[...])
        guard try reader.raw(magic.count).elementsEqual(magic) else { throw .message(problem: "has no magic") }
        let version: UInt16 = try reader.integer()
        guard version == Self.version else {
            throw .message(problem: "is of version \(version); this build speaks \(Self.version)")
        }
        _ = try reader.integer(UInt16.self)
        let length = Int(try reader.integer(UInt32.self))
        try reader.finish()
        guard length <= payloadBytesMax else {
            throw .message(problem: "says \(length) bytes; at most \(payloadBytesMax) are allowed")
        }
        return length
    }

    /// Reads header and payload; the counterpart of `encode`.
    package static func decode(header: [UInt8], payload: [UInt8]) throws(FaceExtractionError) -> ExtractorMessage {
        guard try payloadBytes(header: header) == payload.count else {
            throw .message(problem: "has another length than its header says")
        }
        let code = UInt16(header[6]) | UInt16(header[7]) << 8
        guard let kind = Kind(rawValue: code) else { throw .message(problem: "is of the unknown kind \(code)") }
        var reader = WireReader(payload[...])
        let message = try read(kind, from: &reader)
        try reader.finish()
        return message
    }
}

// MARK: Payloads

extension ExtractorProtocol {
    private static func write(_ message: ExtractorMessage, to payload: inout WireWriter) -> Kind {
        switch message {
        case .hello(let hello):
            precondition(hello.modelDigest.count == digestBytes)
            payload.raw(hello.modelDigest)
            payload.integer(UInt32(hello.dimension))
            payload.integer(UInt32(hello.unprivileged ? 1 : 0) | (hello.filtered ? 2 : 0))
            return .hello
        case .refusal(let text):
            write(text, to: &payload)
            return .refusal
        case .request(let id, let scope, let image):
            payload.integer(id)
            payload.integer(UInt32(scope == .largestFace ? 1 : 0))
            payload.integer(UInt32(image.count))
            payload.raw(image)
            return .request
        case .accepted(let id):
            payload.integer(id)
            return .accepted
        case .faces(let id, let image):
            payload.integer(id)
            write(image, to: &payload)
            return .faces
        case .rejection(let id, let error):
            payload.integer(id)
            let (code, reason) = split(error)
            payload.integer(code)
            write(reason, to: &payload)
            return .rejection
        }
    }

    private static func read(
        _ kind: Kind, from reader: inout WireReader
    ) throws(FaceExtractionError) -> ExtractorMessage {
        switch kind {
        case .hello:
            let digest = Array(try reader.raw(digestBytes))
            let dimension = Int(try reader.integer(UInt32.self))
            let flags: UInt32 = try reader.integer()
            guard Limits.dimensionRange.contains(dimension), flags <= 3 else {
                throw .message(problem: "has a hello out of range")
            }
            return .hello(
                ExtractorHello(
                    modelDigest: digest, dimension: dimension, unprivileged: flags & 1 != 0, filtered: flags & 2 != 0))
        case .refusal:
            return .refusal(try readText(&reader))
        case .request:
            return try readRequest(&reader)
        case .accepted:
            return .accepted(id: try reader.integer())
        case .faces:
            let id: UInt64 = try reader.integer()
            return .faces(id: id, image: try readImage(&reader))
        case .rejection:
            let id: UInt64 = try reader.integer()
            let code: UInt32 = try reader.integer()
            return .rejection(id: id, error: try join(code, reason: readText(&reader)))
        }
    }

    private static func readRequest(_ reader: inout WireReader) throws(FaceExtractionError) -> ExtractorMessage {
        let id: UInt64 = try reader.integer()
        let scope: UInt32 = try reader.integer()
        guard scope <= 1 else { throw .message(problem: "has the unknown scope \(scope)") }
        let count = Int(try reader.integer(UInt32.self))
        return .request(id: id, scope: scope == 1 ? .largestFace : .allFaces, image: Array(try reader.raw(count)))
    }

    private static func write(_ text: String, to payload: inout WireWriter) {
        let bytes = Array(text.utf8.prefix(textBytesMax))
        payload.integer(UInt32(bytes.count))
        payload.raw(bytes)
    }

    private static func readText(_ reader: inout WireReader) throws(FaceExtractionError) -> String {
        let count = Int(try reader.integer(UInt32.self))
        guard count <= textBytesMax else { throw .message(problem: "has a text of \(count) bytes") }
        return String(decoding: try reader.raw(count), as: UTF8.self)
    }

    private static func split(_ error: ExtractionError) -> (code: UInt32, reason: String) {
        switch error {
        case .undecodable(let reason): (1, reason)
        case .tooLarge(let reason): (2, reason)
        case .unavailable(let reason): (3, reason)
        }
    }

    private static func join(_ code: UInt32, reason: String) throws(FaceExtractionError) -> ExtractionError {
        switch code {
        case 1: return .undecodable(reason: reason)
        case 2: return .tooLarge(reason: reason)
        case 3: return .unavailable(reason: reason)
        default: throw .message(problem: "has the unknown rejection \(code)")
        }
    }
}

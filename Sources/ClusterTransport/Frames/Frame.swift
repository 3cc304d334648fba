import NIOCore

/// What a frame is for; docs/formats/frames.md.
enum FrameKind: UInt8, Hashable, Sendable, CaseIterable {
    case hello = 1
    case request, response, error, cancel, ping, pong, goodbye
}

/// What a request asks. The numbers are final.
enum Method: UInt16, Hashable, Sendable, CaseIterable {
    case open = 1
    case drop, enrol, delete, search, faces, vector, list, statistics, nodeStatistics, buckets, sample, retire, split
    case heldCopies = 19
    case append = 32
    case record, ledgerStatus, standing
    case post = 64
    case report, copy, chunk, rows

    /// The metric's value.
    var label: String {
        switch self {
        case .open: "open"
        case .drop: "drop"
        case .enrol: "enrol"
        case .delete: "delete"
        case .search: "search"
        case .faces: "faces"
        case .vector: "vector"
        case .list: "list"
        case .statistics: "statistics"
        case .nodeStatistics: "node_statistics"
        case .buckets: "buckets"
        case .sample: "sample"
        case .append: "append"
        case .record: "record"
        case .ledgerStatus: "ledger_status"
        case .standing: "standing"
        case .post: "post"
        case .report: "report"
        case .copy: "copy"
        case .chunk: "chunk"
        case .rows: "rows"
        case .retire: "retire"
        case .split: "split"
        case .heldCopies: "held_copies"
        }
    }

    /// Whether a peer with this role may ask it.
    func isAllowed(for role: PeerRole) -> Bool {
        switch role {
        case .coordinator: !isAmongReplicas
        case .operator: self == .nodeStatistics || self == .report
        case .shardNode: isAmongReplicas
        case .etcd: false
        }
    }

    /// What nodes ask each other. Not among the requests of which a node answers only so many at a time: those of
    /// clients must not make its replicas silent.
    var isAmongReplicas: Bool {
        switch self {
        case .post, .report, .copy, .chunk, .rows: true
        case .open, .drop, .enrol, .delete, .search, .faces, .vector, .list, .statistics, .nodeStatistics, .buckets,
            .sample, .retire, .split, .heldCopies, .append, .record, .ledgerStatus, .standing:
            false
        }
    }
}

/// One frame as it came.
struct Frame: Sendable {
    var kind: FrameKind
    /// As the peer wrote it; only a request's means something.
    var method: UInt16
    var id: UInt64
    var body: ByteBuffer
}

/// Bytes that are no frame. Each ends the connection.
enum FrameError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooLong(UInt32, max: Int)
    case tooShort(UInt32)
    case otherVersion(UInt8)
    case unknownKind(UInt8)

    var description: String {
        switch self {
        case .tooLong(let length, let max): "a frame of \(length) bytes was announced; \(max) at most"
        case .tooShort(let length): "a frame of \(length) bytes was announced; its header alone has 12"
        case .otherVersion(let version): "a frame of protocol version \(version); 1 was agreed"
        case .unknownKind(let kind): "a frame of unknown kind \(kind)"
        }
    }
}

/// The 16 bytes before every body.
enum FrameHeader {
    static let version: UInt8 = 1
    static let bytes = 16
    /// What `length` counts of the header.
    static let lengthBase = 12

    /// Writes the header over the first 16 bytes of `buffer`, whose other bytes are the body.
    static func set(_ kind: FrameKind, method: UInt16, id: UInt64, in buffer: inout ByteBuffer) {
        let start = buffer.readerIndex
        precondition(buffer.readableBytes >= bytes, "a frame begins with room for its header")
        buffer.setInteger(UInt32(buffer.readableBytes - 4), at: start, endianness: .little)
        buffer.setInteger(version, at: start + 4)
        buffer.setInteger(kind.rawValue, at: start + 5)
        buffer.setInteger(method, at: start + 6, endianness: .little)
        buffer.setInteger(id, at: start + 8, endianness: .little)
    }

    /// A frame without a body.
    static func bare(_ kind: FrameKind, id: UInt64) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: bytes)
        buffer.writeRepeatingByte(0, count: bytes)
        set(kind, method: 0, id: id, in: &buffer)
        return buffer
    }
}

/// Cuts the byte stream of a connection into frames. Bodies share the memory they were read into; nothing is copied but
/// a frame that came in pieces.
struct FrameReader: Sendable {
    /// The most a frame's `length` may be; raised once the peer is known.
    var lengthMax = TransportLimits.helloBytesMax
    private var unread = ByteBuffer()

    /// Bytes of memory that hold what waits for the rest of its frame.
    var heldBytes: Int { unread.readableBytes == 0 ? 0 : unread.storageCapacity }

    mutating func append(_ bytes: ByteBuffer) {
        if unread.readableBytes == 0 {
            unread = bytes
        } else {
            unread.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole frame, or nil until more bytes come.
    mutating func next() throws(FrameError) -> Frame? {
        let start = unread.readerIndex
        guard let length = unread.getInteger(at: start, endianness: .little, as: UInt32.self) else {
            keepRest()
            return nil
        }
        guard length <= lengthMax else { throw .tooLong(length, max: lengthMax) }
        guard length >= FrameHeader.lengthBase else { throw .tooShort(length) }
        if let version = unread.getInteger(at: start + 4, as: UInt8.self), version != FrameHeader.version {
            throw .otherVersion(version)
        }
        guard unread.readableBytes >= 4 + Int(length) else {
            keepRest()
            return nil
        }
        return try frame(length: Int(length))
    }

    private mutating func frame(length: Int) throws(FrameError) -> Frame {
        unread.moveReaderIndex(forwardBy: 5)
        guard let kind = unread.readInteger(as: UInt8.self),
            let method = unread.readInteger(endianness: .little, as: UInt16.self),
            let id = unread.readInteger(endianness: .little, as: UInt64.self),
            let body = unread.readSlice(length: length - FrameHeader.lengthBase)
        else { preconditionFailure("the whole frame has been read") }
        guard let known = FrameKind(rawValue: kind) else { throw .unknownKind(kind) }
        return Frame(kind: known, method: method, id: id, body: body)
    }

    /// Lets go of the memory that frames already handed out share with what is left of it.
    private mutating func keepRest() {
        guard unread.readerIndex > 0 else { return }
        unread = ByteBuffer(bytes: unread.readableBytesView)
    }
}

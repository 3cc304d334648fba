import NIOCore
import SwiftProtobuf

/// A frame as protobuf writes and reads it: one buffer, the header's 16 bytes and then the message.
struct FrameBytes: SwiftProtobufContiguousBytes {
    private(set) var buffer: ByteBuffer
    /// Where the message begins, from the buffer's reader index.
    private let offset: Int

    /// The body of a frame that was read.
    init(body: ByteBuffer) {
        buffer = body
        offset = 0
    }

    init(repeating byte: UInt8, count: Int) {
        buffer = ByteBufferAllocator().buffer(capacity: FrameHeader.bytes + count)
        buffer.writeRepeatingByte(byte, count: FrameHeader.bytes + count)
        offset = FrameHeader.bytes
    }

    init<Bytes: Sequence>(_ sequence: Bytes) where Bytes.Element == UInt8 {
        buffer = ByteBufferAllocator().buffer(capacity: FrameHeader.bytes)
        buffer.writeRepeatingByte(0, count: FrameHeader.bytes)
        buffer.writeBytes(sequence)
        offset = FrameHeader.bytes
    }

    var count: Int { buffer.readableBytes - offset }

    func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try buffer.withUnsafeReadableBytes { try body(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
    }

    mutating func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
        let offset = offset
        return try buffer.withUnsafeMutableReadableBytes {
            try body(UnsafeMutableRawBufferPointer(rebasing: $0[offset...]))
        }
    }
}

extension Message {
    /// The whole frame. Nil when the message is larger than a frame may be.
    func frame(_ kind: FrameKind, method: UInt16 = 0, id: UInt64) -> ByteBuffer? {
        do {
            var frame: ByteBuffer = try (serializedBytes() as FrameBytes).buffer
            guard frame.readableBytes - 4 <= TransportLimits.frameBytesMax else { return nil }
            FrameHeader.set(kind, method: method, id: id, in: &frame)
            return frame
        } catch {
            // Only a message of 2 GiB cannot be written: it has no required fields and no Any.
            return nil
        }
    }

    /// Throws for bytes that are no such message; fields that are not known are dropped.
    init(body: ByteBuffer) throws(BodyError) {
        var options = BinaryDecodingOptions()
        options.discardUnknownFields = true
        options.messageDepthLimit = 8
        do {
            try self.init(serializedBytes: FrameBytes(body: body), options: options)
        } catch {
            throw BodyError("body", "it is no \(Self.protoMessageName)")
        }
    }
}

import NIOCore
import Testing

@testable import ClusterTransport

@Suite struct FrameReaderTests {
    private func frame(_ kind: FrameKind, method: UInt16 = 0, id: UInt64, body: [UInt8]) -> ByteBuffer {
        var buffer = ByteBuffer(repeating: 0, count: FrameHeader.bytes)
        buffer.writeBytes(body)
        FrameHeader.set(kind, method: method, id: id, in: &buffer)
        return buffer
    }

    private var stream: (bytes: ByteBuffer, frames: [(FrameKind, UInt16, UInt64, [UInt8])]) {
        let frames: [(FrameKind, UInt16, UInt64, [UInt8])] = [
            (.hello, 0, 0, [1, 2, 3]), (.request, 5, 77, Array(repeating: 9, count: 1_000)), (.ping, 0, .max, []),
            (.response, 0, 1 << 40, Array(0..<200)), (.goodbye, 0, 0, [4]),
        ]
        var bytes = ByteBuffer()
        for (kind, method, id, body) in frames {
            bytes.writeImmutableBuffer(frame(kind, method: method, id: id, body: body))
        }
        return (bytes, frames)
    }

    @Test func theHeaderIsTheOneOfTheFormat() {
        let bytes = frame(.response, method: 0x0102, id: 0x0304_0506_0708_090A, body: [0xEE])
        #expect(
            Array(bytes.readableBytesView) == [13, 0, 0, 0, 1, 3, 2, 1, 0x0A, 9, 8, 7, 6, 5, 4, 3, 0xEE])
    }

    @Test(arguments: [1, 2, 3, 5, 15, 16, 17, 100, 5_000])
    func framesComeOutHoweverTheBytesCame(piece: Int) throws {
        var (bytes, expected) = stream
        var reader = FrameReader()
        var seen: [Frame] = []
        while let part = bytes.readSlice(length: min(piece, bytes.readableBytes)), part.readableBytes > 0 {
            reader.append(part)
            while let frame = try reader.next() { seen.append(frame) }
        }
        try #require(seen.count == expected.count)
        for (frame, (kind, method, id, body)) in zip(seen, expected) {
            #expect(frame.kind == kind && frame.method == method && frame.id == id)
            #expect(Array(frame.body.readableBytesView) == body)
        }
        #expect(reader.heldBytes == 0)
    }

    @Test func lengthsOutsideTheBoundsAreRefusedBeforeAnythingIsHeld() {
        for (length, error) in [
            (UInt32.max, FrameError.tooLong(.max, max: 4_096)), (4_097, .tooLong(4_097, max: 4_096)),
            (11, .tooShort(11)), (0, .tooShort(0)),
        ] {
            var reader = FrameReader()
            var bytes = ByteBuffer()
            bytes.writeInteger(length, endianness: .little)
            reader.append(bytes)
            #expect(throws: error) { try reader.next() }
        }
        var reader = FrameReader()
        reader.lengthMax = TransportLimits.frameBytesMax
        var bytes = ByteBuffer()
        bytes.writeInteger(UInt32(TransportLimits.frameBytesMax + 1), endianness: .little)
        reader.append(bytes)
        #expect(throws: FrameError.self) { try reader.next() }
    }

    @Test func anAnnouncedLengthTakesNoMemory() throws {
        var reader = FrameReader()
        reader.lengthMax = TransportLimits.frameBytesMax
        var bytes = ByteBuffer()
        bytes.writeInteger(UInt32(TransportLimits.frameBytesMax), endianness: .little)
        bytes.writeBytes([1, 2, 0, 0] + Array(repeating: UInt8(0), count: 1_000))
        reader.append(bytes)
        #expect(try reader.next() == nil)
        #expect(reader.heldBytes <= 4_096)
    }

    @Test func otherVersionsAndKindsAreRefused() {
        var version = frame(.ping, id: 1, body: [])
        version.setInteger(UInt8(2), at: 4)
        var kind = frame(.ping, id: 1, body: [])
        kind.setInteger(UInt8(99), at: 5)
        for (bytes, error) in [(version, FrameError.otherVersion(2)), (kind, .unknownKind(99))] {
            var reader = FrameReader()
            reader.append(bytes)
            #expect(throws: error) { try reader.next() }
        }
    }

    @Test func whatFollowsAPartIsKeptApartFromWhatWasHandedOut() throws {
        let (bytes, _) = stream
        var reader = FrameReader()
        var both = bytes
        both.writeInteger(UInt32(4_000), endianness: .little)
        reader.append(both)
        while try reader.next() != nil {}
        #expect(reader.heldBytes < 64)
    }
}

extension Frame: Equatable {
    static func == (a: Frame, b: Frame) -> Bool {
        a.kind == b.kind && a.method == b.method && a.id == b.id && a.body == b.body
    }
}

import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

/// The bytes of docs/formats/wal.md.
@Suite struct RecordFormatTests {
    private let record = LogRecord(
        lsn: LogIndex(0x0102), epoch: Epoch(3), batchDurable: LogIndex(0x0101), type: .faceClaim,
        token: RequestToken(Bits128(high: 0x1011_1213_1415_1617, low: 0x1819_1A1B_1C1D_1E1F)), payload: [0xAA, 0xBB])

    @Test func aRecordStandsAsTheFormatSays() {
        var bytes: [UInt8] = []
        let sum = RecordCodec.encode(record, previousChecksum: 0x0403_0201, salt: 0x5EED, into: &bytes)
        var header = bytes
        for offset in 8..<12 { header[offset] = 0 }
        #expect(CRC32C.checksum(header[..<58] + [1, 2, 3, 4]) == sum)
        let check = CRC32C.checksum(Array(bytes[..<8] + bytes[12..<14] + bytes[16..<56]), seed: 0x5EED)
        let checked = UInt16(truncatingIfNeeded: check ^ check >> 16)
        let expected: [UInt8] =
            [0x01, 0x4C, 0x57, 0x46, 2, 0, 0, 0] + little(sum) + [6, 0] + little(checked)
            + [2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
            + Array(UInt8(0x10)...0x1F) + [0xAA, 0xBB, 0, 0, 0, 0, 0, 0]
        #expect(bytes == expected)
    }

    @Test func aHeaderWithAnyWrongBitIsNoEvidence() {
        var bytes: [UInt8] = []
        _ = RecordCodec.encode(record, previousChecksum: 9, salt: 7, into: &bytes)
        #expect(RecordCodec.loneHeader(bytes, at: 0, salt: 7)?.lsn == 0x0102)
        #expect(RecordCodec.loneHeader(bytes, at: 0, salt: 8) == nil)
        // The record's own CRC (bytes 8 to 11) says nothing of the header.
        for bit in 0..<RecordCodec.headerBytes * 8 where !(8..<12).contains(bit / 8) {
            var wrong = bytes
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(RecordCodec.loneHeader(wrong, at: 0, salt: 7) == nil, "bit \(bit)")
        }
    }

    @Test func aRecordIsOnlyARecordWhereItsChainAndItsFileAre() {
        var bytes: [UInt8] = []
        _ = RecordCodec.encode(record, previousChecksum: 9, salt: 7, into: &bytes)
        for (previous, salt, isRecord) in [(9, 7, true), (8, 7, false), (9, 6, false)] as [(UInt32, UInt32, Bool)] {
            let found = RecordCodec.decode(bytes, at: 0, previousChecksum: previous, salt: salt)
            if case .record(let read, _, let end) = found {
                #expect(isRecord && read == record && end == 64)
            } else {
                #expect(!isRecord)
            }
        }
    }

    /// A lying length or raw size makes a bad record, never a trap or a large allocation.
    @Test(arguments: 0..<200)
    func garbageBehindAGoodHeaderNeverTraps(seed: Int) {
        var random = SplitMix(state: UInt64(seed))
        var bytes: [UInt8] = []
        var large = record
        large.payload = [UInt8](repeating: 5, count: 4_000)
        _ = RecordCodec.encode(large, previousChecksum: 0, salt: 0, into: &bytes)
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
        if case .record(let read, _, _) = RecordCodec.decode(bytes, at: 0, previousChecksum: 0, salt: 0) {
            #expect(read == large)
        }
    }

    private func little(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian, Array.init)
    }
}

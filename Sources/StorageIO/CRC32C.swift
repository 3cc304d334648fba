/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), eight tables at a time (Kounavis and Berry, 2005).
package enum CRC32C {
    /// The checksum of `bytes`; `seed` is the checksum of what stands before them, so that parts can be chained.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            var crc = ~seed
            var position = 0
            while position + 8 <= bytes.count {
                let next = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                let word = UInt64(littleEndian: next) ^ UInt64(crc)
                crc = 0
                for byte in 0..<8 {
                    crc ^= tables[(7 - byte) * 256 + Int(word >> UInt64(8 * byte) & 255)]
                }
                position += 8
            }
            while position < bytes.count {
                crc = crc >> 8 ^ tables[Int((crc ^ UInt32(bytes[position])) & 255)]
                position += 1
            }
            return ~crc
        }
    }

    package static func checksum(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0, seed: seed) }
    }

    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for value in 0..<256 {
            var crc = UInt32(value)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            tables[value] = crc
        }
        for table in 1..<8 {
            for value in 0..<256 {
                let previous = tables[(table - 1) * 256 + value]
                tables[table * 256 + value] = previous >> 8 ^ tables[Int(previous & 255)]
            }
        }
        return tables
    }()
}

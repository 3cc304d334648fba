import CStorageKernels

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), by the processor's instruction where it has one.
package enum CRC32C {
    /// The checksum of `bytes`; `seed` is the checksum of what stands before them, so that parts can be chained.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        guard let base = bytes.baseAddress else { return seed }
        return facet_crc32c(base, bytes.count, seed)
    }

    package static func checksum(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0, seed: seed) }
    }
}

/// Why a key or what it sealed cannot be used. Never carries key material.
package enum KeyError: Error, Hashable, Sendable {
    /// A key file holds exactly 32 bytes.
    case wrongLength(expected: Int, got: Int)
    /// Sealed for another register, under another key file, or changed since.
    case unopenable(register: String)
    /// Sealed in a format this version does not know.
    case unknownFormat(register: String, version: UInt8)
}

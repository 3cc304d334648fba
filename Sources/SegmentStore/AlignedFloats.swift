/// A fixed run of floats, aligned to a cache line, freed with its last reference.
///
/// Whoever makes it fills it and then only hands it on; a buffer's chunk alone writes later, behind what it published.
// Safe because the memory is written before it is shared, or past the count that readers were given.
package final class AlignedFloats: @unchecked Sendable {
    package let base: UnsafeMutablePointer<Float>
    package let count: Int

    /// Not initialised.
    init(count: Int) {
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        base = raw.bindMemory(to: Float.self, capacity: count)
        self.count = count
    }

    deinit {
        UnsafeMutableRawPointer(base).deallocate()
    }

    var bytes: Int { count * MemoryLayout<Float>.stride }
}

import Glibc

/// A fixed run of floats, aligned to a cache line, freed with its last reference.
///
/// A large run asks the kernel for huge pages: a scan reads all of it, and a thousand times fewer page table entries
/// are then missed on the way.
///
/// Whoever makes it fills it and then only hands it on; a buffer's chunk alone writes later, behind what it published.
// Safe because the memory is written before it is shared, or past the count that readers were given.
package final class AlignedFloats: @unchecked Sendable {
    private static let cacheLine = 64
    private static let hugePage = 2 << 20
    /// Below this, little is won and up to half of it could be lost at the ends.
    private static let hugeBytesMin = 4 << 20

    package let base: UnsafeMutablePointer<Float>
    package let count: Int

    /// Not initialised.
    init(count: Int) {
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        let isLarge = bytes >= Self.hugeBytesMin
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: bytes, alignment: isLarge ? Self.hugePage : Self.cacheLine)
        // Before the first write, which decides the size of the page. A kernel that refuses costs speed alone.
        if isLarge { _ = madvise(raw, bytes, MADV_HUGEPAGE) }
        base = raw.bindMemory(to: Float.self, capacity: count)
        self.count = count
    }

    deinit {
        UnsafeMutableRawPointer(base).deallocate()
    }

    var bytes: Int { count * MemoryLayout<Float>.stride }
}

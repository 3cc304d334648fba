import Glibc
import Synchronization

/// Memory that starts at a cache line, freed with its last reference.
///
/// A large run asks the kernel for huge pages: a scan reads all of it, and a thousand times fewer page table entries
/// are then missed on the way.
///
/// Whoever makes it fills it and then only hands it on; one who fills it by and by writes behind what was handed on.
// Safe because memory is written before it is shared, or past the count that readers were given.
package final class AlignedMemory: @unchecked Sendable {
    private static let cacheLine = 64
    private static let hugePage = 2 << 20
    /// Below this, little is won and up to half of it could be lost at the ends.
    private static let hugeBytesMin = 4 << 20

    package let base: UnsafeMutableRawPointer
    package let bytes: Int
    /// Whose memory it is, where it is another's.
    private let owner: (any AnyObject & Sendable)?
    private let isLocked = Atomic(false)

    /// Not initialised.
    package init(bytes: Int) {
        self.bytes = bytes
        owner = nil
        let isLarge = bytes >= Self.hugeBytesMin
        base = .allocate(byteCount: max(bytes, 1), alignment: isLarge ? Self.hugePage : Self.cacheLine)
        // Before the first write, which decides the size of the page. A kernel that refuses costs speed alone.
        if isLarge { _ = madvise(base, bytes, MADV_HUGEPAGE) }
    }

    /// Memory that lives as long as `owner` does and that nobody writes to, such as a part of a file.
    package init(of owner: any AnyObject & Sendable, at base: UnsafeRawPointer, bytes: Int) {
        self.base = UnsafeMutableRawPointer(mutating: base)
        self.bytes = bytes
        self.owner = owner
    }

    /// Whether freeing it gives memory back.
    var isOwn: Bool { owner == nil }

    /// Keeps the memory from being swapped out until it is freed; the errno where the system refuses.
    func lock() -> Int32? {
        guard bytes > 0 else { return nil }
        guard mlock(base, bytes) == 0 else { return errno }
        isLocked.store(true, ordering: .relaxed)
        return nil
    }

    /// What is freed locked would stay resident for good. Pages at the ends may be others' too.
    private func unlock() {
        let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
        let first = (UInt(bitPattern: base) + page - 1) / page * page
        let end = (UInt(bitPattern: base) + UInt(bytes)) / page * page
        if first < end { munlock(UnsafeRawPointer(bitPattern: first), Int(end - first)) }
    }

    deinit {
        if isLocked.load(ordering: .relaxed) { unlock() }
        if isOwn { base.deallocate() }
    }
}

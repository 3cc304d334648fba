import Glibc
import Synchronization

/// True once: for things that must be closed exactly once, whoever comes first.
final class OneShot: Sendable {
    private let fired = Atomic(false)
    func fire() -> Bool { !fired.exchange(true, ordering: .acquiringAndReleasing) }
}

/// An exclusive lock on a file, held until the value's last reference goes or the process ends: one server a directory.
package final class FileLock: Sendable {
    private let descriptor: Int32

    /// Throws `alreadyExists` when another process holds it.
    package init(path: String) throws(FileError) {
        descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            throw code == EWOULDBLOCK
                ? .alreadyExists(path: path) : FileError(path: path, operation: "lock", code: code)
        }
    }

    deinit { Glibc.close(descriptor) }
}

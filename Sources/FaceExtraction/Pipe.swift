import Glibc

/// One end of a pipe, closed when the last reference goes.
final class PipeEnd {
    private(set) var descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close() }

    func close() {
        guard descriptor >= 0 else { return }
        _ = Glibc.close(descriptor)
        descriptor = -1
    }

    func setNonBlocking() -> Bool {
        fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0
    }
}

/// Why bytes did not pass.
enum PipeError: Error {
    /// The other side is gone; `transferred` bytes had passed.
    case closed(transferred: Int)
    case timedOut
    case failed(errno: Int32)
}

/// Whole buffers through pipes. With a deadline the descriptor must not block; without one it must.
enum Pipe {
    static func write(
        _ bytes: [UInt8], to end: PipeEnd, deadline: ContinuousClock.Instant? = nil
    ) throws(PipeError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(end.descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done)
            }
            if count >= 0 {
                done += count
            } else if errno == EPIPE {
                throw .closed(transferred: done)
            } else {
                try wait(end, for: Int16(POLLOUT), code: errno, deadline: deadline)
            }
        }
    }

    static func read(
        _ count: Int, from end: PipeEnd, deadline: ContinuousClock.Instant? = nil
    ) throws(PipeError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(end.descriptor, buffer.baseAddress.map { $0 + done }, count - done)
            }
            if got > 0 {
                done += got
            } else if got == 0 {
                throw .closed(transferred: done)
            } else {
                try wait(end, for: Int16(POLLIN), code: errno, deadline: deadline)
            }
        }
        return bytes
    }

    /// After a call that failed with `code`: returns when it is worth another try.
    private static func wait(
        _ end: PipeEnd, for events: Int16, code: Int32, deadline: ContinuousClock.Instant?
    ) throws(PipeError) {
        if code == EINTR { return }
        guard code == EAGAIN, let deadline else { throw .failed(errno: code) }
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else { throw .timedOut }
        var request = pollfd(fd: end.descriptor, events: events, revents: 0)
        _ = poll(&request, 1, Int32(min(left / Duration.milliseconds(1), 60_000)) + 1)
    }
}

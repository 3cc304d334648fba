import Foundation

/// What no wire can go below on this machine: 2 KB there and 4 KB back over a bare TCP connection on the loopback, by
/// two threads that block and do nothing else.
enum Floor {
    static func run(seconds: Double) throws -> Measurement {
        let (asker, answerer) = try connection()
        let thread = Thread { answer(on: answerer) }
        thread.start()
        defer {
            shutdown(asker, Int32(SHUT_RDWR))
            close(asker)
        }
        var latencies: [Double] = []
        var buffer = [UInt8](repeating: 1, count: 4_096)
        let start = ContinuousClock.now
        while start.duration(to: .now) < .seconds(seconds) {
            let before = ContinuousClock.now
            guard write(asker, buffer, 2_048) == 2_048, take(4_096, from: asker, into: &buffer) else {
                throw POSIXError(.EIO)
            }
            latencies.append(Measurement.microseconds(before.duration(to: .now)))
        }
        return Measurement(
            latencies: latencies.sorted(), seconds: Measurement.microseconds(start.duration(to: .now)) / 1e6)
    }

    private static func answer(on socket: Int32) {
        var buffer = [UInt8](repeating: 1, count: 4_096)
        while take(2_048, from: socket, into: &buffer), write(socket, buffer, 4_096) == 4_096 {}
        close(socket)
    }

    private static func take(_ count: Int, from socket: Int32, into buffer: inout [UInt8]) -> Bool {
        var left = count
        while left > 0 {
            let got = read(socket, &buffer, left)
            guard got > 0 else { return false }
            left -= got
        }
        return true
    }

    private static func connection() throws -> (Int32, Int32) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let asker = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let connected = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &length) == 0
                    && connect(asker, $0, length) == 0
            }
        }
        let answerer = connected ? accept(listener, nil, nil) : -1
        guard answerer >= 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        var on: Int32 = 1
        for end in [asker, answerer] {
            setsockopt(end, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        return (asker, answerer)
    }
}

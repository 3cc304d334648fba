import Foundation
import Synchronization
import Testing

/// A single etcd member in a folder of its own. It dies with the test process, however that ends: a shell waits for the
/// end of its input and kills it then.
final class EtcdProcess: Sendable {
    private static let program = "/usr/bin/etcd"
    /// The shell becomes etcd; its child kills it at the end of the input or at line `keep`, which leaves the folder.
    private static let script = """
        folder=$1; shift
        exec 3<&0 </dev/null >>"$folder/log" 2>&1
        (read -r word <&3; kill -9 $$; [ "$word" = keep ] || rm -rf "$folder") &
        exec 3<&-
        exec "$@"
        """

    /// For tests that leave it running.
    private static let shared = Mutex<EtcdProcess?>(nil)

    let clientPort: Int
    private let peerPort: Int
    private let folder: String
    private let running = Mutex<(process: Process, input: Pipe)?>(nil)

    var endpoint: String { "http://127.0.0.1:\(clientPort)" }

    static func running() throws -> EtcdProcess {
        try shared.withLock { shared in
            if let shared { return shared }
            let made = try EtcdProcess()
            try made.start()
            shared = made
            return made
        }
    }

    init() throws {
        guard FileManager.default.isExecutableFile(atPath: Self.program) else {
            Issue.record("\(Self.program) is missing: 'make deps' installs it (package etcd-server)")
            throw CocoaError(.fileNoSuchFile)
        }
        let ports = try FreePorts.take(2)
        (clientPort, peerPort) = (ports[0], ports[1])
        folder = NSTemporaryDirectory() + "facet-etcd-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit {
        try? kill()
        try? FileManager.default.removeItem(atPath: folder)
    }

    func start() throws {
        let process = Process()
        let input = Pipe()
        let peer = "http://127.0.0.1:\(peerPort)"
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments =
            ["-c", Self.script, "sh", folder, Self.program, "--name", "test", "--data-dir", folder + "/data"]
            + ["--listen-client-urls", endpoint, "--advertise-client-urls", endpoint, "--listen-peer-urls", peer]
            + ["--initial-advertise-peer-urls", peer, "--initial-cluster", "test=\(peer)", "--unsafe-no-fsync"]
        process.standardInput = input
        try process.run()
        try input.fileHandleForReading.close()
        running.withLock { $0 = (process, input) }
    }

    /// As `kill -9`; what was acknowledged is kept.
    func kill() throws {
        guard let (process, input) = running.withLock({ $0.take() }) else { return }
        try input.fileHandleForWriting.write(contentsOf: Data("keep\n".utf8))
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}

enum FreePorts {
    /// Below those that the system gives to connections: one of these, free when it is taken, would else be somebody's by
    /// the time that a server binds it.
    private static let range = 10_000..<32_000
    private static let next = Mutex(range.lowerBound + Int(getpid()) * 16 % range.count)

    /// Ports that were free a moment ago, and that no other call in this process gets before all others were taken.
    static func take(_ count: Int) throws -> [Int] {
        try (0..<count).map { _ in
            for _ in range {
                let port = next.withLock { next in
                    next = next + 1 < range.upperBound ? next + 1 : range.lowerBound
                    return next
                }
                if isFree(port) { return port }
            }
            throw POSIXError(.EADDRINUSE)
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

import Foundation

/// Latencies of one kind of request with a number of them in flight.
struct Measurement: Sendable {
    /// Microseconds, ascending.
    var latencies: [Double]
    var seconds: Double

    static func run(
        inFlight: Int, seconds: Double, _ request: @escaping @Sendable () async throws -> Void
    ) async throws -> Measurement {
        let start = ContinuousClock.now
        let end = start + .seconds(seconds)
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { group in
            for _ in 0..<inFlight {
                group.addTask {
                    var latencies: [Double] = []
                    var now = ContinuousClock.now
                    while now < end {
                        try await request()
                        let after = ContinuousClock.now
                        latencies.append(microseconds(now.duration(to: after)))
                        now = after
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        return Measurement(
            latencies: latencies.sorted(), seconds: microseconds(start.duration(to: .now)) / 1_000_000)
    }

    func percentile(_ share: Double) -> String {
        latencies.isEmpty ? "-" : String(format: "%.0f", latencies[Int(Double(latencies.count - 1) * share)])
    }

    static func microseconds(_ duration: Duration) -> Double {
        let (seconds, attoseconds) = duration.components
        return Double(seconds) * 1e6 + Double(attoseconds) * 1e-12
    }
}

/// Microseconds of CPU of a process, in user and kernel.
enum ProcessTime {
    static func own() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let times = [usage.ru_utime, usage.ru_stime]
        return times.reduce(0) { $0 + Double($1.tv_sec) * 1e6 + Double($1.tv_usec) }
    }

    /// From the kernel's clock ticks, 100 a second.
    static func of(process: Int32) -> Double {
        guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return 0 }
        let fields = stat[end...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) * 10_000
    }
}

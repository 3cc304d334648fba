import Foundation

/// What a figure depends on beside the program.
enum Machine {
    static var text: String {
        let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = info.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last
        let cores = ProcessInfo.processInfo.activeProcessorCount
        return "\(model?.trimmingCharacters(in: .whitespaces) ?? "processor unknown"), \(cores) cores"
    }

    /// Of the last minute.
    static var load: String {
        let text = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? ""
        return text.split(separator: " ").first.map(String.init) ?? "unknown"
    }

    /// How fast one thread takes in memory from front to back: what bounds a scan.
    static func readGigabytesPerSecond(_ faces: BenchCollection) -> Double {
        let bytes = faces.count * faces.dimension * MemoryLayout<Float>.stride
        let words = UnsafeRawPointer(faces.rows).assumingMemoryBound(to: SIMD8<UInt64>.self)
        let count = bytes / MemoryLayout<SIMD8<UInt64>>.stride
        var sum = SIMD8<UInt64>()
        var time = Double.infinity
        for _ in 0..<3 {
            let start = ContinuousClock.now
            for index in 0..<count { sum ^= words[index] }
            time = min(time, nanoseconds(since: start))
        }
        // Used, so that the loop stays.
        return sum == SIMD8(repeating: 1) ? 0 : Double(bytes) / time
    }
}

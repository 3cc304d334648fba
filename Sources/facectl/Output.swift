import FaceModel
import Foundation

/// What facectl prints on standard output: tables for people, JSON for programs.
enum Output {
    static func line(_ text: String = "") { print(text) }

    static func json(_ object: Any) throws {
        let data = try JSONSerialization.data(
            withJSONObject: object, options: [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes])
        print(String(decoding: data, as: UTF8.self))
    }

    /// Columns as wide as their widest cell; numbers to the right.
    static func table(_ header: [String], _ rows: [[String]], rightAligned: Set<Int> = []) {
        let widths = header.indices.map { column in
            ([header] + rows).map { $0[column].count }.max() ?? 0
        }
        for row in [header] + rows {
            let cells = row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return rightAligned.contains(column) ? space + cell : cell + space
            }
            var text = cells.joined(separator: "  ")
            while text.last == " " { text.removeLast() }
            print(text)
        }
    }

    static func bytes(_ count: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var (value, unit) = (Double(count), 0)
        while value >= 1_024, unit < units.count - 1 {
            value /= 1_024
            unit += 1
        }
        return unit == 0 ? "\(count) B" : String(format: "%.1f %@", value, units[unit])
    }

    /// "12 s", "3 min", "5 h", "2 d".
    static func age(_ seconds: Int) -> String {
        switch seconds {
        case ..<100: "\(seconds) s"
        case ..<6_000: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) d"
        }
    }

    /// Begins a new screen on a terminal; nothing where the output goes elsewhere.
    static func clearScreen() {
        guard isatty(STDOUT_FILENO) != 0 else { return }
        FileHandle.standardOutput.write(Data("\u{1B}[H\u{1B}[2J".utf8))
    }

    static func time(_ seconds: Double) -> String {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime]
        return formatter.string(from: Date(timeIntervalSince1970: seconds))
    }

    /// "2026-11-21".
    static func date(_ time: Timestamp) -> String { String(Self.time(Double(time.milliseconds) / 1_000).prefix(10)) }

    static func decimal(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

    /// A number of people: exact where it is large, with two significant digits where it is small.
    static func strangers(_ value: Double) -> String {
        value >= 10 ? String(format: "%.0f", value) : String(format: "%.2g", value)
    }
}

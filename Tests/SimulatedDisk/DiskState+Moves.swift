/// Renames of directories: one entry each, whatever is in them.
extension DiskState {
    /// False where there is no such directory. What is durable in it stays so, under the old name until its parent is
    /// synced or a loss of power decides.
    mutating func moveDirectory(_ from: String, to: String) -> Bool {
        guard directories.contains(from) else { return false }
        carry(from, to)
        moves.append((from, to))
        return true
    }

    mutating func makeMovesDurable(in parent: String) {
        for (from, to) in moves where Self.parent(of: from) == parent || Self.parent(of: to) == parent {
            durableNames = Self.renamed(durableNames, from, to)
        }
        moves.removeAll { Self.parent(of: $0.from) == parent || Self.parent(of: $0.to) == parent }
    }

    /// Of the renames that were not synced the first so many have reached the disk.
    mutating func settleMoves(_ count: Int) {
        for (from, to) in moves[..<count] { durableNames = Self.renamed(durableNames, from, to) }
        for (from, to) in moves[count...].reversed() { carry(to, from) }
        moves = []
    }

    private mutating func carry(_ from: String, _ to: String) {
        names = Self.renamed(names, from, to)
        directories = Set(directories.map { Self.renamed($0, from, to) })
    }

    private static func renamed(_ names: [String: DiskFile], _ from: String, _ to: String) -> [String: DiskFile] {
        Dictionary(names.map { (renamed($0.key, from, to), $0.value) }, uniquingKeysWith: { _, moved in moved })
    }

    private static func renamed(_ name: String, _ from: String, _ to: String) -> String {
        name == from || name.hasPrefix(from + "/") ? to + name.dropFirst(from.count) : name
    }

    private static func parent(of path: String) -> Substring {
        path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
    }
}

import ClusterModel
package import FaceModel
import Foundation
import Synchronization

/// How new the reads of a request must be, as its client asks for it. The one home of the words for it.
package enum ReadConsistency: Hashable, Sendable {
    /// Everything that was acknowledged before.
    case strong
    /// What the client's session has seen.
    case session
    /// Everything that was acknowledged up to so long before.
    case bounded(milliseconds: Int)

    /// What answers and ledger state; a strong read says nothing.
    var statement: String {
        switch self {
        case .strong: ""
        case .session: " reads=session"
        case .bounded(let milliseconds): " reads=bounded:\(milliseconds)"
        }
    }
}

/// How much of a collection's shards a client has seen; it brings the text along (`x-facet-session`).
package struct SessionToken: Hashable, Sendable {
    private static let version: UInt8 = 1
    private static let positionBytes = 28

    package var collection: CollectionUID
    package var positions: [ShardID: ShardPosition]

    package init(collection: CollectionUID, positions: [ShardID: ShardPosition]) {
        self.collection = collection
        self.positions = positions
    }

    /// Nil for what is no such text. Nothing of it is secret, and whoever makes one up waits for what there is not.
    package init?(_ text: String) {
        guard text.utf8.count <= Limits.sessionTextBytesMax, let data = Data(base64Encoded: text) else { return nil }
        let bytes = [UInt8](data)
        guard bytes.count >= 17, bytes[0] == Self.version, (bytes.count - 17).isMultiple(of: Self.positionBytes) else {
            return nil
        }
        collection = CollectionUID(Bits128(bigEndian: bytes[1..<17]))
        positions = [:]
        for start in stride(from: 17, to: bytes.count, by: Self.positionBytes) {
            let shard = ShardID(Bits128(bigEndian: bytes[start..<start + 16]))
            let lsn = Self.number(bytes[start + 20..<start + 28])
            guard lsn <= Limits.positionMax, positions[shard] == nil else { return nil }
            let generation = Generation(UInt32(Self.number(bytes[start + 16..<start + 20])))
            positions[shard] = ShardPosition(generation, LogIndex(lsn))
        }
    }

    package var text: String {
        var bytes = [Self.version] + collection.bits.bytes
        for (shard, position) in positions.sorted(by: { $0.key < $1.key }) {
            bytes += shard.bits.bytes
            bytes += withUnsafeBytes(of: position.generation.value.bigEndian, Array.init)
            bytes += withUnsafeBytes(of: position.lsn.value.bigEndian, Array.init)
        }
        return Data(bytes).base64EncodedString()
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}

/// What one request must see and has seen of its collection.
package final class ReadSession: Sendable {
    package let consistency: ReadConsistency
    private let state: Mutex<SessionToken?>

    /// `token`: what the client brought, whatever the consistency: what it has seen since is added.
    package init(_ consistency: ReadConsistency = .strong, token: SessionToken? = nil) {
        self.consistency = consistency
        state = Mutex(token)
    }

    /// What the client has seen now; nil while that is nothing.
    package var token: SessionToken? { state.withLock { $0 } }

    var isStrong: Bool { consistency == .strong }

    func level(of shard: ShardID) -> ReadLevel {
        switch consistency {
        case .strong: .strong
        case .session: .session(token?.positions[shard] ?? .zero)
        case .bounded(let milliseconds): .bounded(milliseconds: milliseconds)
        }
    }

    func saw(_ shard: ShardID, _ position: ShardPosition, of collection: CollectionUID) {
        state.withLock { token in
            var seen = token ?? SessionToken(collection: collection, positions: [:])
            seen.positions[shard] = max(position, seen.positions[shard] ?? .zero)
            token = seen
        }
    }

    /// Forgets shards that the collection has no more: what is in their place holds all that they held.
    func keep(_ shards: Set<ShardID>) {
        state.withLock { token in
            guard var seen = token else { return }
            seen.positions = seen.positions.filter { shards.contains($0.key) }
            token = seen
        }
    }
}

package import FaceModel
import Foundation
package import Replication

/// Files of other nodes' replicas over the wire.
extension RemoteReplicas: CopySource {
    private static let releasePatience = Duration.seconds(2)

    package func listing(
        of shard: ShardID, on node: NodeID, for receiver: ReplicaID, deadline: ContinuousClock.Instant
    ) async -> CopyListing? {
        guard let call = Self.call(deadline: deadline) else { return nil }
        do throws(CallFailure) {
            let answer: WireCopyAnswer = try await connections.ask(
                node, .copy, WireCopyRequest(shard, for: receiver, call), deadline: deadline, shard: shard)
            do throws(BodyError) { return try answer.domain() } catch { throw .malformed(error) }
        } catch {
            return failed(shard, node, error)
        }
    }

    package func read(
        _ chunk: CopyChunk, of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [UInt8]? {
        guard let call = Self.call(deadline: deadline) else { return nil }
        do throws(CallFailure) {
            let answer: WireChunkAnswer = try await connections.ask(
                node, .chunk, WireChunkRequest(chunk, of: shard, call), deadline: deadline, shard: shard)
            return answer.hasBytes ? Array(answer.bytes) : nil
        } catch {
            return failed(shard, node, error)
        }
    }

    package func release(_ number: UInt64, of shard: ShardID, on node: NodeID) async {
        let deadline = ContinuousClock.now + Self.releasePatience
        guard let call = Self.call(deadline: deadline) else { return }
        do throws(CallFailure) {
            let _: WireChunkAnswer = try await connections.ask(
                node, .chunk, WireChunkRequest(releasing: number, of: shard, call), deadline: deadline, shard: shard)
        } catch {
            // The node releases it by itself when nobody asks for long.
            let _: CopyListing? = failed(shard, node, error)
        }
    }

    package func rows(
        of faces: [FaceID], _ shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [[UInt8]]? {
        guard let call = Self.call(deadline: deadline) else { return nil }
        do throws(CallFailure) {
            let answer: WireRowsAnswer = try await connections.ask(
                node, .rows, WireRowsRequest(faces, of: shard, call), deadline: deadline, shard: shard)
            do throws(BodyError) { return try answer.domain() } catch { throw .malformed(error) }
        } catch {
            return failed(shard, node, error)
        }
    }

    private func failed<Value>(_ shard: ShardID, _ node: NodeID, _ failure: CallFailure) -> Value? {
        log.debug(
            "a node does not lend its files",
            metadata: ["node": "\(node)", "shard": "\(shard)", "reason": "\(failure.text)"])
        return nil
    }
}

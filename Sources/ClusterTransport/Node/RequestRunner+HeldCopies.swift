import ClusterModel
import FaceModel
import NIOCore

/// What the node's disk holds.
extension RequestRunner {
    func runHeldCopies(_ frame: Frame, _ request: inout RequestID?) async throws(Failure) -> ByteBuffer? {
        let (shard, deadline): (ShardID?, ContinuousClock.Instant)
        do throws(BodyError) {
            let message = try WireHeldCopiesRequest(body: frame.body)
            let call = try message.call.domain(now: .now)
            (request, deadline) = (call.request, call.deadline)
            shard = try message.domain()
        } catch {
            throw .badRequest(error)
        }
        do throws(NodeError) {
            let copies = try await shards.copies(ofNode: node, of: shard, deadline: deadline)
            return WireHeldCopiesAnswer(copies).frame(.response, id: frame.id)
        } catch {
            throw .node(error.reason)
        }
    }
}

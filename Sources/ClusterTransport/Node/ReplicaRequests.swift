import FaceModel
import NIOCore
import Replication

/// What other nodes ask of a node's replicas.
extension RequestRunner {
    func runReplicas(
        _ method: Method, _ frame: Frame, _ request: inout RequestID?
    ) async throws(Failure) -> ByteBuffer? {
        guard let replicas else { throw .unsupported("node \(node) has no replicas") }
        let (asked, call): (ReplicaRequest, RequestID)
        do throws(BodyError) {
            (asked, call) = try Self.replicaRequest(method, frame.body)
        } catch {
            throw .badRequest(error)
        }
        request = call
        switch asked {
        case .post(let letters):
            for letter in letters { replicas.receive(letter) }
            return WirePostAnswer().frame(.response, id: frame.id)
        case .report(let shard):
            return WireReportAnswer(await replicas.report(of: shard)).frame(.response, id: frame.id)
        case .copy(let shard, let receiver):
            let listing = await replicas.listing(of: shard, for: receiver)
            return WireCopyAnswer(listing).frame(.response, id: frame.id)
        case .chunk(let chunk, let shard):
            return WireChunkAnswer(await replicas.read(chunk, of: shard)).frame(.response, id: frame.id)
        case .rows(let faces, let shard):
            return WireRowsAnswer(await replicas.rows(of: faces, shard)).frame(.response, id: frame.id)
        case .release(let number, let shard):
            await replicas.release(number, of: shard)
            return WireChunkAnswer().frame(.response, id: frame.id)
        }
    }

    /// As `shardRequest`.
    static func replicaRequest(
        _ method: Method, _ body: ByteBuffer
    ) throws(BodyError) -> (ReplicaRequest, RequestID) {
        let (asked, call): (ReplicaRequest, WireCall)
        switch method {
        case .post:
            let message = try WirePostRequest(body: body)
            (asked, call) = (.post(try message.domain()), message.call)
        case .report:
            let message = try WireReportRequest(body: body)
            (asked, call) = (.report(of: try message.domain()), message.call)
        case .copy:
            let message = try WireCopyRequest(body: body)
            (asked, call) = (try message.domain(), message.call)
        case .chunk:
            let message = try WireChunkRequest(body: body)
            (asked, call) = (try message.domain(), message.call)
        case .rows:
            let message = try WireRowsRequest(body: body)
            (asked, call) = (try message.domain(), message.call)
        case .open, .drop, .retire, .split, .enrol, .delete, .search, .buckets, .sample, .faces, .vector, .list,
            .statistics, .nodeStatistics, .heldCopies, .append, .record, .ledgerStatus, .standing:
            preconditionFailure("\(method.label) asks no replica")
        }
        return (asked, try call.domain(now: .now).request)
    }
}

/// A request among nodes as it is handed on.
enum ReplicaRequest: Sendable {
    case post([ReplicaLetter])
    case report(of: ShardID)
    case copy(of: ShardID, for: ReplicaID)
    case chunk(CopyChunk, of: ShardID)
    case release(UInt64, of: ShardID)
    case rows(of: [FaceID], ShardID)
}

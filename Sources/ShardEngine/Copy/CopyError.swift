import Dispatch
import StorageIO
import WriteAheadLog

/// Why a copy was not fetched.
enum CopyError: Error {
    /// The source has not lent its files in the time that it may take.
    case notReady
    case badListing
    /// The source does not lend its files any more, or was not reached.
    case gone(file: String)
    /// What came is not what the source said.
    case altered(file: String)
    /// What came of the ledger is not what its key has signed.
    case refused(String)
    case noRoom(String)
    case file(FileError)
    case log(LogError)
    case cancelled

    var text: String {
        switch self {
        case .notReady: "the node does not lend its files"
        case .badListing: "the node's list of files is not that of a shard"
        case .gone(let file): "the node was not reached, or does not lend \(file) any more"
        case .altered(let file): "\(file) is not what the node said it is"
        case .refused(let reason): reason
        case .noRoom(let reason): reason
        case .file(let error): error.sentence
        case .log(let error): "\(error)"
        case .cancelled: "the copy is not wanted any more"
        }
    }
}

/// Runs what may wait for the disk where it holds nobody up, one after another.
struct DiskQueue: Sendable {
    private let queue: DispatchQueue

    init(label: String) { queue = DispatchQueue(label: label) }

    func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(CopyError) -> Value
    ) async throws(CopyError) -> Value {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, CopyError>, Never>) in
            queue.async { continuation.resume(returning: Result(catching: body)) }
        }
        return try result.get()
    }
}

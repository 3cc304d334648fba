import FaceModel
import Logging
import Replication
import StorageIO
import WriteAheadLog

/// A copy's log after recovery, and what it keeps beside: all that the protocol between copies begins with.
struct OpenedLog {
    let identity: LogIdentity
    let log: Log
    let memoryFile: ReplicaMemoryFile
    let memory: ReplicaMemory
    var scanned: ScannedLog

    /// Opens the log in `directory` and the file `replica` in `folder`. A shard that was made before there were copies
    /// begins with `register`.
    init(
        _ identity: LogIdentity, directory: String, memoryIn folder: String, register: RegisterState?,
        on files: any FileSystem, logger: Logger
    ) throws(ReplicaError) {
        self.identity = identity
        memoryFile = ReplicaMemoryFile(of: identity.shard, identity.replica, in: folder, on: files)
        var memory = try Self.memory(memoryFile, register)
        let tail: ScannedLog.Tail
        (log, tail) = try Self.open(
            identity, directory: directory, memory: &memory, memoryFile, on: files, logger: logger)
        self.memory = memory
        scanned = ScannedLog(outline: log.outline, tail: tail)
    }

    private static func memory(
        _ file: ReplicaMemoryFile, _ register: RegisterState?
    ) throws(ReplicaError) -> ReplicaMemory {
        if let memory = try file.read() { return memory }
        guard let register else {
            throw .contradiction(reason: "the control plane has no register of it, and it has none of its own")
        }
        let memory = ReplicaMemory(begin: file.replica, register: register)
        do throws(FileError) { try file.write(memory) } catch { throw .file(error) }
        return memory
    }

    /// A torn tail is noted before it is cut off: the next scan would find nothing.
    private static func open(
        _ identity: LogIdentity, directory: String, memory: inout ReplicaMemory, _ file: ReplicaMemoryFile,
        on files: any FileSystem, logger: Logger
    ) throws(ReplicaError) -> (Log, ScannedLog.Tail) {
        var failure: ReplicaError?
        var tail = ScannedLog.Tail.clean
        do throws(LogError) {
            let (log, _) = try Log.open(
                directory: directory, identity: identity, on: files
            ) { (recovery) throws(LogError) in
                logger.warning("the log's tail was torn and is cut off", metadata: ["recovery": "\(recovery)"])
                tail = .suspect
                memory.isSuspect = true
                do throws(FileError) {
                    try file.write(memory)
                } catch {
                    failure = .file(error)
                    throw .stopped
                }
            }
            return (log, tail)
        } catch {
            throw failure ?? .log(error)
        }
    }
}

extension Log {
    /// Where each epoch begins, and how far the log reaches.
    var outline: LogOutline {
        var outline = LogOutline()
        for (number, start) in epochStarts.enumerated() {
            let end = number + 1 < epochStarts.count ? epochStarts[number + 1].first.value - 1 : lastIndex.value
            if number == 0, start.first.value > 1 { outline.append(Int(start.first.value - 1), of: Epoch(0)) }
            if end >= start.first.value { outline.append(Int(end + 1 - start.first.value), of: start.epoch) }
        }
        outline.release(before: firstIndex)
        return outline
    }
}

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
    /// What the core begins with. Of a new generation it is not written before `adopt`.
    let memory: ReplicaMemory
    var scanned: ScannedLog
    /// An operator has named this copy, alone, as the one to go on with (docs/decisions/0029).
    let acceptsLoss: Bool
    private let adopts: Bool

    /// Opens the log in `directory` and the file `replica` in `folder`. A shard that was made before there were copies
    /// begins with `register`. Where a loss was accepted and the copy holds more than what is whole of its log, as far as
    /// `held`, the log is made to reach there; nil for a copy whose log must never lose anything.
    init(
        _ identity: LogIdentity, directory: String, memoryIn folder: String, register: RegisterState?,
        held: LogIndex?, on files: any FileSystem, logger: Logger
    ) throws(ReplicaError) {
        self.identity = identity
        memoryFile = ReplicaMemoryFile(of: identity.shard, identity.replica, in: folder, on: files)
        var memory = try Self.memory(memoryFile, register)
        let accepted = register.flatMap { memory.adopting($0, as: identity.replica) }
        acceptsLoss = held != nil && accepted?.register.configuration.isr == [identity.replica]
        let tail: ScannedLog.Tail
        (log, tail) = try Self.open(
            identity, directory: directory, acceptingLoss: acceptsLoss, memory: &memory, memoryFile, on: files,
            logger: logger)
        if acceptsLoss, let held, let accepted {
            try Self.fill(log, through: held, in: accepted.register.configuration.epoch)
        }
        adopts = accepted != nil
        self.memory = register.flatMap { memory.adopting($0, as: identity.replica) } ?? memory
        scanned = ScannedLog(outline: log.outline, tail: tail)
    }

    /// Its last records stand in for lost ones.
    var standsIn: Bool { acceptsLoss && log.epoch == memory.register.configuration.epoch }

    /// Remembers the new generation, where there is one. Last: until then a start that was cut short begins again.
    func adopt() throws(ReplicaError) {
        guard adopts else { return }
        do throws(FileError) { try memoryFile.write(memory) } catch { throw .file(error) }
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
        _ identity: LogIdentity, directory: String, acceptingLoss: Bool, memory: inout ReplicaMemory,
        _ file: ReplicaMemoryFile, on files: any FileSystem, logger: Logger
    ) throws(ReplicaError) -> (Log, ScannedLog.Tail) {
        var failure: ReplicaError?
        var tail = ScannedLog.Tail.clean
        do throws(LogError) {
            let (log, _) = try Log.open(
                directory: directory, identity: identity, on: files, acceptingLoss: acceptingLoss
            ) { (recovery) throws(LogError) in
                logger.warning("\(recovery.warning)", metadata: ["recovery": "\(recovery)"])
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

    /// Puts records that change nothing in the place of those that are lost, and whose work was done. They are of the
    /// epoch that the operator's register began, in which nobody writes: so no other copy's log is taken for equal to
    /// this one there.
    private static func fill(_ log: Log, through end: LogIndex, in epoch: Epoch) throws(ReplicaError) {
        guard log.lastIndex < end else { return }
        guard epoch >= log.epoch else {
            throw .contradiction(reason: "its log has records of epoch \(log.epoch), its register begins \(epoch)")
        }
        do throws(LogError) {
            while log.lastIndex < end {
                let count = min(Limits.batchFacesMax, Int(end.value - log.lastIndex.value))
                let noop = LogEntry(type: .noop, token: .none, payload: [])
                _ = try log.append(Array(repeating: noop, count: count), epoch: epoch)
            }
            try log.synchronize()
        } catch {
            throw .log(error)
        }
    }
}

extension ReplicaMemory {
    /// What it becomes by a register of a later generation that names the copy; nil by any other. Epochs may begin again
    /// below what it promised: messages of the generations before are not heard any more.
    fileprivate func adopting(_ register: RegisterState, as replica: ReplicaID) -> ReplicaMemory? {
        guard register.isSuccessor(of: self.register.configuration.generation, for: replica) else { return nil }
        return ReplicaMemory(epoch: register.configuration.epoch, register: register, isSuspect: isSuspect)
    }
}

extension RegisterState {
    /// Whether an operator has accepted a loss since `generation`, and counts on `replica` still.
    func isSuccessor(of generation: Generation, for replica: ReplicaID) -> Bool {
        configuration.generation > generation && configuration.named.contains(replica)
    }
}

extension LogRecovery {
    fileprivate var warning: String {
        switch tail {
        case .lost: "the log is cut before what is lost of it, as an operator has accepted"
        case .clean, .torn: "the log's tail was torn and is cut off"
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

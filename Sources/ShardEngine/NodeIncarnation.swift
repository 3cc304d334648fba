package import ClusterModel
package import FaceModel
package import StorageIO

/// How often a node has started: a file in its data directory and a register, compared and raised at each start, so
/// that a directory that was rolled back, or another disk in its place, is told from the one others count on.
package enum NodeIncarnation {
    private static let magic: [UInt8] = Array("FACETINC".utf8)
    private static let version: UInt32 = 1
    private static let bytesMax = 1_024
    /// Another process that starts as the same node may win a race; one that wins every time is a fault to be told.
    private static let attemptsMax = 16

    /// Raises the incarnation of `node`, which starts on the data directory `directory`, before the node says or keeps
    /// anything else. The directory is compared with the register first, raised second, the register third: after an
    /// error, or a crash, at any place the same call may be made again.
    package static func raise(
        node: NodeID, directory: String, files: any FileSystem, controlPlane: any ControlPlane
    ) async throws(NodeIncarnationError) -> Incarnation {
        for _ in 0..<attemptsMax {
            let register = try await read(node, controlPlane)
            let known = try read(node, in: directory, on: files)
            let seen = register?.incarnation ?? Incarnation(0)
            guard known >= seen else {
                throw .rolledBack(directory: directory, found: known, register: seen)
            }
            let next = known.next
            try write(next, node, in: directory, on: files)
            guard try await swap(IncarnationRegister(node: node, incarnation: next), register, controlPlane) else {
                continue
            }
            return next
        }
        throw .contested(node: node)
    }

    /// Gives the directory of the node `old`, which does not run, to `new`; how often the node has started, which must be
    /// `known` times or more, stays. May be done again.
    static func rename(
        from old: NodeID, to new: NodeID, directory: String, files: any FileSystem, atLeast known: Incarnation
    ) throws(NodeIncarnationError) -> Incarnation {
        var found: Incarnation
        do throws(NodeIncarnationError) {
            found = try read(old, in: directory, on: files)
        } catch {
            guard case .otherNode(_, new.text) = error else { throw error }
            found = try read(new, in: directory, on: files)
        }
        guard found >= known else { throw .rolledBack(directory: directory, found: found, register: known) }
        try write(found, new, in: directory, on: files)
        return found
    }

    private static func read(
        _ node: NodeID, _ controlPlane: any ControlPlane
    ) async throws(NodeIncarnationError) -> (incarnation: Incarnation, revision: Revision)? {
        do throws(ControlPlaneError) {
            guard let register = try await controlPlane.readFresh(.incarnation(node)) else { return nil }
            guard case .incarnation(let value) = register.value else {
                throw .unreadable(path: RegisterKey.incarnation(node).path, reason: "another kind of register")
            }
            return (value.incarnation, register.revision)
        } catch {
            throw .controlPlane(error)
        }
    }

    /// False when the register is no longer as it was read.
    private static func swap(
        _ new: IncarnationRegister, _ old: (incarnation: Incarnation, revision: Revision)?,
        _ controlPlane: any ControlPlane
    ) async throws(NodeIncarnationError) -> Bool {
        do throws(ControlPlaneError) {
            let change = RegisterTransaction.Change.put(.incarnation(new), expecting: old?.revision ?? .absent)
            switch try await controlPlane.commit(RegisterTransaction([change])) {
            case .committed: return true
            case .conflict: return false
            case .leaseEnded: preconditionFailure("a transaction without a lease")
            }
        } catch {
            throw .controlPlane(error)
        }
    }

    private static func path(in directory: String) -> String { directory + "/incarnation" }

    private static func write(
        _ incarnation: Incarnation, _ node: NodeID, in directory: String, on files: any FileSystem
    ) throws(NodeIncarnationError) {
        let name = Array(node.text.utf8)
        let count = 26 + name.count + 4
        var writer = ByteWriter(reserving: count)
        writer.put(bytes: magic)
        writer.put(version)
        writer.put(UInt32(count))
        writer.put(incarnation.value)
        writer.put(UInt16(name.count))
        writer.put(bytes: name)
        writer.put(CRC32C.checksum(writer.bytes))
        do throws(FileError) {
            try AtomicFile.write(writer.bytes, to: path(in: directory), on: files)
        } catch {
            throw .file(error)
        }
    }

    /// 0 where there is no file.
    private static func read(
        _ node: NodeID, in directory: String, on files: any FileSystem
    ) throws(NodeIncarnationError) -> Incarnation {
        let path = path(in: directory)
        let bytes: [UInt8]
        do throws(FileError) {
            guard try files.exists(path) else { return Incarnation(0) }
            bytes = try AtomicFile.read(path, on: files, limit: bytesMax)
        } catch {
            throw .file(error)
        }
        do {
            var reader = try SealedBytes.reader(of: bytes, magic: magic, version: version)
            let incarnation = Incarnation(try reader.u64())
            let name = String(decoding: try reader.bytes(Int(try reader.u16())), as: UTF8.self)
            guard reader.remaining == 0 else { throw SealedBytes.Failure.damaged(reason: "it has bytes left over") }
            guard name == node.text else { throw NodeIncarnationError.otherNode(directory: directory, found: name) }
            return incarnation
        } catch let error as NodeIncarnationError {
            throw error
        } catch SealedBytes.Failure.newerFormat(let found) {
            throw .newerFormat(path: path, found: found, supported: version)
        } catch SealedBytes.Failure.damaged(let reason) {
            throw .damaged(path: path, reason: reason)
        } catch {
            throw .damaged(path: path, reason: "a field is missing")
        }
    }
}

/// Why a node does not start.
package enum NodeIncarnationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The directory knows fewer starts than the register; `found` is 0 where it knows none.
    case rolledBack(directory: String, found: Incarnation, register: Incarnation)
    case otherNode(directory: String, found: String)
    case damaged(path: String, reason: String)
    case newerFormat(path: String, found: UInt32, supported: UInt32)
    case file(FileError)
    /// The store cannot be asked now, or holds what cannot be read. Where it cannot be asked, trying again is right.
    case controlPlane(ControlPlaneError)
    /// Another process starts as this node again and again.
    case contested(node: NodeID)

    package var description: String {
        switch self {
        case .rolledBack(let directory, let found, let register):
            """
            \(directory) knows of \(found) starts of this node, the control plane of \(register): it is an older copy, \
            or another disk is mounted there. Mount the disk that the node ran on last; if that is lost, start a node \
            of another name on an empty directory
            """
        case .otherNode(let directory, let found):
            "\(directory) belongs to node '\(found)'; start that node on it, or name this node's own directory"
        case .damaged(let path, let reason):
            """
            \(path) is damaged: \(reason). Its disk is not to be trusted: start a node of another name on an empty \
            directory of another disk
            """
        case .newerFormat(let path, let found, let supported):
            "\(path) has format \(found); this version reads up to \(supported)"
        case .file(let error): "the data directory cannot be used: \(error.sentence)"
        case .controlPlane(.unavailable(let reason, _)): "the control plane cannot be asked: \(reason)"
        case .controlPlane(.unreadable(let path, let reason)): "the register \(path) cannot be read: \(reason)"
        case .contested(let node): "another process starts as node '\(node)' again and again; stop one of the two"
        }
    }
}

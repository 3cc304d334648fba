import ArgumentParser
import ControlPlane
import FaceModel
import KeyHierarchy
import ServiceConfiguration
import ShardEngine
import StorageIO

extension ControlCommand {
    struct Grow: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an embedded server's data directory that of the first node of a new cluster.",
            discussion: """
                For a server that has become too small, or must survive its machine. Stop it; write the cluster's \
                configuration, where the node's 'data' is the server's data directory and 'key' names a copy of its key \
                file; make certificates; start etcd, but no node and no coordinator; and give this command on the \
                machine that has the directory. Then start the nodes and coordinators, and 'facectl shard replicate' \
                gives every shard, and the ledger, its copies. Collections, faces and their ids, access keys and the \
                ledger stay what they were; only the endpoint is another. Given again it goes on where it was. There is \
                no way back.
                """)
        @Option(help: "The cluster's configuration file.") var config: String
        @Option(help: "The node of it that takes over the directory that its 'data' names.") var node: String
        @Option(help: "Whose certificate of the cluster to show to etcd. Default: as the file says.") var name: String?

        func run() async throws {
            do {
                try await grow()
            } catch let failure as Failure {
                throw failure
            } catch let error as FileError {
                throw Failure(text: error.sentence)
            } catch {
                throw Failure(text: "\(error)")
            }
        }

        private func grow() async throws {
            let configuration = try ClusterConfiguration(file: config)
            let node = try configuration.node(self.node, file: config)
            guard node.ledger else {
                throw Failure(text: "\(node.id) gets the server's ledger: it must have 'ledger: true' in \(config)")
            }
            let files = POSIXFileSystem()
            let data = DataDirectory(path: node.data, files: files)
            guard try files.exists(data.controlPlane) else {
                throw Failure(text: "no embedded server ever ran on \(data.path), which \(config) gives to \(node.id)")
            }
            let lock = try data.lock()
            defer { withExtendedLifetime(lock) {} }
            try requireSameKey(data, configuration, files)
            let registers = try SQLiteControlPlane(path: data.controlPlane)
            let store = try KeyPlaceOptions.registers(of: configuration, as: name)
            let growth = Growth(
                of: data, on: files, from: registers, to: store, of: configuration.name, as: node.id)
            let outcome = try await growth.run()
            try await store.shutdown()
            let place = "\(data.path) is \(node.id) of the cluster '\(configuration.name)'"
            switch outcome {
            case .grown(let count):
                Output.line("\(place): \(count) registers went there.")
                Output.line("Start its nodes and coordinators, and then give 'facectl shard replicate'.")
            case .done:
                Output.line("\(place) already.")
            }
        }

        /// Everything in the directory is sealed by its key, and must be opened by the cluster's.
        private func requireSameKey(
            _ data: DataDirectory, _ configuration: ClusterConfiguration, _ files: POSIXFileSystem
        ) throws {
            guard try files.exists(configuration.keyFile) else {
                throw Failure(
                    text: "the cluster's key file \(configuration.keyFile) is not there: copy \(data.keyFile) to it")
            }
            let keys = try [data.keyFile, configuration.keyFile].map {
                try AtomicFile.read($0, on: files, limit: MasterKey.byteCount)
            }
            guard keys[0] == keys[1] else {
                throw Failure(
                    text: "\(configuration.keyFile) is another key than \(data.keyFile), with which everything in the "
                        + "directory is sealed: copy the latter to the former")
            }
        }
    }
}

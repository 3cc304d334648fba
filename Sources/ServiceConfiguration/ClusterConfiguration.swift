package import ClusterModel
package import FaceModel

/// The file that describes a whole cluster; every process is started with it and its own name.
///
/// It only bootstraps: what exists and where is told by the control plane from then on.
package struct ClusterConfiguration: Equatable, Sendable {
    package struct Node: Equatable, Sendable {
        package var id: NodeID
        /// Where the others reach it, and where it listens; they differ behind a container's network.
        package var address: NodeAddress
        package var listen: NodeAddress
        /// Plain HTTP for `/livez`, `/readyz` and `/metrics`.
        package var monitor: NodeAddress
        package var zone: String
        package var data: String
        /// Bytes of memory its shards may take; 0 is no limit.
        package var memoryBytes: Int
        /// Whether it keeps a copy of the ledger.
        package var ledger: Bool
    }
    package struct Coordinator: Equatable, Sendable {
        package var name: NodeID
        package var listen: NodeAddress
        package var zone: String
    }
    /// Of shards that are made from now on.
    package struct Replication: Equatable, Sendable {
        package static let copiesMax = 7
        /// Each on a node of its own.
        package var copies: Int
        /// How many copies must have a record before it is acknowledged, 1...`copies`.
        package var minInSync: Int
        /// Seconds that a node may be silent before its copies are made anew on others; 0: never.
        package var replaceAfterSeconds: Int
    }

    package var name: String
    /// The key file that opens the registers' sealed keys: for coordinators and facectl, never for nodes.
    package var keyFile: String
    /// Holds `ca.pem` and for each process `<name>.pem` and `<name>-key.pem`.
    package var tlsDirectory: String
    package var etcdEndpoints: [String]
    /// Name of the certificate that etcd is shown; missing: the process's own.
    package var etcdCertificate: String?
    /// Shards of a collection that is made without a number.
    package var shardsPerCollection: Int
    package var replication: Replication
    /// Seconds from a request's arrival to the refusal that says it took too long.
    package var deadlineSeconds: Int
    package var nodes: [Node]
    package var coordinators: [Coordinator]
    package var service: ServiceSettings

    /// Relative paths in the file are relative to the directory the process is started in.
    package init(file: String) throws(ConfigurationError) {
        try self.init(yaml: ConfigurationSection.contents(of: file), file: file)
    }

    package init(yaml text: String, file: String) throws(ConfigurationError) {
        var top = try ConfigurationSection(yaml: text, file: file)
        name = try top.label("cluster")
        keyFile = try top.required("key", try top.text("key"))
        var tls = try top.section("tls")
        tlsDirectory = try tls.required("directory", try tls.text("directory"))
        try tls.finish(allowed: ["directory"])
        var etcd = try top.section("etcd")
        etcdEndpoints = try etcd.required("endpoints", try etcd.texts("endpoints"))
        etcdCertificate = try etcd.text("certificate")
        try etcd.finish(allowed: ["endpoints", "certificate"])
        var collections = try top.section("collections")
        shardsPerCollection = try collections.integer("shards", in: 1...Limits.shardsPerCollectionMax) ?? 1
        try collections.finish(allowed: ["shards"])
        var section = try top.section("replication")
        replication = try Replication(&section)
        var limits = try top.section("limits")
        deadlineSeconds = try limits.integer("deadlineSeconds", in: 1...300) ?? Limits.requestDeadlineSeconds
        try limits.finish(allowed: ["deadlineSeconds"])
        nodes = try top.members("nodes") { (id, section) throws(ConfigurationError) in try Node(id, &section) }
        coordinators = try top.members("coordinators") { (id, section) throws(ConfigurationError) in
            try Coordinator(id, &section)
        }
        service = try ServiceSettings(&top)
        try top.finish(allowed: Self.keys + ServiceSettings.keys)
        try requireLedger(file)
    }

    private static let keys = [
        "cluster", "key", "tls", "etcd", "collections", "replication", "limits", "nodes", "coordinators",
    ]

    /// The node's entry; the error names those there are.
    package func node(_ name: String, file: String) throws(ConfigurationError) -> Node {
        if let node = nodes.first(where: { $0.id.text == name }) { return node }
        throw Self.unknown(name, key: "nodes", there: nodes.map(\.id.text), file: file)
    }

    package func coordinator(_ name: String, file: String) throws(ConfigurationError) -> Coordinator {
        if let coordinator = coordinators.first(where: { $0.name.text == name }) { return coordinator }
        throw Self.unknown(name, key: "coordinators", there: coordinators.map(\.name.text), file: file)
    }

    /// The nodes that are to keep copies of the ledger.
    package var ledgerNodes: [NodeID] { nodes.filter(\.ledger).map(\.id) }

    /// Of the ledger's copies, how many must have an entry before it is acknowledged: never all of several.
    package var ledgerMinInSync: Int { max(1, min(replication.minInSync, ledgerNodes.count - 1)) }

    private static func unknown(_ name: String, key: String, there: [String], file: String) -> ConfigurationError {
        ConfigurationError(
            file: file, key: key, problem: "has no entry '\(name)'; there are \(there.joined(separator: ", "))")
    }

    private func requireLedger(_ file: String) throws(ConfigurationError) {
        let count = nodes.count { $0.ledger }
        guard (1...Replication.copiesMax).contains(count), count != 2 else {
            throw ConfigurationError(
                file: file, key: "nodes",
                problem: "\(count) nodes have 'ledger: true'; one, or 3 to \(Replication.copiesMax), must keep the "
                    + "ledger: with two it would be away as soon as either is")
        }
    }
}

extension ClusterConfiguration.Replication {
    fileprivate init(_ section: inout ConfigurationSection) throws(ConfigurationError) {
        copies = try section.integer("copies", in: 1...Self.copiesMax) ?? 3
        minInSync = try section.integer("min_in_sync", in: 1...copies) ?? min(2, copies)
        replaceAfterSeconds = try section.integer("replace_after_seconds", in: 0...604_800) ?? 600
        try section.finish(allowed: ["copies", "min_in_sync", "replace_after_seconds"])
    }
}

extension ClusterConfiguration.Node {
    fileprivate init(_ id: NodeID, _ section: inout ConfigurationSection) throws(ConfigurationError) {
        self.id = id
        address = try section.required("address", try section.address("address"))
        listen = try section.address("listen") ?? address
        monitor = try section.required("monitor", try section.address("monitor"))
        zone = try section.text("zone") ?? "default"
        data = try section.required("data", try section.text("data"))
        memoryBytes = try section.bytes("memory") ?? 0
        ledger = try section.flag("ledger") ?? false
        try section.finish(allowed: ["address", "listen", "monitor", "zone", "data", "memory", "ledger"])
    }
}

extension ClusterConfiguration.Coordinator {
    fileprivate init(_ id: NodeID, _ section: inout ConfigurationSection) throws(ConfigurationError) {
        name = id
        listen = try section.required("listen", try section.address("listen"))
        zone = try section.text("zone") ?? "default"
        try section.finish(allowed: ["listen", "zone"])
    }
}

extension ConfigurationSection {
    func required<Value>(_ key: String, _ value: Value?) throws(ConfigurationError) -> Value {
        guard let value else { throw error(key, "is missing") }
        return value
    }

    fileprivate mutating func label(_ key: String) throws(ConfigurationError) -> String {
        let text = try required(key, try text(key))
        guard NodeID(text) != nil else { throw error(key, "is '\(text)'; allowed are 1 to 63 characters of a-z 0-9 -") }
        return text
    }

    /// The entries of a mapping from names to mappings, in the order of their names.
    fileprivate mutating func members<Member>(
        _ key: String, _ read: (NodeID, inout ConfigurationSection) throws(ConfigurationError) -> Member
    ) throws(ConfigurationError) -> [Member] {
        var section = try section(key)
        var members: [Member] = []
        for name in section.names {
            guard let id = NodeID(name) else {
                throw section.error(name, "is no name; allowed are 1 to 63 characters of a-z 0-9 -")
            }
            var entry = try section.section(name)
            members.append(try read(id, &entry))
        }
        guard !members.isEmpty else { throw error(key, "must have at least one entry") }
        return members
    }
}

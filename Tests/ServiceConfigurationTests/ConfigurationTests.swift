import ClusterModel
import Foundation
import Testing

@testable import ServiceConfiguration

private let whole = """
    cluster: lab
    key: key
    tls: {directory: certs}
    etcd: {endpoints: ["https://127.0.0.1:2379"], certificate: etcd-client}
    collections: {shards: 4}
    replication: {copies: 5, min_in_sync: 3, replace_after_seconds: 60}
    limits: {deadlineSeconds: 5}
    nodes:
      node-1: {address: "127.0.0.1:9101", monitor: "127.0.0.1:9201", zone: a, data: d1, memory: 2 GiB, ledger: true}
      node-2: {address: "[::1]:9102", listen: "0.0.0.0:9102", monitor: "127.0.0.1:9202", data: d2}
    coordinators:
      coordinator-1: {listen: "127.0.0.1:8901"}
    search: {threads: 3, planes: mapped}
    disk: {scrub_after_seconds: 86400}
    """

@Suite struct ConfigurationTests {
    /// The files an operator starts from must never rot.
    @Test func theFilesOfTheProjectAreRead() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("cluster-configs").path
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".yaml") }
        #expect(names.contains("embedded.yaml") && names.contains("lab.yaml"))
        for name in names {
            if name == "embedded.yaml" {
                _ = try EmbeddedConfiguration(file: "\(folder)/\(name)")
            } else {
                let cluster = try ClusterConfiguration(file: "\(folder)/\(name)")
                #expect(cluster.nodes.count >= 3 && cluster.coordinators.count >= 2, "\(name)")
            }
        }
    }

    @Test func everyKeyArrives() throws {
        let cluster = try ClusterConfiguration(yaml: whole, file: "f")
        #expect(cluster.name == "lab" && cluster.etcdCertificate == "etcd-client" && cluster.shardsPerCollection == 4)
        #expect(cluster.deadlineSeconds == 5 && cluster.service.searchThreads == 3 && cluster.service.mapPlanes)
        #expect(try !EmbeddedConfiguration(yaml: "search: {planes: memory}", file: "f").service.mapPlanes)
        #expect(cluster.service.scrubAfterSeconds == 86_400)
        #expect(try EmbeddedConfiguration(yaml: "", file: "f").service.scrubAfterSeconds == 604_800)
        #expect(cluster.replication == .init(copies: 5, minInSync: 3, replaceAfterSeconds: 60))
        let node = try cluster.node("node-1", file: "f")
        #expect(node.memoryBytes == 2 << 30 && node.ledger && node.zone == "a" && node.listen == node.address)
        let other = try cluster.node("node-2", file: "f")
        #expect(other.address == NodeAddress(host: "::1", port: 9102) && other.listen.host == "0.0.0.0")
        #expect(try cluster.coordinator("coordinator-1", file: "f").listen.port == 8901)
    }

    @Test(arguments: [
        ("", 3, 2), ("replication: {copies: 1}", 1, 1), ("replication: {copies: 1, min_in_sync: 1}", 1, 1),
        ("replication: {copies: 2}", 2, 2), ("replication: {min_in_sync: 3}", 3, 3),
        ("replication: {copies: 7, min_in_sync: 4}", 7, 4),
    ])
    func aClusterKeepsThreeCopiesUnlessToldOtherwise(section: String, copies: Int, minInSync: Int) throws {
        let own = "replication: {copies: 5, min_in_sync: 3, replace_after_seconds: 60}"
        let text = whole.replacingOccurrences(of: own, with: section)
        let cluster = try ClusterConfiguration(yaml: text, file: "f")
        #expect(cluster.replication == .init(copies: copies, minInSync: minInSync, replaceAfterSeconds: 600))
    }

    @Test(arguments: [
        ("cluster: lab", "cluster: Lab!", "cluster", "a-z"),
        ("key: key\n", "", "key", "missing"),
        ("tls: {directory: certs}", "tls: {}", "tls.directory", "missing"),
        (#"["https://127.0.0.1:2379"]"#, "[]", "etcd.endpoints", "list"),
        ("shards: 4", "shards: 0", "collections.shards", "256"),
        ("copies: 5", "copies: 8", "replication.copies", "1 to 7"),
        ("min_in_sync: 3", "min_in_sync: 6", "replication.min_in_sync", "1 to 5"),
        ("min_in_sync: 3", "min_in_sync: 0", "replication.min_in_sync", "1 to 5"),
        ("min_in_sync: 3", "min_isr: 3", "replication.min_isr", "min_in_sync"),
        ("deadlineSeconds: 5", "deadlineSeconds: 0", "limits.deadlineSeconds", "300"),
        (#"address: "127.0.0.1:9101""#, "address: nowhere", "nodes.node-1.address", "HOST:PORT"),
        (#"address: "127.0.0.1:9101""#, #"address: "127.0.0.1:0""#, "nodes.node-1.address", "65535"),
        ("memory: 2 GiB", "memory: much", "nodes.node-1.memory", "GiB"),
        ("ledger: true", "ledger: 1.5", "nodes.node-1.ledger", "true or false"),
        (", ledger: true", "", "nodes", "ledger"),
        ("data: d2", "data: d2, ledger: true", "nodes", "one, or 3 to"),
        ("node-2:", "NODE_2:", "nodes.NODE_2", "a-z"),
        (#"listen: "127.0.0.1:8901""#, "zone: a", "coordinators.coordinator-1.listen", "missing"),
        ("search: {threads: 3, planes: mapped}", "serach: {}", "serach", "search"),
        ("planes: mapped", "planes: disk", "search.planes", "memory, mapped"),
        ("scrub_after_seconds: 86400", "scrub_after_seconds: -1", "disk.scrub_after_seconds", "31536000"),
        ("data: d2", "dta: d2", "nodes.node-2.data", "missing"),
    ])
    func aBadKeyIsNamed(there: String, instead: String, key: String, says: String) throws {
        let text = whole.replacingOccurrences(of: there, with: instead)
        #expect(text != whole)
        let error = #expect(throws: ConfigurationError.self) { try ClusterConfiguration(yaml: text, file: "f.yaml") }
        #expect(error?.key == key && error?.file == "f.yaml")
        #expect(error?.problem.contains(says) == true, "\(error?.description ?? "")")
    }

    @Test func aNameThatIsNotThereIsAnsweredWithThoseThatAre() throws {
        let cluster = try ClusterConfiguration(yaml: whole, file: "f")
        let error = #expect(throws: ConfigurationError.self) { try cluster.node("node-9", file: "f") }
        #expect(error?.description.contains("node-1, node-2") == true)
    }
}

import ArgumentParser
import ClusterModel
import ControlPlane
import FaceModel
import Foundation
import KeyHierarchy
import ServiceConfiguration
import ShardEngine
import StorageIO

/// Whose access keys: an embedded server's, or a cluster's.
struct KeyPlaceOptions: ParsableArguments {
    @Option(help: "An embedded server's data directory. Default: .facet/data.")
    var data: String?

    @Option(help: "A cluster's configuration file: the keys are in its etcd.")
    var config: String?

    @Option(help: "With --config: whose certificate of the cluster to show to etcd. Default: as the file says.")
    var name: String?

    func validate() throws {
        if data != nil, config != nil {
            throw ValidationError("--data is of an embedded server, --config of a cluster.")
        }
    }

    /// `create` makes a data directory that is not there; without it a mistyped one is an error and no new directory.
    func open(create: Bool = false) async throws -> KeyStore {
        do {
            if let config { return try Self.cluster(config, as: name) }
            return try await Self.embedded(data ?? DataOptions.standard, create: create)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(text: "\(error)")
        }
    }

    private static func embedded(_ path: String, create: Bool) async throws -> KeyStore {
        let data = DataDirectory(path: path, files: POSIXFileSystem())
        guard create || FileManager.default.fileExists(atPath: data.controlPlane) else {
            throw Failure(text: "there are no keys in \(path); --data names another directory")
        }
        try data.prepare()
        let masterKey = try data.masterKey()
        let controlPlane = try SQLiteControlPlane(path: data.controlPlane)
        if let cluster = try await controlPlane.movedTo() {
            throw Failure(
                text: "the keys of \(path) are those of the cluster '\(cluster)' since 'facectl control grow': give "
                    + "its configuration with --config")
        }
        return KeyStore(controlPlane: controlPlane, masterKey: masterKey)
    }

    private static func cluster(_ file: String, as name: String?) throws -> KeyStore {
        let configuration = try ClusterConfiguration(file: file)
        let masterKey = try DataDirectory.readKey(configuration.keyFile, on: POSIXFileSystem())
        return KeyStore(controlPlane: try registers(of: configuration, as: name), masterKey: masterKey)
    }

    /// The cluster's etcd, which is shown the certificate of `name`.
    static func registers(of configuration: ClusterConfiguration, as name: String?) throws -> EtcdControlPlane {
        guard let shown = name ?? configuration.etcdCertificate ?? configuration.coordinators.first?.name.text,
            let shown = NodeID(shown)
        else { throw Failure(text: "--name must be the name of a certificate of the cluster") }
        return try EtcdControlPlane(configuration.etcd(as: shown))
    }
}

/// The registers of access keys.
struct KeyStore {
    let controlPlane: any ControlPlane
    let masterKey: MasterKey

    func create(person: String, roles: Set<String>, tenant: String) async throws -> (id: String, secret: String) {
        guard let tenant = TenantID(tenant) else { throw Failure(text: "the account '\(tenant)' is not 12 digits") }
        var generator = SystemRandomNumberGenerator()
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        let id = "FCT" + String((0..<17).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] })
        let secret = Data((0..<30).map { _ in UInt8.random(in: 0...255, using: &generator) }).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
        guard let accessKey = AccessKeyID(id) else { throw Failure(text: "no access key could be made") }
        let now = Self.now()
        let register = AccessKeyRegister(
            accessKey: accessKey, tenant: tenant, person: person, roles: roles,
            sealedSecret: masterKey.sealSecret(
                Array(secret.utf8), register: RegisterKey.accessKey(accessKey).path, using: &generator),
            created: now, revoked: nil)
        var changes: [RegisterTransaction.Change] = [.put(.accessKey(register), expecting: .absent)]
        if try await controlPlane.read(.tenant(tenant)) == nil {
            changes.append(.put(.tenant(TenantRegister(tenant: tenant, created: now)), expecting: .absent))
        }
        guard case .committed = try await controlPlane.commit(RegisterTransaction(changes)) else {
            throw Failure(text: "another command changed the keys at the same time; try again")
        }
        return (id, secret)
    }

    func list() async throws -> [AccessKeyRegister] {
        try await controlPlane.list(.accessKeys).compactMap { register in
            if case .accessKey(let key) = register.value { key } else { nil }
        }
    }

    func revoke(_ id: String) async throws {
        guard let key = AccessKeyID(id), let found = try await controlPlane.read(.accessKey(key)),
            case .accessKey(var register) = found.value
        else { throw Failure(text: "there is no access key '\(id)' here; 'facectl keys list' shows those there are") }
        guard register.revoked == nil else { return }
        register.revoked = Self.now()
        let outcome = try await controlPlane.commit(
            RegisterTransaction([.put(.accessKey(register), expecting: found.revision)]))
        guard case .committed = outcome else { throw Failure(text: "'\(id)' was changed at the same time; try again") }
    }

    private static func now() -> Timestamp {
        Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
    }
}

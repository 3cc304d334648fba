import AccessControl
import ArgumentParser
import ClusterModel
import ControlPlane
import FaceModel
import Foundation
import KeyHierarchy
import ShardEngine
import StorageIO

/// Access keys, in the data directory itself: the first one has to come from somewhere.
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Make, list and revoke access keys.",
        subcommands: [Create.self, List.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make an access key. Its secret is shown once.")

        @Option(help: "The person who will use the key, as your institution names people.")
        var person: String

        @Option(help: "What the key may do: \(Role.allCases.map(\.rawValue).joined(separator: ", ")). Repeatable.")
        var role: [String]

        @Option(help: "The account, 12 digits.")
        var tenant = TenantID.embedded.text

        @Flag(help: "Print shell 'export' lines.")
        var export = false

        @OptionGroup var data: DataOptions
        @OptionGroup var output: OutputOptions

        func validate() throws {
            for name in role where Role(rawValue: name) == nil {
                throw ValidationError(
                    "--role '\(name)' is not one of \(Role.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
            guard (1...128).contains(person.count) else {
                throw ValidationError("--person must have 1 to 128 characters.")
            }
            guard TenantID(tenant) != nil else { throw ValidationError("--tenant must be 12 digits.") }
        }

        func run() async throws {
            let store = try KeyStore(data.data, create: true)
            let (id, secret) = try await store.create(person: person, roles: Set(role), tenant: tenant)
            if output.json {
                try Output.json(["AccessKeyId": id, "SecretAccessKey": secret, "Person": person, "Roles": role])
            } else if export {
                Output.line("export AWS_ACCESS_KEY_ID=\(id)")
                Output.line("export AWS_SECRET_ACCESS_KEY=\(secret)")
            } else {
                Output.line("AWS_ACCESS_KEY_ID      \(id)")
                Output.line("AWS_SECRET_ACCESS_KEY  \(secret)")
                Output.line("Keep the secret now: it is not shown again.")
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List access keys, without their secrets.")
        @OptionGroup var data: DataOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let keys = try await KeyStore(data.data).list()
            if output.json {
                return try Output.json(
                    keys.map { key -> [String: Any] in
                        [
                            "AccessKeyId": key.accessKey.text, "Person": key.person, "Roles": key.roles.sorted(),
                            "Tenant": key.tenant.text, "Revoked": key.revoked != nil,
                        ]
                    })
            }
            Output.table(
                ["ACCESS KEY", "PERSON", "ROLES", "ACCOUNT", "CREATED", "STATE"],
                keys.map { key in
                    [
                        key.accessKey.text, key.person, key.roles.sorted().joined(separator: ","), key.tenant.text,
                        Output.time(Double(key.created.milliseconds) / 1_000),
                        key.revoked.map { "revoked \(Output.time(Double($0.milliseconds) / 1_000))" } ?? "active",
                    ]
                })
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke an access key: the next request it signs is refused.")
        @Argument(help: "The access key's id.") var key: String
        @OptionGroup var data: DataOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await KeyStore(data.data).revoke(key)
            if output.json { return try Output.json(["AccessKeyId": key, "Revoked": true]) }
            Output.line("\(key) is revoked.")
        }
    }
}

/// The registers of access keys in a data directory.
struct KeyStore {
    private let controlPlane: SQLiteControlPlane
    private let masterKey: MasterKey

    /// `create` makes a directory that is not there; without it a mistyped `--data` is an error and not a new directory.
    init(_ path: String, create: Bool = false) throws {
        let data = DataDirectory(path: path, files: POSIXFileSystem())
        guard create || FileManager.default.fileExists(atPath: data.controlPlane) else {
            throw Failure(text: "there are no keys in \(path); --data names another directory")
        }
        do {
            try data.prepare()
            masterKey = try data.masterKey()
            controlPlane = try SQLiteControlPlane(path: data.controlPlane)
        } catch {
            throw Failure(text: "\(error)")
        }
    }

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

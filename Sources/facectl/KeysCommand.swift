import AccessControl
import ArgumentParser
import FaceModel

/// Access keys, in the control plane itself: the first one has to come from somewhere.
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

        @OptionGroup var place: KeyPlaceOptions
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
            let store = try await place.open(create: true)
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
        @OptionGroup var place: KeyPlaceOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let keys = try await place.open().list()
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
            abstract: "Revoke an access key: the next request it signs is refused.",
            discussion: """
                For good. The register says so at once; a server that runs puts it into the ledger too, from where \
                coordinators hear of it that are cut off from the registers.
                """)
        @Argument(help: "The access key's id.") var key: String
        @OptionGroup var place: KeyPlaceOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await place.open().revoke(key)
            if output.json { return try Output.json(["AccessKeyId": key, "Revoked": true]) }
            Output.line("\(key) is revoked.")
        }
    }
}

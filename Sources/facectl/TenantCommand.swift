import ArgumentParser
import FaceModel

struct TenantCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenant", abstract: "Stop everything of an account, or let it go on.",
        discussion: """
            An order is a leaf of the ledger, with who gave it and why, and is in force on every coordinator within \
            two seconds. An admin of an account may suspend it; only an admin of the operators' account, \
            \(TenantID.cluster), may suspend others and resume any.
            """,
        subcommands: [Suspend.self, Resume.self])

    /// What both orders are told.
    struct OrderOptions: ParsableArguments {
        @Argument(help: "The account, 12 digits.") var tenant: String
        @Option(help: "Why: up to 256 bytes, kept encrypted in the ledger.") var reason: String

        func validate() throws {
            guard TenantID(tenant) != nil else { throw ValidationError("The account must be 12 digits.") }
            guard (1...Limits.orderReasonBytesMax).contains(reason.utf8.count) else {
                throw ValidationError("--reason must have 1 to \(Limits.orderReasonBytesMax) bytes.")
            }
        }
    }

    struct Suspend: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse everything of an account: reads, writes and searches.")
        @OptionGroup var order: OrderOptions
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await TenantCommand.give("SuspendTenant", order, server, output, saying: "suspended")
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Answer an account's requests again.")
        @OptionGroup var order: OrderOptions
        @OptionGroup var server: ServerOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await TenantCommand.give("ResumeTenant", order, server, output, saying: "resumed")
        }
    }

    private static func give(
        _ operation: String, _ order: OrderOptions, _ server: ServerOptions, _ output: OutputOptions,
        saying done: String
    ) async throws {
        let reply = try await server.connect().call(
            "FacetService.\(operation)", ["Tenant": order.tenant, "Reason": order.reason])
        if output.json { return try Output.json(reply.json) }
        let given = Document(reply.json)
        Output.line("\(order.tenant) is \(done): leaf \(given.integer("Leaf") ?? 0) of the ledger.")
    }
}

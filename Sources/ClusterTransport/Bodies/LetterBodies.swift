import FaceModel
import Foundation
import Replication

extension WirePostRequest {
    init(_ letters: [ReplicaLetter], _ call: WireCall) {
        self.init()
        self.call = call
        self.letters = letters.map { WireLetter($0) }
    }

    func domain() throws(BodyError) -> [ReplicaLetter] {
        guard letters.count <= TransportLimits.lettersMax else {
            throw BodyError("letters", "\(letters.count); \(TransportLimits.lettersMax) at most")
        }
        var read: [ReplicaLetter] = []
        read.reserveCapacity(letters.count)
        for letter in letters {
            do throws(BodyError) {
                read.append(try letter.domain())
            } catch {
                throw BodyError("letters[\(read.count)].\(error.field)", error.problem)
            }
        }
        return read
    }
}

extension WireLetter {
    /// The records of an `append` are exactly those of its range; others are the sender's own bug.
    init(_ letter: ReplicaLetter) {
        self.init()
        shard = FieldBytes.id(letter.shard)
        sender = FieldBytes.id(letter.sender)
        receiver = FieldBytes.id(letter.receiver)
        generation = letter.message.generation.value
        epoch = letter.message.epoch.value
        incarnation = letter.message.incarnation.value
        switch letter.message.body {
        case .append(let append): self.append = Append(append, letter.records)
        case .appended(let match, let version):
            appended = .with {
                $0.match = match.value
                $0.version = version
            }
        case .mismatch(let hint): mismatch = hint.value
        case .copyNeeded(let first): copyNeeded = first.value
        case .fenced: fenced = Empty()
        case .confirm(let round): confirm = round
        case .confirmed(let round): confirmed = round
        case .poll(let number): poll = number.value
        case .polled(let number, let commit, let age):
            polled = .with {
                $0.number = number.value
                $0.commit = commit.value
                $0.ageMilliseconds = UInt64(max(0, age))
            }
        }
    }

    func domain() throws(BodyError) -> ReplicaLetter {
        let epoch = try Fields.position(epoch, "epoch")
        let (body, records) = try content(Epoch(epoch))
        let message = ReplicaMessage(
            generation: Generation(generation), epoch: Epoch(epoch),
            incarnation: Incarnation(try Fields.position(incarnation, "incarnation")), body: body)
        return ReplicaLetter(
            shard: try Fields.id(shard, "shard"), sender: try Fields.id(sender, "sender"),
            receiver: try Fields.id(receiver, "receiver"), message: message, records: records)
    }

    private func content(_ epoch: Epoch) throws(BodyError) -> (ReplicaMessage.Body, [ReplicaRecord]) {
        switch body {
        case .append(let append):
            let (range, records) = try append.domain(epoch: epoch)
            return (.append(try self.append(append, range)), records)
        case .appended(let answer):
            return (
                .appended(
                    match: LogIndex(try Fields.position(answer.match, "appended.match")),
                    version: try Fields.position(answer.version, "appended.version")), []
            )
        case .mismatch(let hint): return (.mismatch(hint: LogIndex(try Fields.position(hint, "mismatch"))), [])
        case .copyNeeded(let first):
            return (.copyNeeded(first: LogIndex(try Fields.position(first, "copy_needed"))), [])
        case .fenced: return (.fenced, [])
        case .confirm(let round): return (.confirm(round: try Fields.position(round, "confirm")), [])
        case .confirmed(let round): return (.confirmed(round: try Fields.position(round, "confirmed")), [])
        case .poll(let number): return (.poll(RequestNumber(number)), [])
        case .polled(let answer):
            return (
                .polled(
                    RequestNumber(answer.number), commit: LogIndex(try Fields.position(answer.commit, "polled.commit")),
                    age: Int(try Fields.position(answer.ageMilliseconds, "polled.age_milliseconds"))), []
            )
        case nil: throw BodyError("body", "a letter this release does not know")
        }
    }

    /// What a primary sends speaks of its own generation, and of nothing later than its own epoch.
    private func append(_ append: Append, _ range: LogRange) throws(BodyError) -> ReplicaMessage.Append {
        let register = try append.register.domain()
        guard append.register.generation == generation else {
            throw BodyError("append.register.generation", "\(append.register.generation), in a letter of \(generation)")
        }
        guard append.register.epoch <= epoch else {
            throw BodyError("append.register.epoch", "\(append.register.epoch), in a letter of epoch \(epoch)")
        }
        return ReplicaMessage.Append(
            range: range, commit: LogIndex(try Fields.position(append.commit, "append.commit")), register: register,
            complete: append.hasComplete
                ? Incarnation(try Fields.position(append.complete, "append.complete")) : nil)
    }
}

extension WireLetter.Register {
    init(_ state: RegisterState) {
        self.init()
        let configuration = state.configuration
        revision = state.revision
        generation = configuration.generation.value
        version = configuration.version
        epoch = configuration.epoch.value
        primary = FieldBytes.id(configuration.primary)
        primaryIncarnation = configuration.primaryIncarnation.value
        inSync = FieldBytes.ids(configuration.isr)
        learners = FieldBytes.ids(configuration.learners)
        minInSync = UInt32(clamping: configuration.minISR)
    }

    func domain() throws(BodyError) -> RegisterState {
        let primary: ReplicaID = try Fields.id(primary, "append.register.primary")
        let isr = try Self.replicas(inSync, "append.register.in_sync")
        guard isr.contains(primary) else { throw BodyError("append.register.primary", "it is not in sync") }
        let learners = try Self.replicas(learners, "append.register.learners")
        guard !learners.contains(where: isr.contains) else {
            throw BodyError("append.register.learners", "one of them is in sync")
        }
        let configuration = ShardConfiguration(
            generation: Generation(generation), version: try Fields.position(version, "append.register.version"),
            epoch: Epoch(try Fields.position(epoch, "append.register.epoch")), primary: primary,
            primaryIncarnation: Incarnation(
                try Fields.position(primaryIncarnation, "append.register.primary_incarnation")),
            isr: isr, learners: learners,
            minISR: try Fields.limit(
                minInSync, "append.register.min_in_sync", 1...TransportLimits.replicasMax))
        return RegisterState(
            configuration: configuration, revision: try Fields.position(revision, "append.register.revision"))
    }

    private static func replicas(_ data: Data, _ field: String) throws(BodyError) -> [ReplicaID] {
        let replicas = try Fields.ids(data, field, max: TransportLimits.replicasMax, ReplicaID.self)
        for index in replicas.indices.dropFirst() where replicas[index] <= replicas[index - 1] {
            throw BodyError(field, "replica \(index) is out of order")
        }
        return replicas
    }
}

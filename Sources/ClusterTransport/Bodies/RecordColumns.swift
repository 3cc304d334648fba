import FaceModel
import Foundation
import Replication

extension WireLetter.Append {
    /// Of a record beside its payload: type, token, length.
    static let recordBytes = 1 + 16 + 4

    init(_ append: ReplicaMessage.Append, _ records: [ReplicaRecord]) {
        self.init()
        let range = append.range
        precondition(
            records.count == Int(range.last.value - range.previous.index.value)
                && records.first.map { $0.lsn == range.previous.index.next } != false,
            "a letter has the records of its range")
        previous = range.previous.index.value
        previousEpoch = range.previous.epoch.value
        last = range.last.value
        runFirsts = range.runs.map(\.first.value)
        runEpochs = range.runs.map(\.epoch.value)
        commit = append.commit.value
        register = WireLetter.Register(append.register)
        if let complete = append.complete { self.complete = complete.value }
        guard !records.isEmpty else { return }
        types = Data(records.map(\.type))
        tokens = FieldBytes.ids(records.lazy.map(\.token))
        lengths = FieldBytes.words(records.lazy.map { UInt32($0.payload.count) })
        var payloads = Data(capacity: records.reduce(0) { $0 + $1.payload.count })
        for record in records { payloads.append(contentsOf: record.payload) }
        self.payloads = payloads
    }

    /// The range, and every record of it. `epoch` is the letter's: no record is of a later one.
    func domain(epoch: Epoch) throws(BodyError) -> (LogRange, [ReplicaRecord]) {
        let range = try range(epoch: epoch)
        return (range, try records(of: range))
    }

    private func range(epoch: Epoch) throws(BodyError) -> LogRange {
        let start = try Fields.position(previous, "append.previous")
        let end = try Fields.position(last, "append.last")
        let startEpoch = try Fields.position(previousEpoch, "append.previous_epoch")
        guard start <= end, end - start <= UInt64(TransportLimits.recordsMax) else {
            throw BodyError("append.last", "\(end) behind \(start); \(TransportLimits.recordsMax) records at most")
        }
        // 0 further on: the sender's log no longer holds that record.
        guard start > 0 || startEpoch == 0 else {
            throw BodyError("append.previous_epoch", "\(startEpoch) at position \(start)")
        }
        guard runFirsts.count == runEpochs.count, runFirsts.isEmpty == (start == end) else {
            throw BodyError(
                "append.run_firsts", "\(runFirsts.count) runs of \(runEpochs.count) epochs, \(end - start) records")
        }
        var runs: [LogOutline.Run] = []
        runs.reserveCapacity(runFirsts.count)
        for (first, runEpoch) in zip(runFirsts, runEpochs) {
            let follows = runs.last.map { first > $0.first.value } ?? (first == start + 1)
            guard follows, first <= end else {
                throw BodyError("append.run_firsts", "run \(runs.count) begins at \(first), out of order")
            }
            let rises = runs.last.map { runEpoch > $0.epoch.value } ?? (runEpoch >= max(1, startEpoch))
            guard rises, runEpoch <= epoch.value else {
                throw BodyError("append.run_epochs", "run \(runs.count) is of epoch \(runEpoch), out of order")
            }
            runs.append(LogOutline.Run(epoch: Epoch(runEpoch), first: LogIndex(first)))
        }
        return LogRange(
            previous: LogPoint(epoch: Epoch(startEpoch), index: LogIndex(start)), runs: runs, last: LogIndex(end))
    }

    private func records(of range: LogRange) throws(BodyError) -> [ReplicaRecord] {
        let count = Int(range.last.value - range.previous.index.value)
        let tokens = try Fields.ids(tokens, "append.tokens", max: count, RequestToken.self)
        let lengths = try Fields.words(lengths, "append.lengths", max: count)
        guard types.count == count, tokens.count == count, lengths.count == count else {
            throw BodyError(
                "append.types",
                "\(types.count) types, \(tokens.count) tokens and \(lengths.count) lengths of \(count) records")
        }
        if let index = lengths.firstIndex(where: { $0 > TransportLimits.recordBytesMax }) {
            throw BodyError(
                "append.lengths[\(index)]", "\(lengths[index]) bytes; \(TransportLimits.recordBytesMax) at most")
        }
        let bytes = lengths.reduce(0) { $0 + Int($1) }
        guard bytes == payloads.count else {
            throw BodyError("append.payloads", "\(payloads.count) bytes; the records have \(bytes)")
        }
        return cut(range, tokens: tokens, lengths: lengths)
    }

    /// Every column is as long as the range.
    private func cut(_ range: LogRange, tokens: [RequestToken], lengths: [UInt32]) -> [ReplicaRecord] {
        let types = [UInt8](types)
        var records: [ReplicaRecord] = []
        records.reserveCapacity(types.count)
        payloads.withUnsafeBytes { payloads in
            var (start, run) = (0, 0)
            var lsn = range.previous.index
            for index in types.indices {
                lsn = lsn.next
                while run + 1 < range.runs.count, range.runs[run + 1].first <= lsn { run += 1 }
                let end = start + Int(lengths[index])
                records.append(
                    ReplicaRecord(
                        lsn: lsn, epoch: range.runs[run].epoch, type: types[index], token: tokens[index],
                        payload: [UInt8](payloads[start..<end])))
                start = end
            }
        }
        return records
    }
}

extension ReplicaLetter {
    /// Bytes it takes in a request, or a little more.
    var wireBytesMax: Int {
        guard case .append(let append) = message.body else { return 256 }
        let configuration = append.register.configuration
        return records.reduce(512 + 18 * append.range.runs.count + 16 * configuration.named.count) {
            $0 + WireLetter.Append.recordBytes + $1.payload.count
        }
    }
}

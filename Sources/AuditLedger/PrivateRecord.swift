import Crypto
import FaceModel

/// The canonical bytes of a search intent or result, or of an order: what the leaf commits to.
///
/// ```
/// 0 u8 version 1   1 u8 kind (as in the leaf)   then fields, tags never falling: u16 tag, u32 length, value
/// ```
/// Only tag 12 repeats. A reader skips tags it does not know; the commitment covers the bytes as they stand.
package enum PrivateRecord {
    private static let version: UInt8 = 1

    private enum Tag: UInt16 {
        case search = 1, time, tenant, accessKey, person, operation, purpose, caseNumber, authority, source
        case probeDigest, collection, modelVersion, modelDigest, similarityAsked, cosineAsked, maxCandidates
        case failureCode = 32, cosineApplied, similarityApplied, mode, facesScored, shardsAsked, shardsAnswered
        case expectedStrangers, candidatesDigest, candidates
        case revokedKey = 64, reason
    }

    package static func encode(_ entry: LedgerEntry) -> [UInt8] {
        switch entry {
        case .intent(let intent): encode(intent)
        case .result(let result): encode(result)
        case .order(let order): encode(order)
        }
    }

    /// Nil for bytes that are not a whole record of this version, or whose candidates are not those of their digest.
    package static func decode(_ bytes: [UInt8]) -> LedgerEntry? {
        guard bytes.count >= 2, bytes[0] == version, let kind = Leaf.Kind(rawValue: bytes[1]),
            let fields = Fields(Array(bytes[2...]))
        else { return nil }
        switch kind {
        case .intent: return intent(fields).map(LedgerEntry.intent)
        case .result: return result(fields).map(LedgerEntry.result)
        case .suspend, .resume, .revoke: return order(kind, fields).map(LedgerEntry.order)
        }
    }

    /// What tag 41 holds: candidates can be struck from a disclosure and still be held to it.
    package static func digest(of candidates: [SearchResult.Candidate]) -> [UInt8] {
        Array(SHA256.hash(data: Array("facet candidates v1".utf8) + encode(candidates)))
    }

    private static func encode(_ intent: SearchIntent) -> [UInt8] {
        var writer = FieldWriter(kind: .intent)
        writer.put(.search, intent.search.bits.bytes)
        writer.put(.time, intent.time.milliseconds)
        writer.put(.tenant, intent.tenant.text)
        writer.put(.accessKey, intent.accessKey.text)
        writer.put(.person, intent.person)
        writer.put(.operation, intent.operation)
        writer.put(.purpose, intent.purpose)
        writer.put(.caseNumber, intent.caseNumber)
        writer.put(.authority, intent.authority)
        writer.put(.source, intent.source)
        writer.put(.probeDigest, intent.probeDigest)
        for collection in intent.collections { writer.put(.collection, collection) }
        writer.put(.modelVersion, intent.modelVersion)
        writer.put(.modelDigest, intent.modelDigest)
        writer.put(.similarityAsked, intent.similarityAsked?.bitPattern)
        writer.put(.cosineAsked, intent.cosineAsked?.bitPattern)
        writer.put(.maxCandidates, Int64(intent.maxCandidates))
        return writer.bytes
    }

    private static func encode(_ result: SearchResult) -> [UInt8] {
        var writer = FieldWriter(kind: .result)
        writer.put(.search, result.search.bits.bytes)
        writer.put(.time, result.time.milliseconds)
        writer.put(.tenant, result.tenant.text)
        if case .failed(let code) = result.outcome { writer.put(.failureCode, code) }
        writer.put(.cosineApplied, result.cosineApplied.bitPattern)
        writer.put(.similarityApplied, result.similarityApplied?.bitPattern)
        writer.put(.mode, result.mode)
        writer.put(.facesScored, Int64(result.facesScored))
        writer.put(.shardsAsked, Int64(result.shardsAsked))
        writer.put(.shardsAnswered, Int64(result.shardsAnswered))
        writer.put(.expectedStrangers, result.expectedStrangers?.bitPattern)
        writer.put(.candidatesDigest, digest(of: result.candidates))
        writer.put(.candidates, encode(result.candidates))
        return writer.bytes
    }

    private static func encode(_ order: StandingOrder) -> [UInt8] {
        var writer = FieldWriter(kind: order.kind)
        writer.put(.search, order.id.bits.bytes)
        writer.put(.time, order.time.milliseconds)
        writer.put(.tenant, order.tenant.text)
        writer.put(.accessKey, order.accessKey?.text)
        writer.put(.person, order.person)
        if case .revoke(let key) = order.act { writer.put(.revokedKey, key.text) }
        writer.put(.reason, order.reason)
        return writer.bytes
    }

    private static func encode(_ candidates: [SearchResult.Candidate]) -> [UInt8] {
        var writer = LedgerWriter()
        for candidate in candidates {
            writer.put(bytes: candidate.face.bits.bytes)
            writer.put(candidate.score.bitPattern)
        }
        return writer.bytes
    }

    private static func intent(_ fields: Fields) -> SearchIntent? {
        guard let search = fields.search, let time = fields.time, let tenant = fields.tenant,
            let accessKey = fields.text(.accessKey).flatMap({ AccessKeyID($0) }), let person = fields.text(.person),
            let operation = fields.text(.operation), let probeDigest = fields[.probeDigest],
            let modelVersion = fields.text(.modelVersion), let modelDigest = fields[.modelDigest],
            let maxCandidates = fields.integer(.maxCandidates, Int64.self).flatMap({ Int(exactly: $0) }),
            let collections = fields.texts(.collection)
        else { return nil }
        return SearchIntent(
            search: search, time: time, tenant: tenant, accessKey: accessKey, person: person, operation: operation,
            purpose: fields.text(.purpose), caseNumber: fields.text(.caseNumber), authority: fields.text(.authority),
            source: fields.text(.source), probeDigest: probeDigest, collections: collections,
            modelVersion: modelVersion, modelDigest: modelDigest,
            similarityAsked: fields.integer(.similarityAsked, UInt64.self).map(Double.init(bitPattern:)),
            cosineAsked: fields.integer(.cosineAsked, UInt32.self).map(Float.init(bitPattern:)),
            maxCandidates: maxCandidates)
    }

    private static func result(_ fields: Fields) -> SearchResult? {
        guard let search = fields.search, let time = fields.time, let tenant = fields.tenant,
            let cosine = fields.integer(.cosineApplied, UInt32.self).map(Float.init(bitPattern:)),
            let mode = fields.text(.mode), let faces = fields.integer(.facesScored, Int64.self),
            let asked = fields.integer(.shardsAsked, Int64.self),
            let answered = fields.integer(.shardsAnswered, Int64.self),
            let candidates = fields[.candidates].flatMap(decodeCandidates),
            fields[.candidatesDigest] == digest(of: candidates)
        else { return nil }
        return SearchResult(
            search: search, time: time, tenant: tenant,
            outcome: fields.text(.failureCode).map { .failed(code: $0) } ?? .answered, cosineApplied: cosine,
            similarityApplied: fields.integer(.similarityApplied, UInt64.self).map(Double.init(bitPattern:)),
            mode: mode, facesScored: Int(faces), shardsAsked: Int(asked), shardsAnswered: Int(answered),
            expectedStrangers: fields.integer(.expectedStrangers, UInt64.self).map(Double.init(bitPattern:)),
            candidates: candidates)
    }

    /// A revocation names the key that its id follows from.
    private static func order(_ kind: Leaf.Kind, _ fields: Fields) -> StandingOrder? {
        guard let id = fields.search, let time = fields.time, let tenant = fields.tenant,
            let reason = fields.text(.reason)
        else { return nil }
        let accessKey = fields.text(.accessKey).flatMap { AccessKeyID($0) }
        guard (accessKey == nil) == (fields[.accessKey] == nil) else { return nil }
        let act: StandingOrder.Act
        switch kind {
        case .suspend: act = .suspend
        case .resume: act = .resume
        case .revoke:
            guard let key = fields.text(.revokedKey).flatMap({ AccessKeyID($0) }) else { return nil }
            act = .revoke(key)
        case .intent, .result: preconditionFailure("an entry of a search is no order")
        }
        let order = StandingOrder(
            act, of: tenant, id: id, time: time, accessKey: accessKey, person: fields.text(.person), reason: reason)
        return order.id == id ? order : nil
    }

    private static func decodeCandidates(_ bytes: [UInt8]) -> [SearchResult.Candidate]? {
        var reader = LedgerReader(bytes)
        var candidates: [SearchResult.Candidate] = []
        while reader.remaining > 0 {
            guard let face = reader.take(16), let score = reader.integer(UInt32.self) else { return nil }
            candidates.append(.init(face: FaceID(Bits128(bigEndian: face)), score: Float(bitPattern: score)))
        }
        return candidates
    }

    /// Writes fields in the order of their tags.
    private struct FieldWriter {
        private var writer = LedgerWriter()
        private var last: UInt16 = 0

        init(kind: Leaf.Kind) {
            writer.put(version)
            writer.put(kind.rawValue)
        }

        var bytes: [UInt8] { writer.bytes }

        mutating func put(_ tag: Tag, _ value: [UInt8]?) {
            guard let value else { return }
            precondition(tag.rawValue >= last, "fields stand in the order of their tags")
            last = tag.rawValue
            writer.put(tag.rawValue)
            writer.put(UInt32(value.count))
            writer.put(bytes: value)
        }

        mutating func put(_ tag: Tag, _ text: String?) { put(tag, text.map { Array($0.utf8) }) }

        mutating func put(_ tag: Tag, _ value: (some FixedWidthInteger)?) {
            guard let value else { return }
            put(tag, withUnsafeBytes(of: value.littleEndian) { Array($0) })
        }
    }

    /// The fields of a record, unknown ones among them.
    private struct Fields {
        private var values: [UInt16: [[UInt8]]] = [:]

        init?(_ bytes: [UInt8]) {
            var reader = LedgerReader(bytes)
            var last: UInt16 = 0
            while reader.remaining > 0 {
                guard let tag = reader.integer(UInt16.self), tag >= last, let length = reader.integer(UInt32.self),
                    let value = reader.take(Int(length)), tag != last || tag == Tag.collection.rawValue
                else { return nil }
                values[tag, default: []].append(value)
                last = tag
            }
        }

        subscript(_ tag: Tag) -> [UInt8]? { values[tag.rawValue]?.first }

        func text(_ tag: Tag) -> String? { self[tag].flatMap { String(validating: $0, as: UTF8.self) } }

        func texts(_ tag: Tag) -> [String]? {
            let all = values[tag.rawValue] ?? []
            let texts = all.compactMap { String(validating: $0, as: UTF8.self) }
            return texts.count == all.count ? texts : nil
        }

        func integer<Value: FixedWidthInteger>(_ tag: Tag, _ type: Value.Type) -> Value? {
            guard let bytes = self[tag], bytes.count == MemoryLayout<Value>.size else { return nil }
            var reader = LedgerReader(bytes)
            return reader.integer(type)
        }

        var search: SearchID? {
            self[.search].flatMap { $0.count == 16 ? SearchID(Bits128(bigEndian: $0)) : nil }
        }
        var time: Timestamp? { integer(.time, Int64.self).map(Timestamp.init(milliseconds:)) }
        var tenant: TenantID? { text(.tenant).flatMap { TenantID($0) } }
    }
}

import FaceModel
import Foundation

/// Domain values from the fields of messages, each checked; an error names the field.
enum Fields {
    static func bits(_ data: Data, _ field: String) throws(BodyError) -> Bits128 {
        guard data.count == 16 else { throw BodyError(field, "\(data.count) bytes; an id has 16") }
        return Bits128(bigEndian: data)
    }

    static func id<ID: BitsIdentifier>(_ data: Data, _ field: String, _ type: ID.Type = ID.self) throws(BodyError) -> ID
    {
        ID(try bits(data, field))
    }

    /// Many ids of 16 bytes each.
    static func ids<ID: BitsIdentifier>(
        _ data: Data, _ field: String, max: Int, _ type: ID.Type = ID.self
    ) throws(BodyError) -> [ID] {
        guard data.count.isMultiple(of: 16) else { throw BodyError(field, "\(data.count) bytes; an id has 16") }
        guard data.count / 16 <= max else { throw BodyError(field, "\(data.count / 16) ids; \(max) at most") }
        return data.withUnsafeBytes { raw in
            stride(from: 0, to: raw.count, by: 16).map { start in
                ID(
                    Bits128(
                        high: UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: start, as: UInt64.self)),
                        low: UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self))))
            }
        }
    }

    /// A vector of a dimension that a collection may have.
    static func vector(_ data: Data, _ field: String) throws(BodyError) -> RotatedVector {
        guard data.count.isMultiple(of: 4) else { throw BodyError(field, "\(data.count) bytes; a float has 4") }
        try dimension(data.count / 4, field)
        return RotatedVector(rotated: try floats(data, field))
    }

    static func dimension(_ dimension: Int, _ field: String) throws(BodyError) {
        guard Limits.dimensionRange.contains(dimension), dimension.isMultiple(of: 8) else {
            throw BodyError(
                field,
                "dimension \(dimension); multiples of 8 from \(Limits.dimensionRange.lowerBound) to "
                    + "\(Limits.dimensionRange.upperBound) are possible")
        }
    }

    /// Little-endian fp32, every one finite. `data` is a multiple of four bytes.
    static func floats(_ data: Data, _ field: String) throws(BodyError) -> [Float] {
        let count = data.count / 4
        let values = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            data.withUnsafeBytes { raw in
                for index in 0..<count {
                    let bits = raw.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)
                    buffer.initializeElement(at: index, to: Float(bitPattern: UInt32(littleEndian: bits)))
                }
            }
            initialized = count
        }
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw BodyError(field, "component \(index) is not finite")
        }
        return values
    }

    /// `count` vectors of `dimension` floats each; none have any dimension.
    static func vectors(
        _ data: Data, _ field: String, count: Int, dimension: UInt32
    ) throws(BodyError) -> [RotatedVector] {
        if count > 0 { try Self.dimension(Int(dimension), "dimension") }
        let bytes = Int(dimension) * 4
        guard data.count == count * bytes else {
            throw BodyError(field, "\(data.count) bytes; \(count) vectors have \(count * bytes)")
        }
        var vectors: [RotatedVector] = []
        vectors.reserveCapacity(count)
        var rest = data[...]
        for _ in 0..<count {
            vectors.append(RotatedVector(rotated: try floats(rest.prefix(bytes), "\(field)[\(vectors.count)]")))
            rest = rest.dropFirst(bytes)
        }
        return vectors
    }

    /// Little-endian words of 32 bits, at most `max`.
    static func words(_ data: Data, _ field: String, max: Int) throws(BodyError) -> [UInt32] {
        guard data.count.isMultiple(of: 4) else { throw BodyError(field, "\(data.count) bytes; a word has 4") }
        guard data.count / 4 <= max else { throw BodyError(field, "\(data.count / 4); \(max) at most") }
        return data.withUnsafeBytes { raw in
            stride(from: 0, to: raw.count, by: 4).map {
                UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: $0, as: UInt32.self))
            }
        }
    }

    static func leaves(_ data: Data, _ field: String, max: Int) throws(BodyError) -> [LeafID] {
        try words(data, field, max: max).map(LeafID.init)
    }

    static func roots(_ values: [UInt32], _ field: String) throws(BodyError) -> [LeafID] {
        guard values.count <= TransportLimits.rootsMax else {
            throw BodyError(field, "\(values.count) roots; \(TransportLimits.rootsMax) at most")
        }
        return values.map(LeafID.init)
    }

    static func text(_ value: String, _ field: String, max: Int = TransportLimits.textBytesMax) throws(BodyError)
        -> String
    {
        guard value.utf8.count <= max else {
            throw BodyError(field, "\(value.utf8.count) bytes of text; \(max) at most")
        }
        return value
    }

    static func count(_ value: UInt64, _ field: String) throws(BodyError) -> Int {
        guard let count = Int(exactly: value) else { throw BodyError(field, "\(value) is too large") }
        return count
    }

    /// A log position, an epoch, a version or a count of starts.
    static func position(_ value: UInt64, _ field: String) throws(BodyError) -> UInt64 {
        guard value <= Limits.positionMax else {
            throw BodyError(field, "\(value); \(Limits.positionMax) at most")
        }
        return value
    }

    static func limit(_ value: UInt32, _ field: String, _ range: ClosedRange<Int>) throws(BodyError) -> Int {
        guard range.contains(Int(value)) else {
            throw BodyError(field, "\(value); \(range.lowerBound) to \(range.upperBound) are possible")
        }
        return Int(value)
    }

    /// What remains of a deadline. `now` is the clock's time when the request was read.
    static func deadline(
        _ milliseconds: UInt64, _ field: String, now: ContinuousClock.Instant
    ) throws(BodyError) -> ContinuousClock.Instant {
        guard (1...TransportLimits.remainingMillisecondsMax).contains(milliseconds) else {
            throw BodyError(
                field, "\(milliseconds) ms; 1 to \(TransportLimits.remainingMillisecondsMax) are possible")
        }
        return now + .milliseconds(Int64(milliseconds))
    }
}

/// The bytes of domain values as messages hold them.
enum FieldBytes {
    static func ids(_ ids: some Collection<some BitsIdentifier>) -> Data {
        var data = Data(count: ids.count * 16)
        data.withUnsafeMutableBytes { raw in
            for (index, id) in ids.enumerated() {
                raw.storeBytes(of: id.bits.high.bigEndian, toByteOffset: index * 16, as: UInt64.self)
                raw.storeBytes(of: id.bits.low.bigEndian, toByteOffset: index * 16 + 8, as: UInt64.self)
            }
        }
        return data
    }

    static func id(_ id: some BitsIdentifier) -> Data { ids(CollectionOfOne(id)) }

    static func floats(_ values: [Float]) -> Data {
        var data = Data()
        append(values, to: &data)
        return data
    }

    static func append(_ values: [Float], to data: inout Data) {
        #if _endian(little)
            values.withUnsafeBytes { data.append(contentsOf: $0) }
        #else
            for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) } }
        #endif
    }

    /// Vectors of one dimension, one after another.
    static func vectors(_ vectors: [RotatedVector]) -> Data {
        let dimension = vectors.first?.dimension ?? 0
        var data = Data(capacity: vectors.count * dimension * 4)
        for vector in vectors {
            precondition(vector.dimension == dimension, "the vectors of a message are of one collection")
            append(vector.values, to: &data)
        }
        return data
    }

    /// Little-endian.
    static func words(_ words: some Collection<UInt32>) -> Data {
        var data = Data(capacity: words.count * 4)
        for word in words { withUnsafeBytes(of: word.littleEndian) { data.append(contentsOf: $0) } }
        return data
    }

    /// At most `TransportLimits.textBytesMax` bytes of a text that people read.
    static func text(_ text: String) -> String {
        guard text.utf8.count > TransportLimits.textBytesMax else { return text }
        // A cut inside a character would become a replacement character, longer than what it replaces.
        var end = text.utf8.index(text.utf8.startIndex, offsetBy: TransportLimits.textBytesMax - 3)
        while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text[..<end]) + "..."
    }

    /// Whole milliseconds until `deadline`, or nil when none is left.
    static func remaining(until deadline: ContinuousClock.Instant, now: ContinuousClock.Instant) -> UInt64? {
        let remaining = now.duration(to: deadline)
        guard remaining > .zero else { return nil }
        guard remaining < .milliseconds(Int64(TransportLimits.remainingMillisecondsMax)) else {
            return TransportLimits.remainingMillisecondsMax
        }
        let (seconds, attoseconds) = remaining.components
        return max(1, UInt64(seconds) * 1_000 + UInt64(attoseconds / 1_000_000_000_000_000))
    }
}

package import FaceModel

/// The first thing that is wrong with a ledger, by name.
package struct LedgerFault: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Place: Hashable, Sendable {
        /// The search as the leaf tells it, where it still can.
        case leaf(UInt64, search: SearchID?)
        /// One of these leaves; nothing that is left says which.
        case leaves(Range<UInt64>)
        /// A file that holds no leaf: the leaves themselves are as signed.
        case file(path: String)
    }
    package var place: Place
    package var reason: String

    package init(_ place: Place, _ reason: String) {
        self.place = place
        self.reason = reason
    }

    package var description: String {
        switch place {
        case .leaf(let index, let search?): "leaf \(index) (search \(search)): \(reason)"
        case .leaf(let index, nil): "leaf \(index): \(reason)"
        case .leaves(let range) where range.count == 1: "leaf \(range.lowerBound): \(reason)"
        case .leaves(let range): "leaves \(range.lowerBound) to \(range.upperBound - 1): \(reason)"
        case .file(let path): "\(path): \(reason)"
        }
    }
}

package import FaceModel
package import Foundation

/// What `manifest.json` says of a detector and an embedder (docs/formats/model-manifest.md, format 1).
package struct ModelManifest: Hashable, Sendable {
    package struct Weights: Hashable, Sendable {
        /// A plain file name inside the model's folder.
        package var file: String
        /// Lower-case hexadecimal.
        package var sha256: String
        /// SPDX identifier.
        package var licence: String
    }

    /// YuNet's family: outputs of strides 8, 16 and 32.
    package struct Detector: Hashable, Sendable {
        package var weights: Weights
        /// The image is scaled so that its longest side has this many pixels; 0 leaves it as it is.
        package var longestSide: Int
        /// The scaling never enlarges by more than this factor.
        package var enlargeMax: Double
        /// Weakest detection that counts, 0...1.
        package var scoreMin: Double
        /// Largest overlap (intersection over union) of two faces, 0...1.
        package var overlapMax: Double
    }

    package enum ColourOrder: String, Hashable, Sendable, CaseIterable {
        case rgb = "RGB"
        case bgr = "BGR"
    }

    package struct Embedder: Hashable, Sendable {
        package var weights: Weights
        package var dimension: Int
        /// Side of the aligned square crop, in pixels.
        package var inputSide: Int
        package var colourOrder: ColourOrder
        /// The input is (pixel - mean) * scale, with one mean for each plane in the colour order.
        package var mean: [Double]
        package var scale: Double
        /// Left eye, right eye, nose, left and right mouth corner as the viewer sees them: x, y in the crop.
        package var template: [[Double]]
    }

    package var name: String
    package var version: String
    package var detector: Detector
    package var embedder: Embedder
    package var calibration: SimilarityCalibration?
    package var scatter: MateScatter?

    private static let format = 1

    /// `path` is for messages only.
    package init(json: Data, path: String) throws(FaceExtractionError) {
        var top = try ManifestSection(json: json, path: path)
        try top.check("format", is: Self.format)
        name = try top.text("name")
        version = try top.text("version", matching: "digits and dots") {
            $0.utf8.allSatisfy { c in c == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(c) }
        }
        detector = try Detector(top.section("detector"))
        embedder = try Embedder(top.section("embedder"))
        calibration = try top.optionalSection("calibration").map(Self.calibration)
        scatter = try top.optionalSection("scatter").map(Self.scatter)
        try top.finish()
    }
}

extension ModelManifest.Weights {
    fileprivate init(_ section: inout ManifestSection) throws(FaceExtractionError) {
        file = try section.text("file", matching: "a file name without a folder") {
            !$0.contains("/") && $0 != "." && $0 != ".."
        }
        sha256 = try section.text("sha256", matching: "64 lower-case hexadecimal digits") {
            $0.utf8.count == 64 && $0.allSatisfy { "0123456789abcdef".contains($0) }
        }
        licence = try section.text("licence")
    }
}

extension ModelManifest.Detector {
    fileprivate init(_ section: ManifestSection) throws(FaceExtractionError) {
        var section = section
        weights = try ModelManifest.Weights(&section)
        longestSide = try section.integer("longestSide", in: 0...4_096)
        enlargeMax = try section.number("enlargeMax", in: 1...16)
        scoreMin = try section.number("scoreMin", in: 0.01...1)
        overlapMax = try section.number("overlapMax", in: 0...1)
        try section.finish()
    }
}

extension ModelManifest.Embedder {
    fileprivate init(_ section: ManifestSection) throws(FaceExtractionError) {
        var section = section
        weights = try ModelManifest.Weights(&section)
        dimension = try section.integer("dimension", in: Limits.dimensionRange)
        inputSide = try section.integer("inputSide", in: 32...512)
        let orders = ModelManifest.ColourOrder.allCases.map(\.rawValue)
        let order = try section.text("colourOrder", matching: orders.joined(separator: " or ")) { orders.contains($0) }
        colourOrder = order == ModelManifest.ColourOrder.bgr.rawValue ? .bgr : .rgb
        mean = try section.numbers("mean", count: 3, in: 0...255)
        scale = try section.number("scale", in: 1e-6...1)
        let side = Double(inputSide)
        template = []
        for index in 0..<5 {
            template.append(try section.numbers("template", row: index, of: 5, count: 2, in: 0...side))
        }
        section.take("template")
        try section.finish()
    }
}

extension ModelManifest {
    private static func scatter(_ section: ManifestSection) throws(FaceExtractionError) -> MateScatter {
        var section = section
        _ = try section.text("method")
        let scatter = MateScatter(
            cosineMean: try section.number("cosineMean", in: 0...1),
            cosineDeviation: try section.number("cosineDeviation", in: 0...1))
        try section.finish()
        return scatter
    }

    private static func calibration(_ section: ManifestSection) throws(FaceExtractionError) -> SimilarityCalibration {
        var section = section
        _ = try section.text("method")
        var points: [SimilarityCalibration.Point] = []
        for var point in try section.sections("points") {
            let interval = try point.numbers("cosineInterval", count: 2, in: 0...1)
            points.append(
                SimilarityCalibration.Point(
                    similarity: try point.number("similarity", in: 0...100),
                    cosine: try point.number("cosine", in: 0...1), cosineLow: interval[0], cosineHigh: interval[1],
                    falseMatchRate: try point.number("falseMatchRate", in: 0...1),
                    extrapolated: try point.flag("extrapolated")))
            guard let last = points.last, last.cosineLow <= last.cosine, last.cosine <= last.cosineHigh else {
                throw point.error("cosineInterval", "must contain the cosine")
            }
            try point.finish()
        }
        guard let calibration = SimilarityCalibration(points: points) else {
            throw section.error(
                "points", "must rise strictly in similarity and cosine while the false-match rate falls")
        }
        try section.finish()
        return calibration
    }
}

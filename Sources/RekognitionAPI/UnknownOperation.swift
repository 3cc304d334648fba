/// What Facet says about operations it does not have: the truth, and what to do instead.
enum UnknownOperation {
    static func error(_ target: String) -> APIError {
        guard target.hasPrefix("RekognitionService.") else {
            return APIError(
                .unknownOperation,
                "X-Amz-Target '\(target.prefix(80))' names no operation of RekognitionService or FacetService.")
        }
        let name = String(target.dropFirst("RekognitionService.".count).prefix(60))
        return APIError(.unknownOperation, "Facet does not have \(name). \(advice(name))")
    }

    private static func advice(_ name: String) -> String {
        if name.contains("User") || name.contains("AssociateFaces") {
            return "Users are not built yet: enrol several photos of a person under ExternalImageIds of one prefix."
        }
        if name == "CompareFaces" || name == "DetectFaces" {
            return "It is not built yet: IndexFaces finds and describes the faces of a photo."
        }
        if name.contains("Tag") { return "Tags are set by CreateCollection and cannot be changed yet." }
        if name.contains("FaceSearch") || name.contains("FaceDetection") {
            return "Stored video is not built yet: search its frames as photos."
        }
        return
            "Facet finds faces and nothing else: no labels, text, celebrities, moderation, liveness or custom models."
    }
}

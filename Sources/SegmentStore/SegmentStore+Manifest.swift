import FaceModel
import StorageIO

/// The manifest in its directory.
extension SegmentStore {
    static func write(
        _ manifest: Manifest, _ directory: String, _ files: any FileSystem
    ) throws(SegmentError) {
        do {
            try AtomicFile.write(manifest.encoded(), to: directory + "/" + Manifest.fileName, on: files)
        } catch {
            throw .file(error)
        }
    }

    static func readManifest(
        _ directory: String, _ identity: SegmentIdentity, _ files: any FileSystem
    ) throws(SegmentError) -> Manifest {
        let path = directory + "/" + Manifest.fileName
        let bytes: [UInt8]?
        do {
            try files.createDirectory(directory)
            bytes =
                try files.exists(path) ? try AtomicFile.read(path, on: files, limit: Manifest.bytesMax) : nil
        } catch {
            throw .file(error)
        }
        guard let bytes else { return try makeManifest(directory, identity, files) }
        let manifest = try Manifest.decode(bytes, path: path)
        if let field = manifest.identity.firstDifference(from: identity) {
            throw .wrongIdentity(path: path, field: field)
        }
        return manifest
    }

    static func makeManifest(
        _ directory: String, _ identity: SegmentIdentity, _ files: any FileSystem
    ) throws(SegmentError) -> Manifest {
        let names: [String]
        do { names = try files.list(directory) } catch { throw .file(error) }
        guard !names.contains(where: { $0.hasPrefix(Manifest.segmentPrefix) }) else {
            throw .manifestMissing(directory: directory)
        }
        let manifest = Manifest(identity: identity, flushedThrough: .zero, nextSegmentNumber: 1, segments: [])
        try write(manifest, directory, files)
        return manifest
    }

    func removeStrays() throws(SegmentError) {
        let named = Set(manifest.segments.map(\.name))
        do {
            for name in try files.list(directory)
            where name.hasPrefix(Manifest.segmentPrefix) && !named.contains(name)
                || name == Manifest.fileName + AtomicFile.temporarySuffix
            {
                try files.remove(directory + "/" + name)
            }
        } catch {
            throw .file(error)
        }
    }
}

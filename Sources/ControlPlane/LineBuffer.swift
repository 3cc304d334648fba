import NIOCore

/// Lines out of chunks: each byte is looked at once, and what is not yet read has a bound.
struct LineBuffer {
    private var buffer = ByteBuffer()
    /// Bytes behind the reader index that hold no line end.
    private var scanned = 0
    private let bytesMax: Int

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    mutating func append(_ chunk: ByteBuffer) throws(EtcdFailure) {
        guard buffer.readableBytes + chunk.readableBytes <= bytesMax else {
            throw .tooLong(bytesMax)
        }
        var chunk = chunk
        buffer.writeBuffer(&chunk)
    }

    /// The next whole line without its end; empty lines are passed over.
    mutating func next() -> ByteBuffer? {
        while true {
            let view = buffer.readableBytesView.dropFirst(scanned)
            guard let end = view.firstIndex(of: UInt8(ascii: "\n")) else {
                scanned = buffer.readableBytes
                if scanned == 0 { buffer.clear(minimumCapacity: 0) } else { buffer.discardReadBytes() }
                return nil
            }
            let length = end - buffer.readerIndex
            let line = buffer.readSlice(length: length)
            buffer.moveReaderIndex(forwardBy: 1)
            scanned = 0
            if let line, line.readableBytes > 0 { return line }
        }
    }
}

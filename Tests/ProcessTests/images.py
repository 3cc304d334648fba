"""Images that need no library: flat PNG files, and bytes that only look like an image."""

import struct
import zlib


def png(width: int, height: int, rows: bytes | None = None) -> bytes:
    """A grey PNG without a face. `rows` replaces the packed pixels."""
    pixels = zlib.compress(b"".join([b"\0" + b"\x80" * width] * height)) if rows is None else rows
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def png_bomb(width: int, height: int) -> bytes:
    """A few megabytes that unpack to width x height zeros; `height` is a multiple of 100."""
    packer = zlib.compressobj(1)
    rows = b"\0" * (width + 1) * 100
    packed = b"".join(packer.compress(rows) for _ in range(height // 100)) + packer.flush()
    return png(width, height, packed)


def gif() -> bytes:
    """One pixel."""
    screen = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00"
    return screen + b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

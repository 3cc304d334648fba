"""Bytes that are no photo, or a hostile one: the right error, and the next photo is served."""

import random
import struct
import time

import pytest

from harness import Server, photo
from images import gif, png, png_bomb

FORMAT, SIZE = "InvalidImageFormatException", "ImageTooLargeException"


def jpeg_with_size(width: int, height: int) -> bytes:
    """A photo whose header lies about its size."""
    data = bytearray(photo("obama.jpg"))
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


HOSTILE = {
    "a truncated JPEG": (lambda: photo("obama.jpg")[: len(photo("obama.jpg")) // 2], {FORMAT}),
    "a JPEG's first bytes": (lambda: photo("obama.jpg")[:20], {FORMAT}),
    "a GIF": (gif, {FORMAT}),
    "random bytes": (lambda: random.Random(1).randbytes(50_000), {FORMAT}),
    "one byte": (lambda: b"\xff", {FORMAT}),
    "text": (lambda: b"not an image", {FORMAT}),
    "a PNG of no size": (lambda: png(0, 0), {FORMAT}),
    "a truncated PNG": (lambda: png(300, 300)[:60], {FORMAT}),
    "a PNG with wrong pixels": (lambda: png(300, 300, b"\x78\x9c\x00"), {FORMAT}),
    "a PNG 20,000 px wide": (lambda: png(20_000, 200), {FORMAT, SIZE}),
    "a decompression bomb": (lambda: png_bomb(20_000, 20_000), {FORMAT, SIZE}),
    "a JPEG of 65,000 x 65,000": (lambda: jpeg_with_size(65_000, 65_000), {FORMAT, SIZE}),
    "a JPEG of no height": (lambda: jpeg_with_size(100, 0), {FORMAT}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_image_is_refused_and_the_next_is_served(module_server: Server, collection: str, name: str) -> None:
    make, errors = HOSTILE[name]
    image = {"Bytes": make()}
    client = module_server.client("test", "1")
    for call in (client.index_faces, client.search_faces_by_image):
        with pytest.raises(client.exceptions.ClientError) as refused:
            call(CollectionId=collection, Image=image)
        assert refused.value.response["Error"]["Code"] in errors
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    made = client.index_faces(CollectionId=collection, Image={"Bytes": photo("obama.jpg")})
    assert len(made["FaceRecords"]) == 1


def test_a_photo_without_a_face(module_server: Server, collection: str) -> None:
    client = module_server.client("test", "1")
    made = client.index_faces(CollectionId=collection, Image={"Bytes": png(300, 200)}, ExternalImageId="wall")
    assert (made["FaceRecords"], made["UnindexedFaces"]) == ([], [])
    with pytest.raises(client.exceptions.InvalidParameterException) as refused:
        client.search_faces_by_image(CollectionId=collection, Image={"Bytes": png(300, 200)})
    message = refused.value.response["Error"]["Message"]
    assert message == "There are no faces in the image. Should be at least 1."


def test_flipped_photos_never_hurt_the_server(module_server: Server, collection: str) -> None:
    client = module_server.client("test", "1")
    generator = random.Random(2)
    original = photo("obama.jpg")
    errors = (client.exceptions.InvalidImageFormatException, client.exceptions.ImageTooLargeException)
    started = time.monotonic()
    for _ in range(25):
        data = bytearray(original)
        for _ in range(generator.choice([1, 10, 200])):
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            client.index_faces(CollectionId=collection, Image={"Bytes": bytes(data)})
        except errors:
            pass
        if time.monotonic() - started > 60:
            break
    assert module_server.get("/readyz").status == 200


def test_orientation_is_applied(module_server: Server, collection: str) -> None:
    """A photo whose EXIF data says "turned" has the face elsewhere than the same photo without them."""
    client = module_server.client()
    plain = photo("obama.jpg")
    upright = client.index_faces(CollectionId=collection, Image={"Bytes": plain}, ExternalImageId="upright")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0"
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    found = client.index_faces(CollectionId=collection, Image={"Bytes": turned}, ExternalImageId="turned")
    [record] = upright["FaceRecords"]
    boxes = [face["FaceDetail"]["BoundingBox"] for face in found["FaceRecords"] + found["UnindexedFaces"]]
    assert all(abs(box["Top"] - record["Face"]["BoundingBox"]["Top"]) > 0.01 for box in boxes)

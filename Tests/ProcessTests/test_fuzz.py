"""Requests that break AWS's model in one place each: the server answers 400 with a declared error and names the
member; it never answers 200 or 5xx. botocore itself checks almost nothing of this."""

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from conform import GENERIC, MODEL
from harness import Server, photo

IMAGE_BYTES_MAX = 5_242_880
FACE = "00000000-0000-4000-8000-000000000000"
# A face in them is not needed: nothing that is wrong elsewhere in the request may be found only after the photo.
VALID: dict[str, dict[str, Any]] = {
    "CreateCollection": {"CollectionId": "fuzz-new", "Tags": {"a": "b"}},
    "DescribeCollection": {"CollectionId": "fuzz"},
    "ListCollections": {"MaxResults": 10},
    "DeleteCollection": {"CollectionId": "fuzz-none"},
    "IndexFaces": {
        "CollectionId": "fuzz", "Image": {"Bytes": "PHOTO"}, "ExternalImageId": "a", "DetectionAttributes": ["DEFAULT"],
        "MaxFaces": 1, "QualityFilter": "AUTO",
    },
    "ListFaces": {"CollectionId": "fuzz", "MaxResults": 10, "FaceIds": [FACE]},
    "DeleteFaces": {"CollectionId": "fuzz", "FaceIds": [FACE]},
    "SearchFaces": {"CollectionId": "fuzz", "FaceId": FACE, "MaxFaces": 10, "FaceMatchThreshold": 80},
    "SearchFacesByImage": {
        "CollectionId": "fuzz", "Image": {"Bytes": "PHOTO"}, "MaxFaces": 10, "FaceMatchThreshold": 80,
        "QualityFilter": "NONE",
    },
}
WRONG_TYPES: dict[str, list[Any]] = {
    "structure": ["text", 1, [], True],
    "list": ["text", 1, {}, True],
    "map": ["text", 1, [], True],
    "string": [1, [], {}, True],
    "blob": [1, [], {}, True, "not base64!"],
    "integer": ["1", [], {}, True, 1.5, 1e30],
    "float": ["1", [], {}, True],
}
Mutation = tuple[str, Any]


def mutations(shape: Any, value: Any) -> Iterator[Mutation]:
    """Wrong replacements for a value of a shape, each with what is wrong about it."""
    for wrong in WRONG_TYPES[shape.type_name]:
        yield f"type {json.dumps(wrong)}", wrong
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name in ("integer", "float"):
        if low is not None:
            yield "min-1", low - 1
        if high is not None:
            yield "max+1", high + 1
    elif shape.type_name == "string":
        yield from _texts(shape, value, low, high)
    elif shape.type_name == "list":
        if low:
            yield "min-1", value[: low - 1]
        if high:
            yield "max+1", [value[0]] * (high + 1)
    elif shape.type_name == "map":
        yield "max+1", {f"k{index}": "v" for index in range(high + 1)}
        yield "long key", {"k" * (shape.key.metadata["max"] + 1): "v"}
        yield "reserved key", {"aws:k": "v"}
        yield "long value", {"k": "v" * (shape.value.metadata["max"] + 1)}
    elif shape.type_name == "blob":
        yield "min-1", ""


def _texts(shape: Any, value: str, low: int | None, high: int | None) -> Iterator[Mutation]:
    if low:
        yield "min-1", value[: low - 1]
    if high:
        yield "max+1", (value * (high + 1))[: high + 1]
    if shape.metadata.get("pattern"):
        for bad in ("bad text!", value + "\n", value + "/", value + "\0", "é" + value):
            yield f"pattern {json.dumps(bad)}", bad
    if shape.enum:
        yield "enum", "NO_SUCH_VALUE"
        yield "enum case", value.lower()


def cases() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(operation, member, what is wrong, body)."""
    for name, valid in VALID.items():
        shape = MODEL.operation_model(name).input_shape
        for member in shape.required_members:
            for label, body in (("missing", {k: v for k, v in valid.items() if k != member}),
                                ("null", {**valid, member: None})):
                yield name, member, label, body
        for member, wrong, body in _replaced(shape, valid):
            yield name, member, wrong, body
        if "Image" in valid:
            stored = {"S3Object": {"Bucket": "photos", "Name": "a.jpg"}}
            for label, image in (("neither", {}), ("both", valid["Image"] | stored)):
                yield name, "Image", label, {**valid, "Image": image}


def _replaced(shape: Any, valid: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for member, value in valid.items():
        inner = shape.members[member]
        for label, wrong in mutations(inner, value):
            yield member, label, {**valid, member: wrong}
        if inner.type_name == "structure":
            for path, label, body in _replaced(inner, value):
                yield path, label, {**valid, member: body}
        if inner.type_name == "list":
            for label, wrong in mutations(inner.member, value[0]):
                yield member, f"item {label}", {**valid, member: [wrong]}


CASES = list(cases())


@pytest.fixture(scope="module")
def fuzzed(module_server: Server) -> Server:
    module_server.client().create_collection(CollectionId="fuzz")
    return module_server


def filled(body: Any) -> bytes:
    return json.dumps(body).replace('"PHOTO"', json.dumps(base64.b64encode(photo("obama.jpg")).decode())).encode()


@pytest.mark.parametrize("name", sorted(VALID))
def test_the_unbroken_request_is_understood(fuzzed: Server, name: str) -> None:
    """Else what follows would prove nothing: only what a request names may be missing."""
    answer = fuzzed.post("RekognitionService." + name, filled(VALID[name]))
    assert answer.error in ("", "ResourceNotFoundException", "InvalidParameterException"), answer.body
    if answer.error == "InvalidParameterException":
        assert name == "SearchFaces", answer.body


@pytest.mark.parametrize(("name", "member", "wrong", "body"), CASES, ids=[f"{n}-{m}-{w}" for n, m, w, _ in CASES])
def test_a_broken_request_is_refused(fuzzed: Server, name: str, member: str, wrong: str, body: dict[str, Any]) -> None:
    answer = fuzzed.post("RekognitionService." + name, filled(body))
    declared = {shape.name for shape in MODEL.operation_model(name).error_shapes}
    assert answer.status == 400, answer.body[:300]
    assert answer.error in declared | GENERIC, answer.body[:300]
    if answer.error == "InvalidParameterException":
        assert member in answer.message, answer.message


@pytest.mark.parametrize("name", ["IndexFaces", "SearchFacesByImage"])
def test_an_image_that_is_too_large_is_answered(fuzzed: Server, name: str) -> None:
    image = photo("obama.jpg")
    for size, error in ((IMAGE_BYTES_MAX, ""), (IMAGE_BYTES_MAX + 1, "ImageTooLargeException"),
                        (11_000_000, "ImageTooLargeException")):
        body = copy.deepcopy(VALID[name])
        body["Image"]["Bytes"] = base64.b64encode(image + b"\0" * (size - len(image))).decode()
        answer = fuzzed.post("RekognitionService." + name, body)
        assert answer.error == error, (size, answer.body[:300])


@pytest.mark.parametrize("size", [17 << 20, 40 << 20])
def test_a_body_that_is_too_large_gets_an_answer(fuzzed: Server, size: int) -> None:
    body = b'{"CollectionId": "fuzz", "Image": {"Bytes": "' + b"A" * size + b'"}}'
    answer = fuzzed.post("RekognitionService.IndexFaces", body)
    assert answer.status in (400, 413)
    assert answer.error in ("ImageTooLargeException", "InvalidParameterException"), answer.body


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b'"text"', b"1", b"{", b'{"CollectionId": "fuzz"', b'{"CollectionId": "fuzz"} trailing',
        b"\xff\xfe", b'{"CollectionId": "\xff"}', b'{"CollectionId": "\\ud800"}', b"{" * 100_000, b"[" * 100_000,
        b'{"CollectionId": ' + b"9" * 5000 + b"}", b'{"CollectionId": NaN}', b"\0" * 64,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_request_at_all_is_refused(fuzzed: Server, body: bytes) -> None:
    answer = fuzzed.post("RekognitionService.DescribeCollection", body)
    assert answer.status == 400, answer.body[:300]
    assert answer.error in ("InvalidParameterException", "SerializationException"), answer.body[:300]


def test_members_that_are_not_known_are_ignored(fuzzed: Server) -> None:
    answer = fuzzed.post("RekognitionService.DescribeCollection", {"CollectionId": "fuzz", "Later": {"a": [1]}})
    assert answer.status == 200


def test_the_server_is_well_after_all_that(fuzzed: Server) -> None:
    assert fuzzed.get("/readyz").status == 200

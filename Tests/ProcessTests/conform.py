"""Checks every Rekognition response against botocore's own model, before its lenient parser drops what is wrong."""

import json
import re
from collections.abc import Callable
from typing import Any

import botocore.session

MODEL = botocore.session.get_session().get_service_model("rekognition")

# Errors of the protocol itself, which no operation declares.
GENERIC = {
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
}

# AWS's model wants at least one deleted face; clients index the member even when nothing was deleted.
ALLOWED = re.compile(r"DeleteFaces/200\.DeletedFaces: < min 1 ")


class Findings:
    """What was wrong, and which (operation, status) pairs were seen at all."""

    def __init__(self) -> None:
        self.bad: list[str] = []
        self.seen: set[tuple[str, int]] = set()
        self.errors: set[tuple[str, str]] = set()

    def watch(self, client: Any) -> None:
        client.meta.events.register("before-parse.rekognition", self._on_response)

    def _on_response(self, operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
        self.check(
            operation_model, response_dict["status_code"], dict(response_dict["headers"]), response_dict["body"]
        )

    def check(self, operation: Any, status: int, headers: dict[str, str], body: bytes) -> None:
        headers = {name.lower(): value for name, value in headers.items()}
        place = f"{operation.name}/{status}"
        self.seen.add((operation.name, status))
        found: list[str] = []
        if not headers.get("x-amzn-requestid"):
            found.append(f"{place}: no x-amzn-RequestId")
        if headers.get("content-type") != "application/x-amz-json-1.1":
            found.append(f"{place}: content-type {headers.get('content-type')!r}")
        document = json.loads(body or b"{}")
        if status < 300:
            check_value(operation.output_shape, document, place, found)
        else:
            name = error_name(document)
            self.errors.add((operation.name, name))
            if name not in GENERIC | {shape.name for shape in operation.error_shapes}:
                found.append(f"{place}: undeclared error {name!r}")
            if not document.get("Message") and not document.get("message"):
                found.append(f"{place}: an error without a message")
        self.bad += [text for text in found if not ALLOWED.match(text)]


def error_name(document: dict[str, Any]) -> str:
    return str(document.get("__type", "")).split("#")[-1].split(":")[0]


def check_value(shape: Any, value: Any, place: str, bad: list[str]) -> None:
    """Appends to `bad` each way in which `value` is not of `shape`. Null is the same as absent to SDKs."""
    if value is not None:
        _CHECKS[shape.type_name](shape, value, place, bad)


def _structure(shape: Any, value: Any, place: str, bad: list[str]) -> None:
    if not isinstance(value, dict):
        bad.append(f"{place}: not an object [{shape.name}]")
        return
    bad += [f"{place}.{name}: not in the model" for name in value.keys() - shape.members.keys()]
    bad += [f"{place}.{name}: required" for name in shape.required_members if name not in value]
    for name in value.keys() & shape.members.keys():
        check_value(shape.members[name], value[name], f"{place}.{name}", bad)


def _list(shape: Any, value: Any, place: str, bad: list[str]) -> None:
    if not isinstance(value, list):
        bad.append(f"{place}: not a list [{shape.name}]")
        return
    _range(shape, len(value), place, bad)
    for index, member in enumerate(value):
        check_value(shape.member, member, f"{place}[{index}]", bad)


def _map(shape: Any, value: Any, place: str, bad: list[str]) -> None:
    for key, member in value.items():
        check_value(shape.key, key, place, bad)
        check_value(shape.value, member, f"{place}.{key}", bad)


def _string(shape: Any, value: Any, place: str, bad: list[str]) -> None:
    if not isinstance(value, str):
        bad.append(f"{place}: not a string [{shape.name}]")
        return
    _range(shape, len(value), place, bad)
    pattern = shape.metadata.get("pattern")
    if shape.enum and value not in shape.enum:
        bad.append(f"{place}: not in the enum [{shape.name}] {value!r}")
    if pattern and r"\p{" not in pattern and not re.fullmatch(pattern, value):
        bad.append(f"{place}: does not match the pattern [{shape.name}] {value!r}")


def _number(*kinds: type) -> Callable[[Any, Any, str, list[str]], None]:
    def check(shape: Any, value: Any, place: str, bad: list[str]) -> None:
        if type(value) in kinds:
            _range(shape, value, place, bad)
        else:
            bad.append(f"{place}: not a number [{shape.name}] {value!r}")

    return check


def _boolean(shape: Any, value: Any, place: str, bad: list[str]) -> None:
    if not isinstance(value, bool):
        bad.append(f"{place}: not a boolean [{shape.name}]")


def _range(shape: Any, size: float, place: str, bad: list[str]) -> None:
    low, high = shape.metadata.get("min", size), shape.metadata.get("max", size)
    if size < low:
        bad.append(f"{place}: < min {low} [{shape.name}] {size}")
    if size > high:
        bad.append(f"{place}: > max {high} [{shape.name}] {size}")


_CHECKS: dict[str, Callable[[Any, Any, str, list[str]], None]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "boolean": _boolean,
    "integer": _number(int),
    "long": _number(int),
    "float": _number(int, float),
    "double": _number(int, float),
    "timestamp": _number(int, float),
}

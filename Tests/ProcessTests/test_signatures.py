"""Signature version 4: what is unsigned, forged, late or altered is refused before any JSON is parsed."""

import datetime
import hashlib
import hmac
from collections.abc import Callable

import pytest

from harness import REGION, Key, Response, Server, create_key, facectl, free_port, send, sign

TARGET = "RekognitionService.ListCollections"
Change = Callable[[dict[str, str]], None]


def altered(server: Server, change: Change, body: bytes = b"{}", sent: bytes | None = None) -> Response:
    """A correctly signed request of which `change` alters a header, or another body is sent."""
    assert server.key is not None
    headers = sign(server.endpoint, TARGET, body, server.key, {})
    change(headers)
    return send(server.endpoint, "POST", "/", body if sent is None else sent, headers)


def replace(name: str, old: str, new: str) -> Change:
    def change(headers: dict[str, str]) -> None:
        assert old in headers[name]
        headers[name] = headers[name].replace(old, new)

    return change


def remove(name: str) -> Change:
    return lambda headers: headers.pop(name)


def keep(_: dict[str, str]) -> None:
    return None


def refused(answer: Response, *errors: str) -> None:
    assert answer.status in (400, 403), answer.body
    assert answer.error in errors, answer.body
    assert answer.headers["x-amzn-requestid"]
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"


def test_the_unaltered_request_is_accepted(module_server: Server) -> None:
    assert altered(module_server, keep).status == 200


def test_unsigned(module_server: Server) -> None:
    refused(altered(module_server, remove("Authorization")), "MissingAuthenticationTokenException")


def test_wrong_secret(module_server: Server) -> None:
    assert module_server.key is not None
    forged = Key(module_server.key.access_key_id, "A" * 40)
    refused(module_server.post(TARGET, {}, key=forged), "InvalidSignatureException")


def test_unknown_key(module_server: Server) -> None:
    refused(module_server.post(TARGET, {}, key=Key("AKIAAAAAAAAAAAAAAAAA", "A" * 40)), "UnrecognizedClientException")


def test_revoked_key(module_server: Server) -> None:
    key = create_key(module_server.data, person="leaver")
    assert module_server.post(TARGET, {}, key=key).status == 200
    gone = facectl("keys", "revoke", key.access_key_id, "--data", str(module_server.data))
    assert gone.returncode == 0, gone.stderr
    refused(module_server.post(TARGET, {}, key=key), "UnrecognizedClientException")


def test_altered_body(module_server: Server) -> None:
    refused(altered(module_server, keep, sent=b"{ }"), "InvalidSignatureException")


def test_a_body_that_is_not_json_is_not_looked_at(module_server: Server) -> None:
    refused(altered(module_server, keep, sent=b"{"), "InvalidSignatureException")


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        (replace("X-Amz-Target", "ListCollections", "DeleteCollection"), ["InvalidSignatureException"]),
        (replace("Content-Type", "1.1", "1.0"), ["InvalidSignatureException"]),
        (replace("Authorization", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
         ["IncompleteSignatureException", "MissingAuthenticationTokenException"]),
        (replace("Authorization", "/rekognition/", "/s3/"),
         ["InvalidSignatureException", "IncompleteSignatureException"]),
        (replace("Authorization", "aws4_request", "aws5_request"),
         ["InvalidSignatureException", "IncompleteSignatureException"]),
        (replace("Authorization", ";host", ""), ["InvalidSignatureException", "IncompleteSignatureException"]),
        (replace("Authorization", ";x-amz-date", ""), ["InvalidSignatureException", "IncompleteSignatureException"]),
        (replace("Authorization", ";x-amz-target", ""), ["InvalidSignatureException", "IncompleteSignatureException"]),
        (replace("Authorization", "Signature=", "Signature=0"),
         ["InvalidSignatureException", "IncompleteSignatureException"]),
        (replace("Authorization", "Signature=", "Other="), ["IncompleteSignatureException"]),
        (replace("Authorization", "Credential=", "Other="), ["IncompleteSignatureException"]),
        (replace("Authorization", "SignedHeaders=", "Other="), ["IncompleteSignatureException"]),
        (replace("X-Amz-Date", "T", "t"), ["InvalidSignatureException", "IncompleteSignatureException"]),
        (remove("X-Amz-Date"), ["IncompleteSignatureException", "InvalidSignatureException"]),
    ],
)
def test_altered_header(module_server: Server, change: Change, errors: list[str]) -> None:
    refused(altered(module_server, change), *errors)


@pytest.mark.parametrize("signature", ["", "AWS4-HMAC-SHA256", "Bearer x", "=,=,=", "AWS4-HMAC-SHA256 " + "a" * 20_000])
def test_garbage_as_signature(module_server: Server, signature: str) -> None:
    def change(headers: dict[str, str]) -> None:
        headers["Authorization"] = signature

    answer = altered(module_server, change)
    assert answer.status in (400, 403, 431), answer.body


@pytest.mark.parametrize(("minutes", "accepted"), [(-4, True), (4, True), (-6, False), (6, False), (-60 * 24, False)])
def test_skew(module_server: Server, minutes: int, accepted: bool) -> None:
    answer = _signed_at(module_server, datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes))
    if accepted:
        assert answer.status == 200, answer.body
    else:
        refused(answer, "InvalidSignatureException")


def test_signed_by_another_program(module_server: Server) -> None:
    """The signature as AWS's documents describe it, computed here without botocore."""
    answer = _signed_at(module_server, datetime.datetime.now(datetime.UTC), extra={"x-amz-content-sha256": None})
    assert answer.status == 200, answer.body


def _signed_at(server: Server, when: datetime.datetime, extra: dict[str, None] | None = None) -> Response:
    assert server.key is not None
    stamp, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
    digest = hashlib.sha256(b"{}").hexdigest()
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": server.endpoint.removeprefix("http://"),
        "x-amz-date": stamp,
        "x-amz-target": TARGET,
        **{name: digest for name in extra or {}},
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{digest}"
    scope = f"{day}/{REGION}/rekognition/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + server.key.secret_access_key).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{server.key.access_key_id}/{scope}"
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return send(server.endpoint, "POST", "/", b"{}", headers)


def test_equal_requests_within_the_window_are_legal(module_server: Server) -> None:
    assert module_server.key is not None
    headers = sign(module_server.endpoint, TARGET, b"{}", module_server.key, {})
    assert [send(module_server.endpoint, "POST", "/", b"{}", headers).status for _ in range(3)] == [200] * 3


def test_without_a_key_only_loopback_may_be_bound(make_server: Callable[..., Server]) -> None:
    server = make_server(arguments=("--host", "0.0.0.0"))
    server.launch()
    assert server.process is not None
    assert server.process.wait(timeout=20) == 1
    assert "loopback" in server.log and "facectl keys create" in server.log
    server.process = None


def _listening_addresses(port: int) -> set[str]:
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def test_without_a_key_nobody_is_let_in(make_server: Callable[..., Server]) -> None:
    server = make_server()
    server.launch()
    server.wait_alive()
    assert _listening_addresses(server.port) == {"0100007F"}
    answer = server.post(TARGET, {}, key=Key("AKIAAAAAAAAAAAAAAAAA", "A" * 40))
    refused(answer, "UnrecognizedClientException")
    assert "facectl keys create" in answer.message
    key = create_key(server.data)
    assert server.post(TARGET, {}, key=key).status == 200, "a new key works without a restart"


def test_a_key_lets_the_server_listen_elsewhere(make_server: Callable[..., Server]) -> None:
    server = make_server(arguments=("--host", "0.0.0.0"), port=free_port())
    server.start()
    assert _listening_addresses(server.port) == {"00000000"}
    refused(send(server.endpoint, "POST", "/", b"{}", {"X-Amz-Target": TARGET}), "MissingAuthenticationTokenException")

"""Writes sigv4.txt: requests signed by botocore, which shares no code with Facet. Run: python3 make_vectors.py"""
import datetime
import pathlib

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = "AKIDEXAMPLE00000"
NOW = datetime.datetime(2026, 1, 31, 12, 0, 0, tzinfo=datetime.timezone.utc)
TARGET = {"X-Amz-Target": "RekognitionService.ListCollections", "Content-Type": "application/x-amz-json-1.1"}
CASES = [
    ("plain", "POST", "http://127.0.0.1:8900/", TARGET, b"{}", "us-east-1", None),
    ("session token", "POST", "http://localhost:8900/", TARGET, b'{"a": 1}', "eu-central-1", "FQoGZXIvYXdzEXAMPLE=="),
    ("empty body", "POST", "https://facet.example.org/", TARGET, b"", "us-east-1", None),
    ("binary body", "POST", "https://facet.example.org/", TARGET, bytes(range(256)), "us-east-1", None),
    ("base path", "POST", "https://facet.example.org/base/path/", TARGET, b"{}", "us-east-1", None),
    ("path with spaces", "POST", "https://h.example/a%20b/c+d/%C3%A9~-_.x", TARGET, b"{}", "us-east-1", None),
    ("path with dots", "GET", "https://h.example/a/./b/../c//d/", {}, b"", "us-east-1", None),
    ("query", "GET", "https://h.example/log?b=2&a=1&a=0&empty=&c=%2F%20x&flag", {}, b"", "us-east-1", None),
    ("facet headers", "POST", "https://h.example:8443/",
     {**TARGET, "x-facet-purpose": "  felony   investigation  ", "X-Facet-Case": "A-\t17  b"}, b"{}", "us-east-1", None),
    ("content hash", "POST", "https://h.example/",
     {**TARGET, "x-amz-content-sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}, b"{}",
     "us-gov-west-1", None),
    ("large body", "POST", "https://h.example/", TARGET, b"x" * 3000, "us-east-1", None),
]


def main():
    botocore.auth.get_current_datetime = lambda *a, **k: NOW.replace(tzinfo=None)
    out = []
    for name, method, url, headers, body, region, token in CASES:
        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
        auth = botocore.auth.SigV4Auth(Credentials(KEY, SECRET, token), "rekognition", region)
        auth.add_auth(request)
        rest = url.split("://", 1)[1]
        host, path = rest.split("/", 1)
        path, _, query = ("/" + path).partition("?")
        out += [f"case: {name}", f"secret: {SECRET}", f"region: {region}", f"method: {method}", f"path: {path}",
                f"query: {query}", f"header: Host: {host}"]
        out += [f"header: {k}: {v}" for k, v in request.headers.items()]
        out += [f"body: {body.hex()}", ""]
        assert request.headers["X-Amz-Date"] == "20260131T120000Z", request.headers
    pathlib.Path(__file__).with_name("sigv4.txt").write_text("\n".join(out))


main()

"""Writes ledger.txt: a leaf, its sealed private record and a checkpoint made without any of Facet's code, straight
from docs/formats/ledger.md. Run: python3 make_vectors.py"""
import base64
import hashlib
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_KEY = bytes(range(32))
SEARCH = bytes(range(16))
TENANT = b"000000000001"
TIME = 1_769_860_800_123
SALT = bytes(range(200, 232))
RECORD_ID = bytes(range(16, 32))
SEED = bytes(range(32, 64))
NAME = "facet-ledger/00000000-0000-0000-0000-000000000007"


def field(tag, value):
    return struct.pack("<HI", tag, len(value)) + value


def intent():
    fields = [
        (1, SEARCH), (2, struct.pack("<q", TIME)), (3, TENANT), (4, b"AKIDEXAMPLE00000"), (5, "Zo\u00eb".encode()),
        (6, b"SearchFacesByImage"), (7, b"felony"), (8, b"A-17"), (11, bytes(32)), (12, b"booking"), (12, b"missing"),
        (13, b"1.0"), (14, bytes(range(32))), (15, struct.pack("<d", 99.0)), (17, struct.pack("<q", 80)),
        (9000, b"from a later version"),
    ]
    return b"\1\1" + b"".join(field(*f) for f in fields)


def result():
    candidates = bytes(range(40, 56)) + struct.pack("<f", 0.5) + bytes(range(60, 76)) + struct.pack("<f", 0.25)
    fields = [
        (1, SEARCH), (2, struct.pack("<q", TIME)), (3, TENANT), (33, struct.pack("<f", 0.25)), (35, b"exhaustive"),
        (36, struct.pack("<q", 300)), (37, struct.pack("<q", 2)), (38, struct.pack("<q", 1)),
        (40, hashlib.sha256(b"facet candidates v1" + candidates).digest()), (41, candidates),
    ]
    return b"\1\2" + b"".join(field(*f) for f in fields)


def leaf(kind, record):
    commitment = hashlib.sha256(b"facet ledger commitment v1" + SALT + record).digest()
    return bytes([1, kind, 0, 0]) + TENANT + SEARCH + struct.pack("<q", TIME) + commitment


def seal(leaf_bytes, record):
    key = HKDF(SHA256(), 32, RECORD_ID, b"facet/v1/ledger record").derive(RECORD_KEY)
    return b"\1\0\0\0" + RECORD_ID + AESGCM(key).encrypt(bytes(12), SALT + record, leaf_bytes)


def note(size, root):
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    public = b"\1" + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    body = f"{NAME}\n{size}\n{base64.b64encode(root).decode()}\n"
    key_hash = hashlib.sha256(NAME.encode() + b"\n" + public).digest()[:4]
    signature = base64.b64encode(key_hash + key.sign(body.encode())).decode()
    verifier = f"{NAME}+{key_hash.hex()}+{base64.b64encode(public).decode()}"
    return f"{body}\n\u2014 {NAME} {signature}\n", verifier


def main():
    rows = {}
    leaves = []
    for name, kind, record in (("intent", 1, intent()), ("result", 2, result())):
        entry = leaf(kind, record)
        leaves.append(hashlib.sha256(b"\0" + entry).digest())
        rows |= {f"{name} record": record, f"{name} leaf": entry, f"{name} sealed": seal(entry, record)}
        rows[f"{name} payload"] = struct.pack("<BBHIQ", 1, 0, 72, 0, kind - 1) + entry + seal(entry, record)
    text, verifier = note(2, hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest())
    rows |= {"note": text.encode(), "verifier": verifier.encode(), "seed": SEED}
    out = "".join(f"{name}: {value.hex()}\n" for name, value in rows.items())
    pathlib.Path(__file__).with_name("ledger.txt").write_text(out)


main()

"""Writes keys.txt: derivations and seals computed by Python's hmac and cryptography. Run: python3 make_vectors.py"""
import hashlib
import hmac
import pathlib
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MASTER = bytes(range(32))
COLLECTION = bytes(range(100, 132))


def derive(key, purpose):
    return HKDF(SHA256(), 32, None, b"facet/v1/" + purpose.encode()).derive(key)


def framed(label, *parts):
    return b"".join(struct.pack(">I", len(p)) + p for p in (label.encode(),) + parts)


def mac(key, label, *parts):
    return hmac.new(key, framed(label, *parts), hashlib.sha256).digest()


def stamped(raw, version):
    raw = bytearray(raw[:16])
    raw[6] = raw[6] & 0x0F | version << 4
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def seal(key, register, secret, nonce):
    ad = framed("facet sealed register v1", register.encode())
    return b"\1" + nonce + AESGCM(key).encrypt(nonce, secret, ad)


def main():
    ids = derive(COLLECTION, "collection ids")
    vector = b"".join(struct.pack(">f", x) for x in (1.0, -0.0, 0.5, -2.25))
    named = mac(ids, "facet face key v1", vector, b"\1case:17-front.jpg", b"1.0")
    bare = mac(ids, "facet face key v1", vector, b"\0", b"1.0")
    digest = hashlib.sha256(b"an image").digest()
    nonce = bytes(range(50, 62))
    rows = {
        "page key": derive(MASTER, "page tokens"), "ledger record key": derive(MASTER, "ledger records"),
        "fingerprint": derive(MASTER, "fingerprint")[:8], "rotation seed": derive(COLLECTION, "collection rotation"),
        "anchor seed": derive(COLLECTION, "collection anchors"), "id key": ids, "wrap key": derive(COLLECTION, "collection wrap"), "face key named": named,
        "face key bare": bare,
        "sealed secret": seal(derive(MASTER, "access key secrets"), "key/AKIDEXAMPLE00000", b"secret text", nonce),
        "sealed collection key": seal(
            derive(MASTER, "collection keys"), "collection/000000000001/a", COLLECTION, nonce),
    }
    lines = [f"{name}: {value.hex()}" for name, value in rows.items()]
    lines += [f"face id {n}: {stamped(mac(ids, 'facet face id v1', named, struct.pack('>I', n)), 4)}" for n in (0, 1)]
    lines += [f"image id: {stamped(mac(ids, 'facet image id v1', digest), 5)}", ""]
    pathlib.Path(__file__).with_name("keys.txt").write_text("\n".join(lines))


main()

"""`make demo`: booking photos are enrolled, a store camera's photo is searched, and the search is on record.

It is the case this product comes from, played with an unmodified boto3 against a server on this machine: what the
investigator sees, what stays behind for others to check, and what happens when someone edits that record.
"""

import argparse
import os
import re
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / ".facet/demo"
PHOTOS = ROOT / ".runtime/photos"
FACECTL = ROOT / ".build/release/facectl"
COLLECTION = "booking-photos"
WANTED, OTHER = "booking-2017-0044", "booking-2021-0046"
BOOKINGS = {WANTED: "obama.jpg", "booking-2019-0107": "obama3.jpg", OTHER: "biden.jpg"}
PROBE = "obama2.jpg"
PURPOSE, CASE = "theft-investigation", "2026-0117"
THRESHOLD = 80
# docs/formats/wal.md
WAL_HEADER_BYTES, WAL_RECORD_HEADER_BYTES, WAL_LEAF = 4096, 56, 32
WAL_RECORD_MAGIC = 0x46574C01.to_bytes(4, "little")


class DemoFailed(Exception):
    """Something did not go as this demo promises."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8900)
    port = parser.parse_args().port
    environment = start(port)
    client = connect(environment)
    enrol(client)
    search = look_for(client)
    show_record(search)
    edit_the_ledger(search)
    tell_what_next(start(port))


def heading(text: str) -> None:
    print(f"\n--- {text}", flush=True)


def say(text: str) -> None:
    print(textwrap.fill(" ".join(text.split()), width=100), flush=True)


def serve(*arguments: str) -> str:
    done = subprocess.run(
        [str(ROOT / "scripts/serve.sh"), *arguments, "--data", str(DATA.relative_to(ROOT))],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    if done.returncode != 0:
        raise DemoFailed(f"{done.stdout}the server does not {arguments[0]}; another port: make demo PORT=8901")
    return done.stdout


def start(port: int) -> dict[str, str]:
    """Starts the server, or finds it running; returns what a client needs."""
    serve("start", "--port", str(port))
    return dict(re.findall(r"^export (\w+)='(.*)'$", DATA.with_suffix(".env").read_text(), re.MULTILINE))


def connect(environment: dict[str, str]) -> Any:
    """An unmodified client: the endpoint and the key come from the environment, as with AWS."""
    os.environ.update(environment)
    client = boto3.client("rekognition")

    def add_purpose(request: Any, **_: Any) -> None:
        request.headers["x-facet-purpose"] = PURPOSE
        request.headers["x-facet-case"] = CASE

    # Two headers say why; added before signing, so that the signature covers them.
    client.meta.events.register("before-sign.rekognition.SearchFacesByImage", add_purpose)
    return client


def enrol(client: Any) -> None:
    heading(f"Booking photos are enrolled in the collection '{COLLECTION}'")
    if COLLECTION not in client.list_collections()["CollectionIds"]:
        client.create_collection(CollectionId=COLLECTION)
    for name, file in BOOKINGS.items():
        made = client.index_faces(
            CollectionId=COLLECTION, Image={"Bytes": (PHOTOS / file).read_bytes()}, ExternalImageId=name, MaxFaces=1
        )
        print(f"  {name}  ({file})  FaceId {made['FaceRecords'][0]['Face']['FaceId']}")


def look_for(client: Any) -> str:
    """Searches with the store camera's photo; returns the search's id."""
    heading(f"A store camera's photo ({PROBE}) is searched, purpose '{PURPOSE}', case {CASE}")
    answer = client.search_faces_by_image(
        CollectionId=COLLECTION, Image={"Bytes": (PHOTOS / PROBE).read_bytes()}, FaceMatchThreshold=THRESHOLD
    )
    matches = {match["Face"]["ExternalImageId"]: match["Similarity"] for match in answer["FaceMatches"]}
    print("  Leads, not identification. A person decides, with other evidence.")
    print("  rank  similarity  booking")
    for rank, (name, similarity) in enumerate(matches.items(), start=1):
        print(f"  {rank:4}  {similarity:10.2f}  {name}")
    if matches.get(WANTED, 0) < 99 or OTHER in matches:
        raise DemoFailed(f"expected {BOOKINGS[WANTED]} at 99 or more, and {BOOKINGS[OTHER]} under {THRESHOLD}")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    strangers = float(headers["x-facet-expected-strangers"])
    print(f"  strangers to expect at threshold {THRESHOLD}: {strangers:g}   ({headers['x-facet-coverage']})")
    say(f"""That figure is faces x false-match rate. The same threshold over a county's 300,000 booking photos would
        bring about {strangers / len(BOOKINGS) * 300_000:,.0f} strangers: the reason why Facet prints it with every
        list.""")
    return headers["x-facet-search-id"]


def facectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(FACECTL), *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )


def indented(text: str) -> None:
    print(textwrap.indent(text.rstrip(), "  "), flush=True)


def show_record(search: str) -> None:
    heading("The search is in the ledger; no answer leaves before it is")
    for command in ("show", "prove"):
        print(f"  $ facectl ledger {command} {search}")
        done = facectl("ledger", command, search)
        if done.returncode != 0:
            raise DemoFailed(f"facectl ledger {command}: {done.stdout}{done.stderr}")
        indented(done.stdout)


def verify() -> tuple[bool, str]:
    done = facectl("ledger", "verify", "--data", str(DATA))
    return done.returncode == 0, done.stdout + done.stderr


def edit_the_ledger(search: str) -> None:
    heading("Someone with access to the disk edits one byte of the ledger")
    serve("stop")
    whole, said = verify()
    if not whole:
        raise DemoFailed(f"the ledger does not verify before the edit:\n{said}")
    file, place = place_to_edit(search)
    original = file.read_bytes()
    edited = bytearray(original)
    edited[place] ^= 1
    print(f"  {file.relative_to(ROOT)}, byte {place}: {original[place]:#04x} becomes {edited[place]:#04x}")
    print(f"  $ facectl ledger verify --data {DATA.relative_to(ROOT)}")
    file.write_bytes(edited)
    try:
        whole, said = verify()
    finally:
        file.write_bytes(original)
    indented(said)
    if whole or not re.search(r"leaf \d+", said):
        raise DemoFailed("the edit was not found, or its leaf not named")
    whole, said = verify()
    if not whole:
        raise DemoFailed(f"the byte was put back, and yet:\n{said}")
    print("  The demo has put the byte back; the ledger verifies again.")


def place_to_edit(search: str) -> tuple[Path, int]:
    """The middle of the search's own leaf in the ledger's log (docs/formats/wal.md), or of the fullest other file once
    the log has been moved into tiles."""
    ledger = DATA / "ledger"
    for file in sorted((ledger / "wal").glob("*.log")):
        log, place = file.read_bytes(), WAL_HEADER_BYTES
        while log[place : place + 4] == WAL_RECORD_MAGIC:
            length = int.from_bytes(log[place + 4 : place + 8], "little")
            if log[place + 12] == WAL_LEAF and log[place + 40 : place + 56] == uuid.UUID(search).bytes:
                return file, place + WAL_RECORD_HEADER_BYTES + length // 2
            place += (WAL_RECORD_HEADER_BYTES + length + 7) // 8 * 8
    file = max((path for path in ledger.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    return file, len(file.read_bytes().rstrip(b"\0")) // 2


def tell_what_next(environment: dict[str, str]) -> None:
    data = DATA.relative_to(ROOT)
    heading("The server is running; try next")
    print(textwrap.dedent(f"""\
        endpoint     {environment['FACET_ENDPOINT']}
        credentials  access key {environment['AWS_ACCESS_KEY_ID']}; its secret is in {data}.env

          source {data}.env          # the AWS CLI, boto3 and facectl now talk to this server
          aws rekognition list-faces --collection-id {COLLECTION}
          export PATH=$PWD/.build/release:$PATH
          facectl status
          facectl search PHOTO --collection {COLLECTION} --purpose {PURPOSE} --case {CASE}
          facectl import FOLDER --collection {COLLECTION}
          make stop                         # ends this server; make run starts an empty one"""))


if __name__ == "__main__":
    try:
        main()
    except DemoFailed as failure:
        sys.exit(f"demo: {failure}")

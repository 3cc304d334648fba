"""The layer that loses what was not synced loses that and nothing else."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unsynced import SECTOR, Disk

# Ends as by kill -9; `folder` is the root. Every name of `os` that is used goes through the C library.
PREAMBLE = f"""
import os, signal
def write(name, text, at=0):
    file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(file, text.encode() if isinstance(text, str) else text, at)
    return file
def synced(name, text, at=0):
    file = write(name, text, at)
    os.fdatasync(file)
    os.close(file)
def sync_folder(name="."):
    file = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(file)
    os.close(file)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
SECTOR = {SECTOR}
"""


@pytest.fixture
def disk(tmp_path: Path, unsynced: Path) -> Disk:
    (tmp_path / "disk").mkdir()
    return Disk(tmp_path / "disk", unsynced)


def run(disk: Disk, program: str, status: int = -9) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + program], cwd=disk.root, env=os.environ | disk.environment, check=False,
        capture_output=True,
    )
    assert done.returncode == status, done.stderr.decode()


def there(disk: Disk) -> dict[str, str]:
    """Names and contents."""
    return {
        str(path.relative_to(disk.root)): path.read_text() for path in sorted(disk.root.rglob("*")) if path.is_file()
    }


def test_what_was_synced_is_there_and_what_was_not_is_gone(disk: Disk) -> None:
    run(
        disk,
        """
synced("kept", "one")
sync_folder()
write("kept", "two", at=3)
write("kept", "0")
assert open("kept").read() == "0netwo" and os.stat("kept").st_size == 6
synced("nameless", "its folder was not synced")
die()
""",
    )
    assert there(disk) == {"kept": "0netwo", "nameless": "its folder was not synced"}
    disk.lose()
    assert there(disk) == {"kept": "one"}
    assert (disk.unsynced, disk.lost) == (3, 3) and not disk.journal.exists()


def test_a_lie_about_a_sync_shows(disk: Disk) -> None:
    disk.lies = True
    run(disk, 'synced("kept", "one")\nsync_folder()\ndie()')
    disk.lose()
    assert there(disk) == {}


def test_an_end_without_a_loss_of_power_loses_nothing(disk: Disk) -> None:
    run(disk, 'write("kept", "one")\ndie()')
    disk.forget()
    run(disk, 'assert open("kept").read() == "one"', status=0)
    disk.lose()
    assert there(disk) == {"kept": "one"}


def test_a_sync_covers_what_was_done_before_it_of_its_file(disk: Disk) -> None:
    run(
        disk,
        """
for name in "ab":
    synced(name, "0000")
sync_folder()
a, b = write("a", "1"), write("b", "1")
os.fsync(a)
write("a", "2", at=1)
os.ftruncate(b, 1)
die()
""",
    )
    disk.lose()
    assert there(disk) == {"a": "1000", "b": "0000"}


def test_names_are_durable_when_their_folder_was_synced(disk: Disk) -> None:
    run(
        disk,
        """
for name in ("replaced", "removed", "kept"):
    synced(name, "old " + name)
os.mkdir("gone"), os.mkdir("moved"), synced("moved/inside", "old inside")
sync_folder("moved"), sync_folder()

synced("replaced.tmp", "new")
os.rename("replaced.tmp", "replaced")
os.unlink("removed")
os.rmdir("gone")
os.rename("moved", "elsewhere")
os.link("kept", "linked")
os.mkdir("made"), synced("made/inside", "new"), sync_folder("made")
synced("elsewhere/other", "new"), sync_folder("elsewhere")
die()
""",
    )
    disk.lose()
    old = {name: f"old {name}" for name in ("kept", "removed", "replaced")}
    assert there(disk) == old | {"moved/inside": "old inside", "moved/other": "new"}
    assert (disk.root / "gone").is_dir() and not (disk.root / "made").exists()

    run(disk, 'os.rename("kept", "replaced"), os.unlink("removed"), os.rmdir("gone"), sync_folder(), die()')
    disk.lose()
    assert there(disk) == {"moved/inside": "old inside", "moved/other": "new", "replaced": "old kept"}
    assert not (disk.root / "gone").exists()


def test_a_folder_that_was_removed_with_what_was_in_it_comes_back(disk: Disk) -> None:
    run(
        disk,
        """
os.makedirs("shard/wal")
synced("shard/wal/1", "one"), synced("shard/state", "two")
for folder in ("shard/wal", "shard", "."):
    sync_folder(folder)
write("shard/state", "changed")
os.unlink("shard/wal/1"), os.rmdir("shard/wal"), os.unlink("shard/state"), os.rmdir("shard")
die()
""",
    )
    assert there(disk) == {}
    disk.lose()
    assert there(disk) == {"shard/state": "two", "shard/wal/1": "one"}


def test_by_chance_any_of_it_survives_sector_by_sector(disk: Disk) -> None:
    """Each as one of the writes left it, and over many losses every one of them."""
    run(disk, 'synced("file", b"0" * 4 * SECTOR)\nsync_folder()\ndie()')
    disk.lose()
    run(disk, 'write("file", b"1" * 2 * SECTOR)\nwrite("file", b"2" * 5 * SECTOR, SECTOR)\ndie()')
    after = (disk.root / "file").read_bytes()
    journal = shutil.copytree(disk.journal, disk.root.with_name("journal"))
    seen: set[tuple[str, ...]] = set()
    for seed in range(100):
        (disk.root / "file").write_bytes(after)
        shutil.copytree(journal, disk.journal, dirs_exist_ok=True)
        disk.chance = random.Random(seed)
        disk.lose()
        text = (disk.root / "file").read_bytes()
        sectors = [text[start : start + SECTOR] for start in range(0, len(text), SECTOR)]
        assert all(len(set(sector)) == 1 for sector in sectors), f"seed {seed}: a sector is torn"
        seen.add(tuple(chr(sector[0]) for sector in sectors))
    assert {len(sectors) for sectors in seen} == {4, 6}
    assert {sectors[0] for sectors in seen} == {"0", "1"}
    assert {sectors[1] for sectors in seen} == {"0", "1", "2"}
    assert any(sectors[1] == "2" and sectors[2] == "0" for sectors in seen)
    assert {sectors[4] for sectors in seen if len(sectors) > 4} == {"\0", "2"}


def test_sqlite_keeps_what_it_committed(disk: Disk) -> None:
    """With all that it does: a journal of its own, a mapped index, truncations, locks."""
    program = """
import sqlite3, sys
database = sqlite3.connect("rows.sqlite", isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = FULL")
database.execute("PRAGMA wal_autocheckpoint = 8")
database.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT)")
[first] = database.execute("SELECT count(*) FROM rows").fetchone()
assert first >= {known}, first
database.executemany("INSERT INTO rows VALUES (?, ?)", [(first + n, "x" * 900) for n in range(40)])
print(first + 40, file=open("../told", "w"))
database.execute("BEGIN"), database.execute("INSERT INTO rows VALUES (-1, 'not committed')")
die()
"""
    known = 0
    for seed in range(6):
        disk.chance = random.Random(seed) if seed % 2 else None
        run(disk, program.format(known=known))
        disk.lose()
        known = int((disk.root.parent / "told").read_text())
    check = f"""
import sqlite3
database = sqlite3.connect("rows.sqlite")
assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
assert database.execute("SELECT min(number), count(*) FROM rows").fetchone() == (0, {known})
"""
    run(disk, check, status=0)
    assert known == 240


@pytest.mark.parametrize(
    "program",
    [
        'os.symlink("a", "b")',
        'os.open("a", os.O_CREAT | os.O_RDWR | os.O_DSYNC)',
        'os.rename("a", os.path.dirname(os.getcwd()) + "/a")',
        'os.posix_fallocate(write("a", "1"), 0, 10)',
    ],
)
def test_what_cannot_be_followed_is_refused(disk: Disk, program: str) -> None:
    run(disk, program, status=-6)

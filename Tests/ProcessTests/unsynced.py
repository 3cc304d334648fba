"""Loses what a process did not sync before it was killed. unsynced.c, loaded into the process, notes what each change
replaces and what is made durable; `Disk.lose` then takes back what was not, all of it or as much as chance decides."""

import os
import random
import shutil
import struct
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from io import FileIO
from pathlib import Path

SOURCE = Path(__file__).with_name("unsynced.c")
# What a disk writes whole, or not at all.
SECTOR = 512
HEADER = struct.Struct("=8Q")


def build(folder: Path) -> Path:
    """The library, made in `folder`."""
    library = folder / "unsynced.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return library


class Kind(IntEnum):
    """Of unsynced.c, which says what the members of a note are."""

    WRITTEN = 1
    TRUNCATED = 2
    SYNCED = 3
    MADE = 4
    RENAMED = 5
    REMOVED = 6
    FOLDER_REMOVED = 7


@dataclass(frozen=True)
class Note:
    kind: Kind
    number: int
    inode: int
    offset: int
    length: int
    size: int
    names: list[str]
    replaced: bytes

    @property
    def sectors(self) -> range:
        return range(self.offset // SECTOR, -(-(self.offset + self.length) // SECTOR))

    def old(self, start: int, end: int) -> bytes:
        """What stood there before; zeros behind the file's end."""
        return self.replaced[start - self.offset : end - self.offset].ljust(end - start, b"\0")


def read_notes(journal: Path) -> Iterator[Note]:
    """In the order of the changes. The last may be cut short: what it was to tell of was not begun."""
    rest = memoryview(journal.read_bytes())
    while len(rest) >= HEADER.size:
        kind, number, inode, offset, length, size, names, replaced = HEADER.unpack_from(rest)
        end = HEADER.size + names + replaced
        if len(rest) < end:
            return
        texts = bytes(rest[HEADER.size : HEADER.size + names]).decode().split("\0")
        yield Note(Kind(kind), number, inode, offset, length, size, texts, bytes(rest[end - replaced : end]))
        rest = rest[end:]


@dataclass
class Disk:
    """The folder `root` as a disk that one process writes to at a time. With `chance` any of what was not synced may
    have reached it when power is lost; else none has. `lies`: its syncs make nothing durable."""

    root: Path
    library: Path
    chance: random.Random | None = None
    lies: bool = False
    # Changes that were not synced when the process died, and those of them that were taken back, in whole or in part.
    unsynced: int = 0
    lost: int = 0

    @property
    def journal(self) -> Path:
        """On the same file system, so that removed files can be kept there."""
        return self.root.with_name(f"{self.root.name}.unsynced")

    @property
    def environment(self) -> dict[str, str]:
        """Of the process that is started next."""
        self.forget()
        self.journal.mkdir()
        made = {"LD_PRELOAD": str(self.library), "UNSYNCED_ROOT": str(self.root), "UNSYNCED_JOURNAL": str(self.journal)}
        return made | ({"UNSYNCED_LIES": "1"} if self.lies else {})

    def lose(self) -> None:
        """To be called when the process is dead."""
        if (self.journal / "journal").exists():
            self._take_back()
        self.forget()

    def forget(self) -> None:
        """Everything stays as it is."""
        shutil.rmtree(self.journal, ignore_errors=True)

    def _take_back(self) -> None:
        synced: dict[int, int] = {}
        changes: list[Note] = []
        for note in read_notes(self.journal / "journal"):
            if note.kind == Kind.SYNCED:
                synced[note.inode] = max(note.offset, synced.get(note.inode, 0))
            else:
                changes.append(note)
        changes = [change for change in changes if change.number > synced.get(change.inode, 0)]
        for index in self.root.rglob("*-shm"):
            index.unlink()
        self.unsynced += len(changes)
        luck = Luck(self.chance)
        self.lost += take_back_writes(changes, (self.root, self.journal), luck)
        self.lost += take_back_names(changes, self.root, self.journal, luck)


class Luck:
    """How many of the changes to one thing have reached the disk; sometimes few, sometimes most."""

    def __init__(self, chance: random.Random | None) -> None:
        self.chance = chance
        self.share = chance.choice((0.1, 0.5, 0.9)) if chance else 0

    def kept(self, count: int) -> int:
        if not self.chance or not count:
            return 0
        return count if self.chance.random() < self.share else self.chance.randrange(count)


def by_inode(changes: list[Note], are_writes: bool) -> Iterator[tuple[int, list[Note]]]:
    found: dict[int, list[Note]] = defaultdict(list)
    for change in changes:
        if (change.kind in (Kind.WRITTEN, Kind.TRUNCATED)) == are_writes:
            found[change.inode].append(change)
    yield from found.items()


def take_back_writes(changes: list[Note], folders: tuple[Path, ...], luck: Luck) -> int:
    """Of every file below the folders, which stand under whatever name they now have; returns how many."""
    paths = {
        path.stat().st_ino: path for folder in folders for path in folder.rglob("*") if path.is_file()
    }
    lost = 0
    for inode, writes in by_inode(changes, are_writes=True):
        if inode in paths:
            with paths[inode].open("r+b", buffering=0) as file:
                lost += (restore_whole if any_truncated(writes) else restore_sectors)(file, writes, luck)
    return lost


def any_truncated(writes: list[Note]) -> bool:
    return any(write.kind == Kind.TRUNCATED for write in writes)


def restore_whole(file: FileIO, writes: list[Note], luck: Luck) -> int:
    """The changes reach the disk one after another."""
    gone = writes[luck.kept(len(writes)) :]
    for write in reversed(gone):
        os.pwrite(file.fileno(), write.replaced, write.offset)
        file.truncate(write.size)
    return len(gone)


def restore_sectors(file: FileIO, writes: list[Note], luck: Luck) -> int:
    """Every sector is as some write left it or as it was synced, whatever the others are, and so is the size."""
    size = [write.size for write in writes] + [os.fstat(file.fileno()).st_size]
    left = Counter(sector for write in writes for sector in write.sectors)
    kept = {sector: luck.kept(count) for sector, count in sorted(left.items())}
    lost = 0
    for write in reversed(writes):
        gone = False
        for sector in write.sectors:
            left[sector] -= 1
            if left[sector] >= kept[sector]:
                gone = True
                start = max(write.offset, sector * SECTOR)
                end = min(write.offset + write.length, (sector + 1) * SECTOR)
                os.pwrite(file.fileno(), write.old(start, end), start)
        lost += gone
    file.truncate(size[luck.kept(len(writes))])
    return lost


def take_back_names(changes: list[Note], root: Path, journal: Path, luck: Luck) -> int:
    """The changes of one folder's names reach the disk one after another; returns how many have not."""
    gone: list[Note] = []
    for _, names in by_inode(changes, are_writes=False):
        gone += names[luck.kept(len(names)) :]
    # A folder that is made again has another inode than the notes know it by.
    again: dict[int, int] = {}
    for change in sorted(gone, key=lambda change: change.number, reverse=True):
        folders = {path.stat().st_ino: path for path in (root, *root.rglob("*")) if path.is_dir()}
        folder, before = (folders.get(again.get(inode, inode)) for inode in (change.inode, change.offset))
        if folder is None:
            continue
        place, kept = folder / change.names[0], journal / str(change.number)
        match change.kind:
            case Kind.MADE:
                if place.is_dir():
                    shutil.rmtree(place)
                else:
                    place.unlink(missing_ok=True)
            case Kind.RENAMED if before and place.exists() and place.stat().st_ino == change.length:
                place.rename(before / change.names[1])
                if change.size:
                    place.hardlink_to(kept)
            case Kind.REMOVED if not place.exists():
                place.hardlink_to(kept)
            case Kind.FOLDER_REMOVED if not place.exists():
                place.mkdir(mode=0o700)
                again[change.length] = place.stat().st_ino
    return len(gone)

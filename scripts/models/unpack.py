#!/usr/bin/env python3
"""Copies members of a wheel or source archive into a folder, without its directories.

Usage: unpack.py ARCHIVE TARGET PATTERN...   (PATTERN as in fnmatch; each must match something)
"""

import fnmatch
import pathlib
import sys
import tarfile
import zipfile


def main() -> int:
    if len(sys.argv) < 4:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    archive, target = sys.argv[1], pathlib.Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    members = dict(read(archive))
    for pattern in sys.argv[3:]:
        names = fnmatch.filter(members, pattern)
        if not names:
            print(f"{archive}: no member matches {pattern}", file=sys.stderr)
            return 1
        for name in names:
            (target / pathlib.PurePosixPath(name).name).write_bytes(members[name]())
    return 0


def read(path):
    """Yields each file's name with a function that returns its bytes."""
    if zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        for name in archive.namelist():
            yield name, lambda name=name: archive.read(name)
    else:
        archive = tarfile.open(path)
        for member in archive.getmembers():
            if member.isfile():
                yield member.name, lambda member=member: archive.extractfile(member).read()


if __name__ == "__main__":
    sys.exit(main())

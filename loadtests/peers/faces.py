"""The vectors that everyone is measured on, as raw files in one folder."""

import pathlib

import numpy as np


def write_real(archive, folder, dimension):
    """Splits photographed faces: of each person with two images or more the last is a probe, all else is enrolled."""
    if not archive.is_file():
        raise SystemExit(
            f"{archive} is missing: real faces come with nobody's program. Bring embeddings as .npz with `embeddings`"
            " (N x D floats) and `labels` (N whole numbers, one a person): make bench-peers DATA=FILE ARGS='--set real'"
        )
    with np.load(archive) as content:
        vectors, labels = content["embeddings"].astype(np.float32), content["labels"].astype(np.int32)
    if vectors.shape[1] != dimension:
        raise SystemExit(f"{archive} has {vectors.shape[1]} dimensions: ask for --dimension {vectors.shape[1]}")
    held_out = np.zeros(len(labels), bool)
    for label, count in zip(*np.unique(labels, return_counts=True)):
        if count > 1:
            held_out[np.flatnonzero(labels == label)[-1]] = True
    for name, chosen in (("rows", ~held_out), ("probes", held_out)):
        vectors[chosen].tofile(folder / f"{name}-{dimension}.f32")
        labels[chosen].tofile(folder / f"{name}-{dimension}.i32")


class Faces:
    """Vectors as engine-bench wrote them, rotated; the rows stay on disk and are mapped."""

    def __init__(self, folder, dimension):
        folder = pathlib.Path(folder)

        def vectors(name):
            return np.memmap(folder / f"{name}-{dimension}.f32", np.float32, "r").reshape(-1, dimension)

        def names(name):
            return np.fromfile(folder / f"{name}-{dimension}.i32", np.int32)

        self.rows, self.probes = vectors("rows"), np.array(vectors("probes"))
        self.row_names, self.probe_names = names("rows"), names("probes")

    def rank_one(self, found):
        """The share of probes whose first face is one of the same person."""
        first = [list_[0] if len(list_) else -1 for list_ in found]
        pairs = zip(first, self.probe_names)
        return sum(at >= 0 and self.row_names[at] == name for at, name in pairs) / len(found)

#!/usr/bin/env python3
"""Cosine at given false-match rates, with 95 % intervals, and the scatter of mates, from embeddings of known people.

Pairs are of different people, the first image of each. The interval is a bootstrap over people, not over pairs:
pairs that share a person are not independent, and an interval over pairs would be far too narrow.

Mates are all pairs of images of one person; every person with two images or more counts the same, however many.

Usage: calibrate.py EMBEDDINGS.npz   (arrays `embeddings`, unit vectors in rows, and `labels`)
"""

import sys

import numpy

RATES = (1e-3, 1e-4, 1e-5, 1e-6)
REPLICATES = 400
SEED = 20240601
TAIL_FROM = 0.2


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 2
    data = numpy.load(sys.argv[1])
    _, first = numpy.unique(data["labels"], return_index=True)
    vectors = data["embeddings"][first].astype(numpy.float64)
    people = len(vectors)
    pairs = people * (people - 1) // 2
    left, right, cosine = tail(vectors)
    random = numpy.random.default_rng(SEED)
    rows = [thresholds(cosine, numpy.ones(len(cosine)), pairs)]
    for _ in range(REPLICATES):
        times = numpy.bincount(random.integers(people, size=people), minlength=people)
        weights = times[left] * times[right]
        total = (people**2 - (times**2).sum()) / 2
        rows.append(thresholds(cosine, weights, total))
    low, high = numpy.nanpercentile(rows[1:], [2.5, 97.5], axis=0)
    print(f"{people} people, {pairs} pairs")
    for index, rate in enumerate(RATES):
        seen = int(rate * pairs)
        print(f"rate {rate:.0e}: cosine {rows[0][index]:.3f} [{low[index]:.3f}, {high[index]:.3f}], {seen} pairs above")
    mates(data["embeddings"].astype(numpy.float64), data["labels"])
    return 0


def mates(vectors, labels):
    """Mean and standard deviation of the cosine of two images of one person."""
    cosines = [vectors[labels == person] for person in numpy.unique(labels)]
    cosines = [(own @ own.T)[numpy.triu_indices(len(own), k=1)] for own in cosines if len(own) > 1]
    weights = numpy.concatenate([numpy.full(len(own), 1 / len(own)) for own in cosines])
    cosine = numpy.concatenate(cosines)
    mean = numpy.average(cosine, weights=weights)
    deviation = numpy.sqrt(numpy.average((cosine - mean) ** 2, weights=weights))
    print(f"mates: {len(cosines)} people, {len(cosine)} pairs, cosine {mean:.3f} +- {deviation:.3f}")


def tail(vectors):
    """The pairs above TAIL_FROM, highest cosine first."""
    left, right = numpy.nonzero(numpy.triu(vectors @ vectors.T > TAIL_FROM, k=1))
    cosine = numpy.einsum("ij,ij->i", vectors[left], vectors[right])
    order = numpy.argsort(-cosine)
    return left[order], right[order], cosine[order]


def thresholds(cosine, weights, total):
    """For each rate the cosine that this share of all pairs reaches."""
    share = numpy.cumsum(weights) / total
    positions = numpy.searchsorted(share, RATES)
    return [cosine[position] if position < len(cosine) else numpy.nan for position in positions]


if __name__ == "__main__":
    sys.exit(main())

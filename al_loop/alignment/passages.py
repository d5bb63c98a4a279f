"""Which passages of a long text a recording reads, before it is aligned. Pure NumPy.

A recording of one chapter comes with the whole book: what is read begins far behind the text's
beginning, farther than the aligner's window reaches. So what is heard is first compared with the
text in strings of letters that the text has once. Where several agree on a place, in their order
and their distances, that is what is read there; the text far from all such places is left out.
"""

from __future__ import annotations

import numpy as np

from al_loop.alignment.text import UNKNOWN, Labels, Letters
from al_loop.alignment.viterbi import REACH

STRING = 10
"""Letters: about two words. Of 10% misheard letters every third string is whole, of 25% one in
eighteen."""
NEAR, DRIFT, AGREEING, COMPARED = 400, 40, 2, 64
"""A place counts where so many others AGREE: at most NEAR letters from it in what is heard, and as
far from it in the text, but for DRIFT letters. Two strings that are there by chance do so once in
ten thousand pairs in a novel of a million letters. COMPARED: with the next so many places."""
BLOCK = 10_000
"""Frames that are in memory at once."""
_FACTOR = np.uint64(1_000_003)


def letters_heard(log_probs: np.ndarray, labels: Labels) -> np.ndarray:
    """(N,) int64: the letters' columns of emissions (T, V), read greedily, without spaces."""
    best = [
        np.asarray(log_probs[begin : begin + BLOCK]).argmax(axis=1)
        for begin in range(0, len(log_probs), BLOCK)
    ]
    path = np.concatenate([np.zeros(0, dtype=np.int64), *best])
    new = np.ones(len(path), dtype=bool)
    new[1:] = path[1:] != path[:-1]
    return path[new & np.isin(path, list(labels.letters.values()))]


def passages(heard: np.ndarray, text: Letters, reach: int = REACH) -> np.ndarray:
    """(W,) bool: the words that may be read, with a quarter of `reach` letters on either side.

    heard: (N,) as `letters_heard` gives them. All of them where the text is no longer than the
    aligner's window, and where no place is found: then the aligner has to see for itself.
    """
    everything = np.ones(len(text), dtype=bool)
    if len(text.labels) <= 2 * reach:
        return everything
    places = _places(heard, text.labels)
    if not len(places):
        return everything
    edges = np.zeros(len(text.labels) + 1, dtype=np.int64)
    margin = reach // 4
    np.add.at(edges, np.maximum(places - margin, 0), 1)
    np.add.at(edges, np.minimum(places + STRING + margin, len(text.labels)), -1)
    near = np.cumsum(edges[:-1]) > 0
    return np.logical_or.reduceat(near, text.starts[:-1])


def _places(heard: np.ndarray, written: np.ndarray) -> np.ndarray:
    """(P,) int64: the letters of the text where strings that are heard stand, and others agree."""
    if min(len(heard), len(written)) < STRING:
        return np.zeros(0, dtype=np.int64)
    strings, at, count = np.unique(_strings(written), return_index=True, return_counts=True)
    strings, at = strings[count == 1], at[count == 1]
    said = _strings(heard)
    place = np.minimum(np.searchsorted(strings, said), max(len(strings) - 1, 0))
    found = np.flatnonzero(strings[place] == said) if len(strings) else np.zeros(0, np.int64)
    places = at[place[found]]
    shift = places - found
    # strings overlap: of those that follow upon each other, every tenth says something of its own
    number = np.arange(len(found))
    starts = np.ones(len(found), dtype=bool)
    starts[1:] = (np.diff(found) > 1) | (np.diff(shift) != 0)
    begun = np.maximum.accumulate(np.where(starts, number, 0))
    own = (number - begun) % STRING == 0
    found, places, shift = found[own], places[own], shift[own]
    agreeing = np.zeros(len(found), dtype=np.int64)
    for step in range(1, min(COMPARED, len(found) - 1) + 1):
        agree = found[step:] - found[:-step] <= NEAR
        agree &= np.abs(shift[step:] - shift[:-step]) <= DRIFT
        agreeing[step:] += agree
        agreeing[:-step] += agree
    return places[agreeing >= AGREEING]


def _strings(letters: np.ndarray) -> np.ndarray:
    """(N - STRING + 1,) uint64: a hash of the letters from each one on."""
    values = np.where(letters == UNKNOWN, 0, letters + 1).astype(np.uint64)
    found: np.ndarray = np.zeros(len(values) - STRING + 1, dtype=np.uint64)
    for place in range(STRING):
        found = found * _FACTOR + values[place : len(values) - STRING + 1 + place]
    return found

"""Where clips lie among one another: embeddings, centred and of length 1. Pure.

Encoders give all clips a large common part, which would make every two alike; taken off, the cosine
tells conditions apart. Reads only the rows that are asked for: the embeddings are a memory map.
"""

from __future__ import annotations

import numpy as np

from al_loop.records import ScoredPool

SAMPLE = 2000
"""Clips that say where the centre is."""
CHUNK = 4096
"""Known embeddings that are compared at a time."""


class Space:
    """The pool's embeddings around a centre: that of `rows` of the pool and of `known` (K, D), raw,
    or of a sample of both. What is left of a pool may be of one kind, and tells no centre alone."""

    def __init__(
        self, pool: ScoredPool, rows: np.ndarray, known: np.ndarray, rng: np.random.Generator
    ) -> None:
        self.pool = pool
        placed = rows[pool.embedding_rows[rows] >= 0]
        drawn = np.arange(len(placed) + len(known))
        if len(drawn) > SAMPLE:
            drawn = np.sort(rng.choice(drawn, SAMPLE, replace=False))
        theirs = np.asarray(known[drawn[drawn >= len(placed)] - len(placed)], np.float32)
        parts = [self._read(placed[drawn[drawn < len(placed)]]), theirs]
        both = np.concatenate([part for part in parts if len(part)] or [parts[0]])
        size = pool.embeddings.shape[1] if pool.embeddings.ndim == 2 else 0
        self.centre = both.mean(axis=0) if len(both) else np.zeros(size, np.float32)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """(n, D) float32, read in the order of the file."""
        where = self.pool.embedding_rows[rows]
        order = np.argsort(where, kind="stable")
        found = np.empty((len(rows), self.pool.embeddings.shape[1]), np.float32)
        found[order] = self.pool.embeddings[where[order]]
        return found

    def of(self, rows: np.ndarray) -> np.ndarray:
        """(n, D) float32 of length 1 for these rows of the pool; 0 for a clip without embedding."""
        found = np.zeros((len(rows), len(self.centre)), np.float32)
        placed = self.pool.embedding_rows[rows] >= 0
        if placed.any():
            found[placed] = self.place(self._read(rows[placed]))
        return found

    def place(self, raw: np.ndarray) -> np.ndarray:
        """Raw embeddings (n, D) as (n, D) float32 of length 1; 0 where there are not numbers."""
        if not len(raw):
            return np.zeros((0, len(self.centre)), np.float32)
        centred = np.nan_to_num(np.asarray(raw, np.float32) - self.centre)
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 1e-6)

    def nearness(self, embeddings: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest cosine with a known clip, and the sum of all their squares; (V,) float64.

        embeddings: (V, D) of length 1. known: (K, D), raw. Cosines below 0 count as 0.
        """
        closest, sums = np.zeros(len(embeddings)), np.zeros(len(embeddings))
        for start in range(0, len(known), CHUNK):
            cosines = embeddings @ self.place(known[start : start + CHUNK]).T
            np.maximum(cosines, 0, out=cosines)
            closest = np.maximum(closest, cosines.max(axis=1, initial=0))
            sums += np.einsum("vk,vk->v", cosines, cosines, dtype=np.float64)
        return closest, sums

"""When each clip of the pool was heard last, and what of: for a pool that is scored in parts.

Reads of the tables rounds, utterances and profiles, and what was heard from wherever it lies. Knows
not what is heard next.
"""

from __future__ import annotations

import numpy as np

from al_loop.records import Utterance
from storage.catalogue import Catalogue
from storage.hypotheses import OF_THE_HYPOTHESIS, Hypotheses


class Staleness(Catalogue, Hypotheses):
    """What earlier checkpoints heard, as columns of numbers: a million rows, and no object each."""

    def last_heard(self, ids: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The newest hypothesis of each utterance in `ids` (N,) "S64", sorted.

        Comes back as rounds (N,) int32, the newest one that began with the checkpoint that heard
        it, -1 where none did; and the hypothesis's numbers (N,) float32 by name, nan where none
        did, or where one is not a number.
        """
        rounds = np.full(len(ids), -1, np.int32)
        found = {name: np.full(len(ids), np.nan, np.float32) for name in OF_THE_HYPOTHESIS}
        newest_first = self.db.execute(
            "SELECT checkpoint_id, max(number) FROM rounds GROUP BY checkpoint_id "
            "ORDER BY max(number) DESC"
        ).fetchall()
        for checkpoint_id, number in newest_first:
            if not (rounds < 0).any():
                break
            free = rounds < 0
            self.take_heard(checkpoint_id, ids, free, list(found.values()))
            rounds[~free & (rounds < 0)] = number
        return rounds, found

    def unprofiled_beyond_pool(self, encoder: str) -> list[Utterance]:
        """What has no profile, and clips of the pool may be duplicates of.

        That is the train split, what is labelled, and what is in a query batch.
        """
        return self._utterances(
            "WHERE (split = 'train' OR split = 'pool' AND id IN (SELECT utterance_id FROM "
            "query_batches UNION SELECT utterance_id FROM labels)) "
            "AND id NOT IN (SELECT utterance_id FROM unhearable) AND NOT EXISTS "
            "(SELECT 1 FROM profiles p WHERE p.encoder = ? AND p.utterance_id = u.id)",
            [encoder],
        )

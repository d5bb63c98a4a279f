"""What recognisers beside the checkpoints have learned: it must not become a test of them.

Table: learned_examples. Written before a training begins, so that there are never weights without
it. A learner is the folder, in the workspace, in which the weights are.
"""

from __future__ import annotations

from collections.abc import Iterable

from al_loop.records import Example
from storage.database import Database


class Learned(Database):
    """The examples of every recogniser that was trained, or is being trained."""

    def put_learned(self, learner: str, examples: Iterable[Example]) -> None:
        """Write down what a learner is to learn, in the place of what it had."""
        with self.transaction():
            self.db.execute("DELETE FROM learned_examples WHERE learner = ?", [learner])
            self._put_all(
                "learned_examples",
                ("learner", "utterance_id", "text"),
                ((learner, row.utterance_id, row.text) for row in examples),
            )

    def move_learner(self, learner: str, target: str, besides: str) -> None:
        """A learner's weights lie in `target`, in the place of those that were there.

        besides: the folder of what was begun for the same place; nothing of it is left.
        """
        with self.transaction():
            begun = f"{besides}/"
            self.db.execute(
                "DELETE FROM learned_examples WHERE learner <> ? "
                "AND (learner = ? OR substr(learner, 1, ?) = ?)",
                [learner, target, len(begun), begun],
            )
            self.db.execute(
                "UPDATE learned_examples SET learner = ? WHERE learner = ?", [target, learner]
            )

    def learned_by(self, learner: str) -> dict[str, str]:
        """The texts that a learner has learned, by utterance id."""
        return dict(
            self.db.execute(
                "SELECT utterance_id, text FROM learned_examples WHERE learner = ? ORDER BY 1",
                [learner],
            ).fetchall()
        )

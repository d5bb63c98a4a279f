"""What tasks show: the text to be corrected, and how sure the model is of each of its words.

Works through the ports; knows neither the oracle nor why a task is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from al_loop.listening import Listening
from al_loop.ports import Store
from al_loop.records import Checkpoint, Task, WordConfidence

if TYPE_CHECKING:
    import numpy as np


class Showing:
    """marks: whether any word is ever marked as doubtful; weighing them costs a forward pass."""

    def __init__(self, store: Store, listening: Listening, marks: bool) -> None:
        self.store = store
        self.listening = listening
        self.marks = marks

    def show_missing(self) -> None:
        """Have every task that is not pushed show a text, its words weighed.

        It is what the open round's checkpoint hears, or the one in use, unless the task was planned
        with a text. Words of such a text are weighed like all others, for want of marks would tell
        that it is special.
        """
        refused = self.store.unhearable()  # they are shown without a text
        if unshown := [row for row in self.store.unshown() if row.id not in refused]:
            checkpoint = self._showing()
            self.listening.listen(checkpoint, unshown)
            heard = self.store.hypotheses(checkpoint.id, [row.id for row in unshown])
            self.store.show(
                checkpoint.id, [WordConfidence(name, row.text, ()) for name, row in heard.items()]
            )
        if self.marks and self.store.unmarked():
            self.store.copy_probabilities(self._showing().id)
        tried: set[tuple[str, str]] = set()
        while self.marks and (left := set(self.store.unmarked()) - tried):
            texts = dict(sorted(left))  # one for each utterance; others have the next turn
            tried |= texts.items()
            checkpoint = self._showing()
            self.store.show(checkpoint.id, self.listening.confide(checkpoint, texts).values())

    def anew(self, checkpoint_id: str, tasks: Mapping[str, Task]) -> dict[str, Task]:
        """The tasks with what this checkpoint hears, by task id, but for those it cannot hear."""
        checkpoint = self._checkpoint(checkpoint_id)
        ids = {task.key.utterance_id for task in tasks.values()}
        self.listening.listen(checkpoint, self.store.utterances(ids))
        heard = self.store.hypotheses(checkpoint.id, ids)
        sure: Mapping[str, WordConfidence] = {}
        if self.marks:
            texts = {name: row.text for name, row in heard.items() if row.text}
            sure = self.listening.confide(checkpoint, texts)
        found = {}
        for task_id, task in tasks.items():
            name = task.key.utterance_id
            if name not in heard:
                continue
            probs = sure[name].probabilities if name in sure else ()
            found[task_id] = replace(
                task, hypothesis=heard[name].text, checkpoint_id=checkpoint.id, word_probs=probs
            )
        return found

    def wrong_drafts(
        self, checkpoint_id: str, utterance_ids: Sequence[str], rng: np.random.Generator
    ) -> dict[str, str]:
        """What gold tasks about these utterances show, by utterance id; none of a clip that cannot
        be heard."""
        if not utterance_ids:
            return {}
        from al_loop.asking_plan import wrong_draft

        utterances = self.store.utterances(utterance_ids)
        self.listening.listen(self._checkpoint(checkpoint_id), utterances)
        heard = self.store.hypotheses(checkpoint_id, utterance_ids)
        texts = self.store.known_texts(utterance_ids)
        return {
            row.id: wrong_draft(texts[row.id], heard[row.id].text, row.language, rng)
            for row in utterances
            if row.id in heard
        }

    def _showing(self) -> Checkpoint:
        """The checkpoint whose hypotheses further tasks show."""
        current = self.store.open_round()
        found = current.checkpoint_id if current else self.store.current_checkpoint_id()
        assert found is not None  # before the first round nothing is asked but empty boxes
        return self._checkpoint(found)

    def _checkpoint(self, checkpoint_id: str) -> Checkpoint:
        found = self.store.checkpoint(checkpoint_id)
        assert found is not None, checkpoint_id
        return found

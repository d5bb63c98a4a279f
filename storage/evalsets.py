"""Evaluation sets of the pool's own audio: drawn, labelled, frozen. Knows not how one is drawn.

Table: evaluation_draws. A drawn utterance is `reserved`, as is all that is grouped with it: in no
pool, no training set, no evaluation set. Freezing makes those with a label a test split, whose
source is named as the set.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from al_loop.errors import WorkspaceError
from al_loop.groups import By, reached
from al_loop.records import IN_HOUSE, PSEUDO_LABEL, STANDARD_SILENCE, PlannedTask, Source
from storage.database import now
from storage.hypotheses import Hypotheses
from storage.sql import OPEN
from storage.tasks import Tasks


class Evalsets(Tasks, Hypotheses):
    """The sets that are drawn.

    Made over the tasks, by which they are labelled, and the hypotheses: those of what leaves the
    pool are rows from then on.
    """

    def drawable(self, language: str) -> list[tuple[str, float, str | None, str, str]]:
        """Id, seconds, speaker, origin and use of every utterance of the pool and of the training
        data, by id.

        Uses: `free` in the pool in that language, `beside` in another; `asked` in the pool, chosen
        or labelled; `learned` in a train or validation split, or by a recogniser, as a manifest or
        learned_examples has it.
        """
        return self.db.execute(
            "SELECT u.id, u.duration_s, u.speaker, u.origin, CASE "
            "WHEN u.split <> 'pool' THEN 'learned' "
            "WHEN u.id IN (SELECT utterance_id FROM query_batches "
            "UNION SELECT utterance_id FROM labels) THEN 'asked' "
            "WHEN u.id IN (SELECT utterance_id FROM manifest_examples "
            "UNION SELECT utterance_id FROM learned_examples) THEN 'learned' "
            "WHEN u.language <> ? THEN 'beside' ELSE 'free' END "
            "FROM utterances u WHERE +u.split IN ('pool', 'train', 'validation') ORDER BY u.id",
            [language],
        ).fetchall()

    def put_draw(
        self,
        name: str,
        groups: Mapping[str, str],
        reserved: Collection[str],
        planned: Iterable[PlannedTask],
        by: By,
        language: str,
    ) -> None:
        """Keep a set that was drawn, and have it asked about. Its name is a source's from now on.

        groups: by drawn utterance, what it is grouped by. reserved: what leaves the pool besides.
        Raises WorkspaceError when the name is taken, or some of it has left the pool meanwhile.
        """
        leaving = [*groups, *reserved]
        with self.transaction():
            self.check_free(name)
            changed = self.db.conn.execute(
                "UPDATE utterances SET split = 'reserved' WHERE split = 'pool' "
                "AND id IN (SELECT value FROM json_each(?)) "
                "AND id NOT IN (SELECT utterance_id FROM query_batches) "
                "AND id NOT IN (SELECT utterance_id FROM manifest_examples) "
                "AND id NOT IN (SELECT utterance_id FROM learned_examples)",
                [json.dumps(leaving)],
            ).rowcount
            if changed != len(leaving):
                raise WorkspaceError(
                    f"{len(leaving) - changed} of {len(leaving)} clips have left the pool "
                    "meanwhile; draw again"
                )
            self.keep_as_rows(leaving)
            self.put_source(Source(name, "in_house", language))
            self._put_all(
                "evaluation_draws",
                ("name", "utterance_id", "grouped_by", "grouping"),
                ((name, utterance_id, group, by) for utterance_id, group in groups.items()),
            )
            self.add_tasks(planned)

    def check_free(self, name: str) -> None:
        """Raises WorkspaceError where a set or a source has this name, or one is to have it."""
        if name in self.draws():
            raise WorkspaceError(f"a set {name!r} was drawn already; give this one another --name")
        if name in (IN_HOUSE, PSEUDO_LABEL, STANDARD_SILENCE):
            raise WorkspaceError(f"the name {name!r} is kept for a source; give the set another")
        if self.source(name):
            raise WorkspaceError(
                f"{name!r} is the name of a source already, which a set would become a part of; "
                "give it another --name"
            )

    def draws(self) -> dict[str, str | None]:
        """The sets by their names, and when each was frozen."""
        return dict(
            self.db.execute(
                "SELECT name, max(frozen_at) FROM evaluation_draws GROUP BY name ORDER BY name"
            ).fetchall()
        )

    def drawn(self, name: str) -> dict[str, float]:
        """The seconds of each utterance that was drawn for the set, by id."""
        rows: Any = self.db.execute(
            "SELECT d.utterance_id, u.duration_s FROM evaluation_draws d "
            "JOIN utterances u ON u.id = d.utterance_id WHERE d.name = ? ORDER BY 1",
            [name],
        ).fetchall()
        return dict(rows)

    def being_drawn(self) -> set[str]:
        """What was drawn for sets that are not frozen yet."""
        rows = self.db.execute(
            "SELECT utterance_id FROM evaluation_draws WHERE name NOT IN "
            "(SELECT name FROM evaluation_draws WHERE frozen_at IS NOT NULL)"
        )
        return {row[0] for row in rows}

    def held_groups(self) -> dict[By, set[str]]:
        """What is grouped with any set, by what the set was grouped by.

        By speaker that is also what parts of one recording are joined to, some of whose speakers
        are unknown, through all that was reserved.
        """
        found: dict[By, set[str]] = {}
        for by, group in self.db.execute(
            "SELECT DISTINCT grouping, grouped_by FROM evaluation_draws WHERE grouping <> 'clip'"
        ):
            found.setdefault(by, set()).add(group)
        if "speaker" in found:
            rows = self.db.execute(
                "SELECT speaker, origin FROM utterances WHERE split = 'reserved' UNION ALL "
                "SELECT speaker, origin FROM utterances WHERE id IN "
                "(SELECT utterance_id FROM evaluation_draws WHERE grouping = 'speaker')"
            )
            found["speaker"] = reached(found["speaker"], rows)
        return found

    def waiting(self, name: str) -> int:
        """How many tasks about the set wait for an answer."""
        sql = (
            f"SELECT count(*) FROM tasks t WHERE {OPEN} AND t.utterance_id IN "
            "(SELECT utterance_id FROM evaluation_draws WHERE name = ?)"
        )
        return int(self._row(sql, [name])[0])

    def freeze(self, name: str, language: str, texts: Mapping[str, str]) -> None:
        """Make these utterances of a drawn set a test split. Nothing else of it is asked any more.

        texts: what is said in them, by id. Raises WorkspaceError, and changes nothing, when some of
        them are not reserved any more.
        """
        with self.transaction():
            self.put_source(Source(name, "in_house", language))
            frozen = self.db.conn.executemany(
                "UPDATE utterances SET split = 'test', text = ?, source = ? WHERE id = ? "
                "AND split = 'reserved'",
                ((text, name, utterance_id) for utterance_id, text in texts.items()),
            ).rowcount
            if texts and frozen != len(texts):
                raise WorkspaceError(
                    f"{len(texts) - frozen} of {len(texts)} clips of {name!r} are not reserved "
                    "any more; look at `al-loop evalset status`, and freeze again"
                )
            self.db.execute(
                "UPDATE evaluation_draws SET frozen_at = ? WHERE name = ? "
                "AND utterance_id IN (SELECT value FROM json_each(?))",
                [now(), name, json.dumps(list(texts))],
            )
            self.db.execute(
                f"UPDATE tasks AS t SET closed_at = ? WHERE {OPEN} AND "
                "t.utterance_id IN (SELECT utterance_id FROM evaluation_draws WHERE name = ?)",
                [now(), name],
            )

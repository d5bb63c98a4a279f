"""Sources and utterances: what there is to hear, and what was refused. Knows no round.

Tables: sources, utterances, refusals; reads of what manifests and other recognisers hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

from al_loop.errors import WorkspaceError
from al_loop.records import HELD_OUT, Refusal, Source, Utterance
from storage.database import Database, now

UTTERANCE_COLUMNS = (
    "id, sample_hash, audio, duration_s, source, language, split, text, speaker, origin, start_s, "
    "text_origin, made_by"
)
UTTERANCE_VALUES = attrgetter(*UTTERANCE_COLUMNS.split(", "))
PUT_UTTERANCE = (
    f"INSERT INTO utterances ({UTTERANCE_COLUMNS}) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET sample_hash = excluded.sample_hash, audio = excluded.audio, "
    "duration_s = excluded.duration_s, source = excluded.source, language = excluded.language, "
    "split = excluded.split, text = excluded.text, speaker = excluded.speaker, "
    "origin = excluded.origin, start_s = excluded.start_s, text_origin = excluded.text_origin, "
    "made_by = excluded.made_by"
)

UNKNOWN_TASK = "unknown_task"
"""Why an answer to what was never asked is refused."""


class Catalogue(Database):
    """The sources, their utterances in every split, and the rows that were not let in."""

    def put_source(self, source: Source) -> None:
        """Add a source, or change its weight. Its kind and language are fixed once it exists."""
        known = self.source(source.name)
        if known and (known.kind, known.language) != (source.kind, source.language):
            raise WorkspaceError(
                f"source {source.name!r} is already {known.kind} in {known.language}, "
                f"not {source.kind} in {source.language}; give this data another --source"
            )
        with self.transaction():
            self.db.table("sources").upsert(asdict(source), pk="name")

    def source(self, name: str) -> Source | None:
        rows = self.db.execute(
            "SELECT name, kind, language, weight FROM sources WHERE name = ?", [name]
        ).fetchall()
        return Source(*rows[0]) if rows else None

    def sources(self) -> list[Source]:
        rows = self.db.execute("SELECT name, kind, language, weight FROM sources ORDER BY name")
        return [Source(*row) for row in rows]

    def find(self, utterance_id: str, sample_hash: str) -> Utterance | None:
        """The utterance with these bytes, or with these samples in another encoding."""
        rows = self.db.execute(
            f"SELECT {UTTERANCE_COLUMNS} FROM utterances WHERE id = ? OR sample_hash = ?",
            [utterance_id, sample_hash],
        ).fetchall()
        return Utterance(*rows[0]) if rows else None

    def clip_names(self) -> list[str]:
        """Every clip, as the path in the workspace that it has or would have."""
        return [row[0] for row in self.db.execute("SELECT audio FROM utterances ORDER BY id")]

    def add(self, utterances: Sequence[Utterance], refusals: Sequence[Refusal]) -> set[str]:
        """Take in one block of ingested rows. An utterance that is known is overwritten.

        Left out, and returned, are the ids of those that would enter an evaluation set although a
        manifest holds them, or another recogniser: one may have learned from them.
        """
        with self.transaction():
            learned = {
                row[0]
                for row in self.db.execute(
                    "SELECT value FROM json_each(?) "
                    "WHERE value IN (SELECT utterance_id FROM manifest_examples) "
                    "OR value IN (SELECT utterance_id FROM learned_examples)",
                    [json.dumps([row.id for row in utterances if row.split in HELD_OUT])],
                )
            }
            self.db.conn.executemany(
                PUT_UTTERANCE,
                (UTTERANCE_VALUES(row) for row in utterances if row.id not in learned),
            )
            self.db.execute(  # its file is there again
                "DELETE FROM unhearable WHERE utterance_id IN (SELECT value FROM json_each(?))",
                [json.dumps([row.id for row in utterances])],
            )
            self._refuse(refusals)
        return learned

    def learned_texts(self) -> list[tuple[str, str, str]]:
        """Language and text of all that recognisers may have learned, each once, and the id of one
        that says so: what any manifest holds, or what is written down of another recogniser.
        """
        return self.db.execute(
            "SELECT u.language, m.text, min(u.id) FROM (SELECT utterance_id, text "
            "FROM manifest_examples UNION SELECT utterance_id, text FROM learned_examples) m "
            "JOIN utterances u ON u.id = m.utterance_id GROUP BY u.language, m.text"
        ).fetchall()

    def learned_stamp(self) -> tuple[int, ...]:
        """Another one where `learned_texts` may give others; quickly told.

        SQLite counts what other connections commit; what this one adds has the highest rowid.
        """
        return self.db.execute(
            "SELECT (SELECT data_version FROM pragma_data_version), "
            "(SELECT coalesce(max(rowid), 0) FROM manifest_examples), "
            "(SELECT coalesce(max(rowid), 0) FROM learned_examples)"
        ).fetchone()

    def parts_of(self, recording: str) -> list[tuple[Any, ...]]:
        """Start, end, id, origin, split, source and its kind of all parts of a recording."""
        return self.db.execute(
            "SELECT u.start_s, u.start_s + u.duration_s, u.id, u.origin, u.split, u.source, s.kind "
            "FROM utterances u JOIN sources s ON s.name = u.source "
            "WHERE u.start_s IS NOT NULL AND u.origin >= ? AND u.origin < ?",
            [f"{recording}#", f"{recording}$"],
        ).fetchall()

    def _refuse(self, refusals: Iterable[Refusal]) -> None:
        self.db.table("refusals").upsert_all(
            ({**asdict(row), "refused_at": now()} for row in refusals), pk=("origin", "reason")
        )

    def _forgive(self, origins: Iterable[str]) -> int:
        """Forget the refusals of what was unknown then; returns how many there were."""
        return self.db.conn.execute(
            "DELETE FROM refusals WHERE reason = ? AND origin IN (SELECT value FROM json_each(?))",
            [UNKNOWN_TASK, json.dumps(list(origins))],
        ).rowcount

    # -- utterances by their use -------------------------------------------------------------------

    def pool(self) -> list[Utterance]:
        """Utterances that may be chosen: in the pool, in no batch yet, not labelled."""
        return self._utterances(
            "WHERE split = 'pool' AND id NOT IN (SELECT utterance_id FROM query_batches) "
            "AND id NOT IN (SELECT utterance_id FROM labels) "
            "AND id NOT IN (SELECT utterance_id FROM unhearable)"
        )

    def utterances(self, utterance_ids: Iterable[str]) -> list[Utterance]:
        """Those with these ids, by id; of an id that nothing has there is none."""
        return self._utterances(
            "WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(list(utterance_ids))]
        )

    def evaluation_utterances(self) -> list[Utterance]:
        return self._utterances("WHERE split = 'test'")

    def taught(self, round_number: int) -> list[Utterance]:
        """The utterances of a round's batch that its manifest holds: what it is to learn."""
        return self._utterances(
            "WHERE id IN (SELECT b.utterance_id FROM query_batches b "
            "JOIN rounds r ON r.number = b.round JOIN manifest_examples m "
            "ON m.manifest_id = r.manifest_id AND m.utterance_id = b.utterance_id "
            "WHERE b.round = ?)",
            [round_number],
        )

    def silence_utterances(self) -> list[Utterance]:
        """Clips in which nobody speaks."""
        return self._utterances("WHERE split = 'silence'")

    def _utterances(self, where: str, parameters: Sequence[Any] = ()) -> list[Utterance]:
        rows = self.db.execute(
            f"SELECT {UTTERANCE_COLUMNS} FROM utterances u {where} ORDER BY id", parameters
        )
        return [Utterance(*row) for row in rows]

    def sample_hashes(self) -> dict[str, str]:
        """The hash of every utterance's samples, by its id."""
        return dict(self.db.execute("SELECT id, sample_hash FROM utterances").fetchall())

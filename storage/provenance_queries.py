"""Read-only questions about what was made by models, and about what each source brings.

By which models, under which licence, and how sure recognisers are of the texts that they wrote.
Knows not what a licence allows, how a text was voted on, or how error rates are compared.
"""

from __future__ import annotations

import json
from typing import Any

from al_loop.records import TRANSLATED_BY
from storage.reading import Connection

SHOWN = 20
"""Texts that come at once."""


class ProvenanceQueries(Connection):
    """Makers, pseudo-labels, ablations, and examples that lead to where they come from."""

    def licences(self) -> dict[str, str]:
        """The licence of each model of which one is known, by its name."""
        rows = self._all("SELECT name, licence FROM makers ORDER BY name")
        return {row["name"]: row["licence"] for row in rows}

    def makers_of_sources(self) -> list[dict[str, Any]]:
        """Which models spoke, cut or translated what training may use as it comes, by source.

        One row a source and `made_by`. It is a look at each row of the splits `train` and
        `validation`: ask once for each state of the database.
        """
        return self._all(
            "WITH each AS MATERIALIZED (SELECT source, made_by, iif(instr(text_origin, ?1), "
            "substr(text_origin, instr(text_origin, ?1) + length(?1)), NULL) AS translator, "
            "count(*) AS utterances, sum(duration_s) AS duration_s FROM utterances "
            "WHERE split IN ('train', 'validation') "
            "AND (made_by IS NOT NULL OR text_origin IS NOT NULL) GROUP BY 1, 2, 3), "
            "named AS (SELECT source, made_by, utterances, duration_s FROM each UNION ALL "
            "SELECT source, translator, utterances, duration_s FROM each) "
            "SELECT n.source, s.kind, n.made_by, sum(n.utterances) AS utterances, "
            "sum(n.duration_s) AS duration_s FROM named n JOIN sources s ON s.name = n.source "
            "WHERE n.made_by IS NOT NULL GROUP BY n.source, n.made_by "
            "ORDER BY n.source, n.made_by",
            [TRANSLATED_BY],
        )

    def makers_of_pseudo_labels(self) -> list[dict[str, Any]]:
        """Which recognisers wrote how many of the texts: rows of `made_by` and `utterances`."""
        return self._all(
            "SELECT made_by, count(*) AS utterances FROM pseudo_labels "
            "GROUP BY made_by ORDER BY made_by"
        )

    def examples_of_sources(self, limit: int = 2) -> list[dict[str, Any]]:
        """Some utterances of each source that training may use as they come, by the index alone."""
        return self._all(
            "SELECT u.id AS utterance_id, u.source, s.kind, u.text, u.made_by FROM sources s "
            "JOIN utterances u ON u.rowid IN (SELECT e.rowid FROM utterances e "
            "WHERE e.split = 'train' AND e.source = s.name LIMIT ?) ORDER BY s.name, u.id",
            [limit],
        )

    def pseudo_label(self, utterance_id: str) -> dict[str, Any]:
        """What recognisers agree on: `text`, `confidence`, `made_by`; empty where they do not."""
        return self._first(
            "SELECT text, confidence, made_by FROM pseudo_labels WHERE utterance_id = ?",
            [utterance_id],
        )

    def unsure_pseudo_labels(self, limit: int = SHOWN) -> list[dict[str, Any]]:
        """The texts with the lowest confidence, the lowest first.

        label: what annotators have said of the clip since, if they have.
        """
        return self._all(
            "WITH least AS MATERIALIZED (SELECT utterance_id, text, confidence, made_by "
            "FROM pseudo_labels ORDER BY confidence, utterance_id LIMIT ?) "
            "SELECT least.*, u.source, u.duration_s, u.audio, l.text AS label FROM least "
            "JOIN utterances u ON u.id = least.utterance_id "
            "LEFT JOIN labels l ON l.utterance_id = least.utterance_id "
            "ORDER BY least.confidence, least.utterance_id",
            [limit],
        )

    def pseudo_label_runs(self) -> list[dict[str, Any]]:
        """One row a time that pseudo-labels were made, the oldest first: `round`, `made_at`.

        round: None of one that was made by hand. report: as it was written; empty where it is no
        JSON object.
        """
        rows = self._all("SELECT round, report, made_at FROM pseudo_label_runs ORDER BY id")
        return [row | {"report": _object(row["report"])} for row in rows]

    def ablations(self) -> list[dict[str, Any]]:
        """One row an ablation, the oldest first; `finished_at` is None of one that may go on.

        settings: all that its results depend on, as an object; `groups` are the parts that it adds
        and leaves out: label and sources of each. results: how many of its rows are measured.
        """
        rows = self._all(
            "SELECT a.name, a.settings, a.started_at, a.finished_at, (SELECT count(*) "
            "FROM ablation_results r WHERE r.ablation = a.name) AS results FROM ablations a "
            "ORDER BY a.started_at, a.name"
        )
        return [row | {"settings": _object(row["settings"])} for row in rows]

    def ablation_results(self, name: str) -> list[dict[str, Any]]:
        """What is measured of an ablation: `variant` is the sources that were trained on.

        One row a variant, seed and evaluation set. A variant without sources is the untrained base.
        utterance_errors: errors and words of each test utterance, by id.
        """
        rows = self._all(
            "SELECT variant, seed, evaluation_set, language, examples, audio_s, draws, "
            "utterance_errors FROM ablation_results WHERE ablation = ? "
            "ORDER BY evaluation_set, variant, seed",
            [name],
        )
        lists = ("variant", "utterance_errors")
        return [row | {column: json.loads(row[column]) for column in lists} for row in rows]


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

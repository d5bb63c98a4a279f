"""What could be asked although its answer is known, or is there: gold tasks and blind repeats.

Reads of the tables utterances, sources, labels, tasks and annotations. Knows not which of them are
asked, or what is shown.
"""

from __future__ import annotations

from storage.database import Database

BELIEVED = "s.kind NOT IN ('pseudo_label', 'forced_alignment')"
"""Kinds of sources whose texts nobody has checked against the audio are no measure of anybody."""


class Known(Database):
    """Candidates, by id: whoever chooses draws from them at random."""

    def known_answers(self, language: str) -> list[str]:
        """Ids of the utterances in this language of which it is known what is said.

        They came with their text, or several annotators agreed on it. None of them is an
        evaluation set's, or was a gold task before.
        """
        rows = self.db.execute(
            "SELECT u.id FROM utterances u JOIN sources s ON s.name = u.source "
            f"WHERE u.split IN ('train', 'validation') AND u.language = ?1 AND {BELIEVED} "
            "AND u.text IS NOT NULL AND u.id NOT IN (SELECT utterance_id FROM tasks "
            "WHERE kind = 'gold') "
            "UNION SELECT u.id FROM labels l JOIN utterances u ON u.id = l.utterance_id "
            "WHERE u.split = 'pool' AND u.language = ?1 AND l.text IS NOT NULL "
            "AND l.settled IN ('agreed', 'adjudicated') AND u.id NOT IN (SELECT utterance_id "
            "FROM tasks WHERE kind = 'gold') ORDER BY 1",
            [language],
        )
        return [row[0] for row in rows]

    def repeatable(self) -> list[tuple[str, str]]:
        """Id, and the text that was shown, of what one annotator answered and nobody was asked
        again."""
        return self.db.execute(
            "SELECT t.utterance_id, t.hypothesis FROM tasks t "
            "JOIN utterances u ON u.id = t.utterance_id "
            "JOIN labels l ON l.utterance_id = t.utterance_id "
            "WHERE t.kind = 'query' AND t.answers = 1 AND t.hypothesis IS NOT NULL "
            "AND l.text IS NOT NULL AND u.split = 'pool' AND NOT EXISTS (SELECT 1 FROM tasks n "
            "WHERE n.utterance_id = t.utterance_id AND (n.round, n.copy) <> (t.round, t.copy)) "
            "ORDER BY 1"
        ).fetchall()

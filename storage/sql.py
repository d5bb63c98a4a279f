"""Pieces of SQL that several questions share.

A round is `r`, a member of a query batch `b`, a task `t`, a label `l`.
"""

from __future__ import annotations

COMPARED_WITH = "coalesce(r.compared_with, r.checkpoint_id)"
"""The checkpoint in use when a round's candidate was judged, or when the round was opened: not the
same where somebody promoted by hand in between."""
IN_USE = f"CASE WHEN r.promoted = 1 THEN r.candidate_id ELSE {COMPARED_WITH} END"
"""The checkpoint in use after a round, whatever was promoted by hand later on."""
QUERY = "t.utterance_id = b.utterance_id AND t.round = b.round AND t.kind = 'query'"
"""The task that asks about a member of a query batch."""
USABLE = "l.text IS NOT NULL AND l.settled <> 'disputed'"
"""A label that a model may learn from, and that what was heard may be compared with."""
SAID = (
    f"CASE WHEN {USABLE} THEN l.text END AS label, "
    "CASE WHEN l.settled = 'disputed' THEN l.text END AS disputed"
)
"""The text of a label where it is known what was said, and where annotators dispute it."""
WAITED_FOR = "b.top_up = 0 AND (t.closed_at IS NULL OR t.answers > 0)"
"""Whether the round waits for a member's answer, or did: not of what was chosen later to top the
batch up, nor of what was closed without an answer."""
OPEN = "t.answers < t.wanted AND t.closed_at IS NULL"
"""Whether a task waits for an answer."""

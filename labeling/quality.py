"""What the annotations of an utterance settle on. Pure; knows nothing of Label Studio."""

from __future__ import annotations

from collections.abc import Sequence

from al_loop.records import Annotation, Label


def settle(annotations: Sequence[Annotation]) -> Label:
    """The label of one utterance: its latest answer, where a skip counts only among skips.

    `annotation_ids` names every answer that was weighed, the deciding one first.
    Raises ValueError for no annotations, or for those of several utterances.
    """
    utterances = {annotation.utterance_id for annotation in annotations}
    if len(utterances) != 1:
        raise ValueError(f"expected the annotations of one utterance, got those of {utterances}")
    deciding, *others = sorted(
        annotations,
        key=lambda answer: (answer.verdict != "skipped", answer.updated_at, answer.id),
        reverse=True,
    )
    return Label(
        utterance_id=deciding.utterance_id,
        text=deciding.text,
        verdict=deciding.verdict,
        annotation_ids=[deciding.id, *(answer.id for answer in others)],
    )

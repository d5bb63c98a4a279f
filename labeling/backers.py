"""Who says what a label says. Pure; knows not how it was settled.

A label may stand although only one annotator is behind it: an adjudicator whom nobody else agrees
with, or a vote that puts together what nobody wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from al_loop.agreement import compare
from al_loop.records import Case, Label
from labeling.opinions import opinions

if TYPE_CHECKING:
    from al_loop.config import LabelSettings


def backers(case: Case, label: Label, rule: LabelSettings, language: str) -> int:
    """How many annotators' texts agree with the label's, within `labels.agree_wer`; 0: a verdict.

    All who were deleted on the server count as one, for they may be one.
    """
    if label.text is None:
        return 0
    return len(
        {
            row.answer.annotator
            for row in opinions(case, rule, language)
            if row.text is not None
            and compare(row.text, label.text, language).wer <= rule.agree_wer
        }
    )

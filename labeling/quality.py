"""What the answers about an utterance are worth: the label, its quality, what to ask again. Pure.

Knows neither Label Studio nor the database: a `Case` holds all that was asked and answered. The
rules are ours.

Who counts. Every annotator has one voice, and every answer of a deleted one; see
`labeling.opinions`. Texts are compared as
`labeling.text_checks` repaired them, by `al_loop.agreement`; two agree within `labels.agree_wer`.

What they settle on. The majority says whether there is a text or a verdict; a tie is a dispute,
until somebody answers an adjudication, whose side then wins. Of verdicts the most frequent counts,
then the latest. Of texts

- one is `single`;
- several that all agree are `agreed`: the one nearest to the others, then the latest;
- two that disagree are `disputed`, and an adjudication is asked for. With a third, or the answer
  to an adjudication, they are `adjudicated`: where two agree, the text with the least expected WER
  to the others; where nobody agrees with anybody, that of the last annotator who answered an
  adjudication, or of the last one. So a team of two can settle, too;
- with `labels.disputes = "vote"` three or more that disagree are `voted` by ROVER, word by word.
  Of two, a vote is a tie in every word that differs: they are settled as above. A text against a
  verdict cannot be voted on: that is a dispute there, too.

A majority over answers of the other kind is `adjudicated`. A disputed label holds the text nearest
to the others for people to see, and is never trained on; nor is a text that nobody can have said in
the time, which is `disputed` even if it is the only one.

What is flagged, besides what is odd about the text itself. `unsure`: all who back the text doubt
it. `dissent`: how far others are from it. `unchanged_draft`: all who back it left the words of the
draft as they were, though the model expected more than `labels.suspect_wer` of them to be wrong,
which is an estimate.

What is asked again, never more than `MOST_FOLLOW_UPS` times for one utterance, and nothing while
an answer about it is awaited: a dispute; an unchanged draft or an impossible text, once, with an
empty box; a text of one annotator that is unsure or gravely odd, once.

Quality is `SETTLED`, times 1 - the mean WER between the text and the other answers (a verdict
against a text counts as 1), times `FACTORS` of its flags, and for a single answer times the gold
score of its annotator where one is given; never below `LEAST`. Nothing depends on the order of the
answers in a case.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from al_loop.agreement import compare
from al_loop.records import Case, FollowUp, Label, Settled
from al_loop.rover import rover
from al_loop.text import normalise
from labeling.opinions import Opinion, counted, opinions
from labeling.text_checks import Flag, check

if TYPE_CHECKING:
    from al_loop.config import LabelSettings

MOST_FOLLOW_UPS = 3
"""Repeats and adjudications of one utterance, whoever asked for them."""

SETTLED: Mapping[Settled, float] = {
    "agreed": 1.0,
    "adjudicated": 0.9,
    "voted": 0.8,
    "single": 0.8,
    "disputed": 0.1,
}
"""Ours. Two who agree are hardly both wrong; one is wrong as often as people mistype."""
FACTORS: Mapping[str, float] = {
    "unsure": 0.7,
    "unchanged_draft": 0.5,
    "other_script": 0.7,
    "foreign_letters": 0.7,
    "too_short": 0.5,
    "too_long": 0.5,
    "loop": 0.5,
    "markup": 0.9,
    "symbols": 0.9,
    "digits": 0.9,
}
"""Ours: a half for what puts the whole text in doubt, less for a word or a sign."""
LEAST = 0.1


@dataclass(frozen=True, slots=True)
class _Ruling:
    """How a case is settled. deciding: whose answer it is, or is nearest to what was voted; its
    text is the label's. backers: who say the same, within what counts as agreement, the deciding
    one among them. distance: the mean WER between the text and the others."""

    settled: Settled
    deciding: Opinion
    flags: tuple[Flag, ...]
    backers: int
    distance: float


class LabelJudge:
    """The rules above, for one language.

    gold_scores: by annotator, 1 - WER on gold tasks; only of those who are known well enough. Asked
    once, when the first label is settled.
    """

    def __init__(
        self,
        rule: LabelSettings,
        language: str,
        gold_scores: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._rule = rule
        self._language = language
        self._gold_scores = cache(gold_scores)

    def settle(self, case: Case) -> Label | None:
        """The label of an utterance; None where none of its answers counts.

        `annotation_ids` names every answer that was weighed, the deciding one first, then the
        latest first.
        """
        ruling = self._ruling(case)
        if ruling is None:
            return None
        answer, text = ruling.deciding.answer, ruling.deciding.text
        return Label(
            utterance_id=case.utterance.id,
            text=text,
            verdict=(answer.verdict or "skipped") if text is None else None,
            annotation_ids=[answer.id, *(row.id for row in counted(case) if row is not answer)],
            settled=ruling.settled,
            quality=self._quality(ruling),
            flags=[str(flag) for flag in ruling.flags],
        )

    def follow_ups(self, cases: Sequence[Case]) -> list[FollowUp]:
        """What should be asked again, and why; at most one task for an utterance."""
        return [found for case in cases if (found := self._follow_up(case)) is not None]

    # -- what it settles on ------------------------------------------------------------------------

    def _ruling(self, case: Case) -> _Ruling | None:
        everybody = opinions(case, self._rule, self._language)
        if not everybody:
            return None
        texts = [row for row in everybody if row.text is not None]
        verdicts = [row for row in everybody if row.text is None]
        usable = len(texts) > len(verdicts)
        if len(texts) == len(verdicts):
            adjudicator = _adjudicator(everybody)
            if adjudicator is None:
                return self._ruled("disputed", texts[-1], everybody)
            usable = adjudicator.text is not None
        if usable:
            return self._of_texts(case, texts, everybody)
        return self._ruled(_unopposed(verdicts, everybody), _most_frequent(verdicts), everybody)

    def _of_texts(
        self, case: Case, texts: Sequence[Opinion], everybody: Sequence[Opinion]
    ) -> _Ruling:
        apart = [[self._apart(one, other) for other in texts] for one in texts]
        # the one nearest to the others first, then the latest
        order = sorted(
            range(len(texts)), key=lambda place: (round(math.fsum(apart[place]), 9), -place)
        )
        nearest = [texts[place] for place in order]
        agree = [
            apart[one][other] <= self._rule.agree_wer
            for one in range(len(texts))
            for other in range(one)
        ]
        if all(agree):
            return self._ruled(_unopposed(texts, everybody), nearest[0], everybody)
        adjudicator = _adjudicator(texts)
        if adjudicator is None and len(texts) < 3:
            return self._ruled("disputed", nearest[0], everybody)
        if self._rule.disputes == "vote" and len(texts) > 2:
            return self._voted(case, nearest, everybody)
        deciding = nearest[0] if any(agree) else adjudicator or texts[-1]
        return self._ruled("adjudicated", deciding, everybody)

    def _voted(
        self, case: Case, nearest: Sequence[Opinion], everybody: Sequence[Opinion]
    ) -> _Ruling:
        """nearest: the texts, the one nearest to the others first, which wins ties."""
        words = rover(
            [(row.text or "").split() for row in nearest],
            key=lambda word: normalise(word, self._language) or word,
        )
        found = check(" ".join(words), case.utterance.duration_s, self._language, self._rule.digits)
        if any(flag.name == "empty" for flag in found.flags):
            return self._ruled("voted", nearest[0], everybody)
        closest = min(
            nearest, key=lambda row: compare(row.text or "", found.text, self._language).wer
        )
        repaired = tuple(flag for flag in closest.flags if flag.name == "repaired")
        voted = replace(closest, text=found.text, flags=(*repaired, *found.flags))
        return self._ruled("voted", voted, [voted if row is closest else row for row in everybody])

    def _ruled(self, settled: Settled, deciding: Opinion, everybody: Sequence[Opinion]) -> _Ruling:
        others = [row for row in everybody if row is not deciding]
        apart = [self._apart(deciding, row) for row in others]
        distance = math.fsum(apart) / len(apart) if apart else 0.0
        limit = self._rule.agree_wer
        agreeing = [row for row, wer in zip(others, apart, strict=True) if wer <= limit]
        backers = [deciding, *agreeing]
        flags = [*deciding.flags]
        if deciding.text is not None and all(row.answer.unsure for row in backers):
            flags.append(Flag("unsure", "whoever wrote it doubts it", grave=True))
        drafts = [row.suspect for row in backers if row.suspect is not None]
        if len(drafts) == len(backers):
            reason = f"its words stayed as shown, {max(drafts):.0%} of them expected to be wrong"
            flags.append(Flag("unchanged_draft", reason, grave=True))
        if len(backers) < len(everybody):
            reason = f"{len(everybody) - len(backers)} of {len(everybody)} annotators say otherwise"
            flags.append(Flag("dissent", f"{reason} (WER {distance:.0%} on average)"))
        if deciding.impossible:
            settled = "disputed"
        return _Ruling(settled, deciding, tuple(flags), len(backers), distance)

    def _apart(self, one: Opinion, other: Opinion) -> float:
        """The WER between two texts; 1 between a text and a verdict, 0 between verdicts."""
        if one.text is None or other.text is None:
            return float((one.text is None) != (other.text is None))
        return compare(one.text, other.text, self._language).wer

    def _quality(self, ruling: _Ruling) -> float:
        quality = SETTLED[ruling.settled] * (1 - ruling.distance)
        for flag in ruling.flags:
            quality *= FACTORS.get(flag.name, 1.0)
        if ruling.settled == "single":
            quality *= self._gold_scores().get(ruling.deciding.answer.annotator, 1.0)
        return max(round(quality, 3), LEAST)

    # -- what to ask again -------------------------------------------------------------------------

    def _follow_up(self, case: Case) -> FollowUp | None:
        asked = [task for task in case.tasks if task.kind in ("repeat", "adjudication")]
        awaited = any(task.open for task in case.tasks if task.kind != "gold")
        if awaited or len(asked) >= MOST_FOLLOW_UPS:
            return None
        ruling = self._ruling(case)
        if ruling is None:
            return None
        name, flags = case.utterance.id, {flag.name: flag for flag in ruling.flags}
        if ruling.settled == "disputed" and not ruling.deciding.impossible:
            return FollowUp(name, "adjudication", str(flags["dissent"]))
        misled = flags.get("too_long") or flags.get("unchanged_draft")
        emptied = any(task.kind == "repeat" and task.hypothesis == "" for task in asked)
        if misled and not emptied:
            return FollowUp(name, "repeat", str(misled), hypothesis="")
        grave = [flag for flag in ruling.flags if flag.grave]
        if grave and ruling.backers == 1 and not asked:
            return FollowUp(name, "repeat", str(grave[0]))
        return None


def _unopposed(side: Sequence[Opinion], everybody: Sequence[Opinion]) -> Settled:
    """How a side that agrees is settled."""
    if len(side) < len(everybody):
        return "adjudicated"
    return "agreed" if len(side) > 1 else "single"


def _adjudicator(everybody: Sequence[Opinion]) -> Opinion | None:
    """The last of those who answered an adjudication."""
    return next((row for row in reversed(everybody) if row.adjudicates), None)


def _most_frequent(verdicts: Sequence[Opinion]) -> Opinion:
    """The latest opinion with the most frequent verdict."""
    times = Counter(row.answer.verdict for row in verdicts)
    return max(
        enumerate(verdicts), key=lambda numbered: (times[numbered[1].answer.verdict], numbered[0])
    )[1]

"""What several answers to one utterance settle on."""

import pytest

from al_loop.records import Annotation, Verdict
from labeling.quality import settle


def answer(
    number: int, text: str | None, verdict: Verdict | None = None, utterance: str = "u1"
) -> Annotation:
    """An answer given at minute `number`."""
    time = f"2026-01-01T00:{number:02}:00.000000Z"
    return Annotation(str(number), "7", utterance, "1", text, verdict, 2.0, time, time)


def test_the_latest_answer_wins() -> None:
    label = settle([answer(1, "бир"), answer(3, "үч"), answer(2, "эки")])
    assert (label.utterance_id, label.text, label.verdict) == ("u1", "үч", None)
    assert label.annotation_ids == ["3", "2", "1"]


def test_a_later_verdict_wins_over_a_text() -> None:
    assert settle([answer(1, "бир"), answer(2, None, "bad_audio")]).verdict == "bad_audio"


def test_a_text_wins_over_a_later_skip() -> None:
    label = settle([answer(1, "бир"), answer(2, None, "skipped")])
    assert (label.text, label.verdict) == ("бир", None)
    assert label.annotation_ids == ["1", "2"]


def test_only_skips_make_a_skip() -> None:
    assert settle([answer(1, None, "skipped")]).verdict == "skipped"


def test_the_order_of_the_answers_does_not_matter() -> None:
    answers = [answer(1, "бир"), answer(2, None, "skipped"), answer(3, "үч")]
    assert settle(answers) == settle(answers[::-1])


@pytest.mark.parametrize("answers", [[], [answer(1, "а"), answer(2, "б", utterance="u2")]])
def test_one_utterance_at_a_time(answers: list[Annotation]) -> None:
    with pytest.raises(ValueError, match="one utterance"):
        settle(answers)

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from al_loop.demo.annotator import Answer, DemoAnnotator, human_answer, mistype, to_annotation
from al_loop.demo.corpus import read_sentences

ANSWERS = {hashlib.sha256(s.encode()).hexdigest(): s for s in read_sentences("ky")}


class FakeServer:
    """Tasks and annotations as Label Studio keeps them, without the network.

    annotations: by utterance and copy.
    """

    base_url = "http://label.studio.test"
    label_config = "<View/>"

    def __init__(self, utterance_ids: list[str]) -> None:
        self.annotations: dict[tuple[str, int], dict[str, Any]] = {}
        self.tasks = [
            {
                "id": 100 + index,
                "data": {
                    "utterance": utterance_id,
                    "round": 1,
                    "copy": utterance_ids[:index].count(utterance_id),
                    "duration_s": 2.5,
                    "hypothesis": "саат",
                },
                "total_annotations": 0,
                "cancelled_annotations": 0,
            }
            for index, utterance_id in enumerate(utterance_ids)
        ]

    def get(self, path: str, **params: Any) -> Any:
        if path == "/api/projects/5/":
            return {"label_config": self.label_config}
        assert (path, params["project"]) == ("/api/tasks", 5)
        assert params["page_size"] >= len(self.tasks)
        return {"tasks": self.tasks}

    def post(self, path: str, body: Any) -> Any:
        json.dumps(body)
        [task] = [t for t in self.tasks if path == f"/api/tasks/{t['id']}/annotations/"]
        task["cancelled_annotations" if body["was_cancelled"] else "total_annotations"] += 1
        key = task["data"]["utterance"], task["data"]["copy"]
        assert key not in self.annotations
        self.annotations[key] = body


def many_answers(count: int) -> list[tuple[str, Answer]]:
    rng = np.random.default_rng(0)
    texts = list(ANSWERS.values())
    return [(text, human_answer(text, 2.5, rng)) for text in (texts * count)[:count]]


def test_failings_are_as_frequent_as_stated() -> None:
    answers = many_answers(4000)
    verdicts = [answer.verdict for _, answer in answers if answer.text is None]
    assert 0.03 < len(verdicts) / len(answers) < 0.05
    assert set(verdicts) == {"skipped", "bad_audio"}
    pairs = [
        (said, typed)
        for text, answer in answers
        if answer.text is not None
        for said, typed in zip(text.split(), answer.text.split(), strict=True)
    ]
    typos = sum(said != typed for said, typed in pairs)
    assert 0.025 < typos / len(pairs) < 0.035


def test_an_answer_has_a_text_or_a_verdict() -> None:
    assert all((a.text is None) != (a.verdict is None) for _, a in many_answers(500))


def test_longer_clips_take_longer_and_some_answers_span_a_break() -> None:
    def lead_times_s(duration_s: float) -> list[float]:
        rng = np.random.default_rng(0)
        return [human_answer("саат канча", duration_s, rng).lead_time_s for _ in range(500)]

    short, long = lead_times_s(1.5), lead_times_s(4.5)
    assert 5 < np.median(short) < np.median(long) < 60
    assert 0.02 < np.mean(np.array(long) > 100) < 0.08


def test_a_typo_is_one_slip_of_the_fingers() -> None:
    rng = np.random.default_rng(0)
    assert {mistype("ат", rng) for _ in range(100)} == {"т", "аат", "та"}
    assert {mistype("үй", rng) for _ in range(100)} == {"уй", "й", "үүй", "йү"}


def test_every_task_is_answered_once_over_several_calls() -> None:
    server = FakeServer(list(ANSWERS)[:10])
    annotator = DemoAnnotator(server, 5, ANSWERS, seed=1)
    assert [annotator.answer_some(share) for share in (0.0, 0.35, 0.5, 1.0, 1.0)] == [0, 4, 3, 3, 0]
    assert len(server.annotations) == 10


def test_an_answer_does_not_depend_on_when_it_is_asked() -> None:
    ids = list(ANSWERS)[:60]
    servers = FakeServer(ids), FakeServer(ids[::-1])
    for server, share in zip(servers, (1.0, 0.5), strict=True):
        annotator = DemoAnnotator(server, 5, ANSWERS, seed=1)
        while annotator.answer_some(share):
            pass
    assert servers[0].annotations == servers[1].annotations


def test_who_is_asked_twice_need_not_mistype_the_same_word() -> None:
    names = list(ANSWERS)[:200]
    server = FakeServer(names * 2)
    assert DemoAnnotator(server, 5, ANSWERS, seed=1).answer_some(1.0) == 400
    first = [server.annotations[name, 0]["result"] for name in names]
    again = [server.annotations[name, 1]["result"] for name in names]
    assert 100 < sum(one == other for one, other in zip(first, again, strict=True)) < 200


def test_a_page_that_sends_what_it_showed_does_so() -> None:
    server = FakeServer(list(ANSWERS)[:1])
    server.label_config = '<TextArea name="shown" toName="audio" value="=$hypothesis"/>'
    DemoAnnotator(server, 5, ANSWERS, seed=1).answer_some(1.0)
    (body,) = server.annotations.values()
    parts = {part["from_name"]: part["value"] for part in body["result"]}
    assert parts["shown"] == {"text": ["=саат"]}


@pytest.mark.parametrize(
    ("answer", "from_name", "kind", "value"),
    [
        (Answer("саат канча", None, 9.5), "transcription", "textarea", {"text": ["саат канча"]}),
        (Answer(None, "bad_audio", 9.5), "verdict", "choices", {"choices": ["bad_audio"]}),
    ],
)
def test_an_answer_fits_the_labelling_interface(
    answer: Answer, from_name: str, kind: str, value: dict[str, Any]
) -> None:
    part = {"from_name": from_name, "to_name": "audio", "type": kind, "value": value}
    assert to_annotation(answer) == {"result": [part], "was_cancelled": False, "lead_time": 9.5}


def test_a_skip_says_nothing_more() -> None:
    body = to_annotation(Answer(None, "skipped", 3.0))
    assert body == {"result": [], "was_cancelled": True, "lead_time": 3.0}

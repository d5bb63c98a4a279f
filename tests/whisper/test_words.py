"""How sure a tiny Whisper is of texts that it is given, against one plain pass for each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from al_loop.config import ModelSettings
from al_loop.records import Utterance
from al_loop.whisper.batches import Clip, collate
from al_loop.whisper.checkpoints import Whisper, save
from al_loop.whisper.decode import Batch
from al_loop.whisper.features import log_mel
from al_loop.whisper.gradients import ALONE, Gradients
from al_loop.whisper.languages import prompt_ids
from al_loop.whisper.recognizer import WhisperRecognizer
from al_loop.whisper.words import spell, word_confidences

TEXTS = {
    "a": "Өмүр бою жаңы үйлөр",
    "b": "ооба",
    "c": " жыл-жыл,  🙂 1 234\nөңдүү ",
    "d": "",
}


@pytest.fixture
def sure(tiny: Whisper) -> Whisper:
    """As sure of its tokens as a real model."""
    with torch.no_grad():
        tiny.model.get_input_embeddings().weight *= 15
    return tiny


@pytest.fixture
def batch(sure: Whisper) -> Batch:
    mels = torch.randn(4, 80, 100, generator=torch.Generator().manual_seed(5))
    prompts = [prompt_ids(sure.model, code) for code in ("kk", "ru", "kk", "kk")]
    return Batch(list(TEXTS), mels, prompts, 1.0)


def part(batch: Batch, row: int) -> Batch:
    return replace(
        batch,
        ids=[batch.ids[row]],
        log_mel=batch.log_mel[row : row + 1],
        prompts=[batch.prompts[row]],
    )


@torch.no_grad()
def by_hand(whisper: Whisper, batch: Batch, text: str) -> list[float]:
    """The words of the only clip: tokens are decoded one by one to see where a word begins."""
    tokenizer = whisper.tokenizer
    tokens = tokenizer(" " + " ".join(text.split()), add_special_tokens=False).input_ids
    prompt = list(batch.prompts[0])
    logits = whisper.model(
        batch.log_mel, decoder_input_ids=torch.tensor([[*prompt, *tokens]])
    ).logits[0]
    found: dict[int, float] = {}
    for index, token in enumerate(tokens):
        begun = (tokenizer.decode(tokens[: index + 1]) + "x").split()
        probability = float(logits[len(prompt) - 1 + index].softmax(-1)[token])
        found[len(begun)] = min(found.get(len(begun), 1.0), probability)
    return list(found.values())


def test_it_is_the_least_probable_token_of_each_word(sure: Whisper, batch: Batch) -> None:
    found = word_confidences(sure, batch, TEXTS)
    assert [row.utterance_id for row in found] == list(TEXTS)
    assert [row.text for row in found] == list(TEXTS.values())
    assert [len(row.probabilities) for row in found] == [4, 1, 5, 0]
    for index, row in enumerate(found[:3]):
        expected = by_hand(sure, part(batch, index), row.text)
        assert row.probabilities == pytest.approx(expected, rel=1e-4)
    spread = [value for row in found for value in row.probabilities]
    assert max(spread) > 10 * min(spread) > 0


def test_words_do_not_depend_on_the_batch(sure: Whisper, batch: Batch) -> None:
    together = word_confidences(sure, batch, TEXTS)
    for index, row in enumerate(together):
        (alone,) = word_confidences(sure, part(batch, index), TEXTS)
        assert alone.probabilities == pytest.approx(row.probabilities, rel=1e-4)


def test_a_word_has_the_tokens_that_its_bytes_are_made_of(tiny: Whisper) -> None:
    text = "өңдүү <|kk|>? 🙂й жыл-жылы, Ү"
    spelled = spell(tiny, text)
    assert list(spelled.words) == sorted(spelled.words)
    for index, word in enumerate(text.split()):
        own = [
            token
            for token, place in zip(spelled.tokens, spelled.words, strict=True)
            if place == index
        ]
        assert tiny.tokenizer.decode(own) == f" {word}"
    assert tiny.model.generation_config.lang_to_id["<|kk|>"] not in spelled.tokens
    # one letter, two tokens, and the space is a token of its own
    assert len(spell(tiny, "ө").tokens) == 3


def test_what_the_decoder_cannot_hold_is_not_known(sure: Whisper, batch: Batch) -> None:
    words = ["саламатсызбы", "ө"] * 120
    text = " ".join(words)
    room = 448 - 4 + 1
    places = spell(sure, text).words
    assert len(places) > room
    (found,) = word_confidences(sure, part(batch, 0), {"a": text})
    known = [index for index, value in enumerate(found.probabilities) if not math.isnan(value)]
    whole = places[room] if places[room] != places[room - 1] else places[room - 1]
    assert known == list(range(whole))
    assert len(found.probabilities) == len(words)
    fitting = {"a": " ".join(words[:whole])}
    (short,) = word_confidences(sure, part(batch, 0), fitting)
    assert short.probabilities == pytest.approx(found.probabilities[:whole], rel=1e-4)


def test_a_wrong_word_is_doubted(tiny: Whisper, make_clip: Callable[..., Path]) -> None:
    """A model that has learned what two clips say doubts what it is told instead."""
    said = ["эки үч төрт", "жети өлкө он"]
    clips = [
        Clip(str(index), make_clip(f"{index}.wav", 0.5, seed=9 * index), text, "kk", 1.0)
        for index, text in enumerate(said)
    ]
    gradients = Gradients(tiny, tiny.model, 2, None, ALONE)
    optimiser = torch.optim.AdamW(tiny.model.parameters(), lr=0.01)
    for _ in range(60):
        gradients.fill(clips)
        optimiser.step()
    made = collate(tiny, clips)["input_features"]
    batch = Batch(["0", "1"], made, [prompt_ids(tiny.model, "kk")] * 2, 1.0)
    right = word_confidences(tiny, batch, {"0": said[0], "1": said[1]})
    assert min(value for row in right for value in row.probabilities) > 0.5
    first, second = word_confidences(tiny, batch, {"0": "эки өлкө төрт", "1": "жети үч он"})
    assert first.probabilities[0] == pytest.approx(right[0].probabilities[0], rel=1e-4)
    assert first.probabilities[1] < 0.1
    assert second.probabilities[1] < 0.1


def test_the_recognizer_confides_in_a_block(
    sure: Whisper, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    """In the clip's own window, behind the prompt of its language."""
    save(sure, tmp_path / "base", {})
    block = []
    for name, code in (("a", "kk"), ("b", "ru")):
        clip = make_clip(f"{name}.wav", 0.7, seed=ord(name) - 97)
        block.append(Utterance(name, name, str(clip), 0.7, "field", code, "pool"))
    settings = ModelSettings(device="cpu", padding_s=0.1, precision="float32")
    recognizer = WhisperRecognizer(tmp_path, settings)
    found = recognizer.confider("base", {"a": "бир өлкө", "b": "один"})(block)
    assert [len(row.probabilities) for row in found] == [2, 1]
    for row, utterance in zip(found, block, strict=True):
        mel = log_mel(sure.features, [Path(utterance.audio)], 1.0)
        alone = Batch([row.utterance_id], mel, [prompt_ids(sure.model, utterance.language)], 1.0)
        assert row.probabilities == pytest.approx(by_hand(sure, alone, row.text), rel=1e-4)
    (silent,) = recognizer.confider("base", {"a": " "})(block[:1])
    assert (silent.text, list(silent.probabilities)) == (" ", [])

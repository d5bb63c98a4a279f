"""Second opinions by a tiny Whisper: what they are, and that nothing but the seed moves them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from al_loop.config import ModelSettings
from al_loop.records import Alternatives, Doubt, Utterance
from al_loop.whisper.checkpoints import Whisper
from al_loop.whisper.decode import Batch, decode_batch, encode
from al_loop.whisper.doubt import (
    MAX_DRAW,
    TOGETHER,
    Perturbed,
    Reading,
    drawn_tokens,
    draws,
    expected_gradient_length,
    gradient_length,
    greedy_readings,
    opinions,
    sampled_readings,
)
from al_loop.whisper.languages import prompt_ids, timestamp_ids
from al_loop.whisper.recognizer import WhisperRecognizer

WINDOW_S = 1.0


def doubt(kind: str, count: int = 2, strength: float = 0.05, seed: int = 7) -> Doubt:
    return Doubt(kind, count, strength, seed)  # type: ignore[arg-type]


@pytest.fixture
def batch(ending: Whisper) -> Batch:
    """Clips, and a model that is as sure of its tokens as a real one."""
    with torch.no_grad():
        ending.model.get_input_embeddings().weight *= 15
    mels = torch.randn(3, 80, 100, generator=torch.Generator().manual_seed(5))
    mels *= torch.tensor([0.1, 2, 4])[:, None, None]
    return Batch(["a", "b", "c"], mels, [prompt_ids(ending.model, "kk")] * 3, WINDOW_S)


def part(batch: Batch, rows: Sequence[int]) -> Batch:
    return Batch(
        [batch.ids[row] for row in rows],
        batch.log_mel[list(rows)],
        [batch.prompts[row] for row in rows],
        batch.window_s,
    )


def assert_same(found: Alternatives, expected: Alternatives) -> None:
    assert (found.utterance_id, found.texts) == (expected.utterance_id, expected.texts)
    assert found.log_probs == pytest.approx(expected.log_probs, rel=1e-4, nan_ok=True)
    assert (found.gradient_length is None) == (expected.gradient_length is None)
    if found.gradient_length is not None:
        assert found.gradient_length == pytest.approx(expected.gradient_length, rel=1e-4)


@pytest.mark.parametrize("kind", ["sampled", "perturbed", "gradient"])
def test_opinions_depend_on_seed_and_utterance_alone(
    ending: Whisper, batch: Batch, kind: str
) -> None:
    opine = opinions(ending, doubt(kind))
    together = {row.utterance_id: row for row in opine(batch)}
    assert list(together) == ["a", "b", "c"]
    again = opinions(ending, doubt(kind))
    for rows in ([2, 0], [1]):
        for found in again(part(batch, rows)):
            assert_same(found, together[found.utterance_id])
    other = opinions(ending, doubt(kind, strength=0.5, seed=8))(batch)
    assert [row.texts for row in other] != [row.texts for row in together.values()]


def test_more_alternatives_leave_the_first_as_they_are(ending: Whisper, batch: Batch) -> None:
    few = opinions(ending, doubt("sampled", 2))(batch)
    many = opinions(ending, doubt("sampled", TOGETHER + 1))(batch)
    for row, longer in zip(few, many, strict=True):
        assert len(longer.texts) == TOGETHER + 1
        assert len(set(longer.texts)) > 1
        assert_same(replace(longer, texts=longer.texts[:2], log_probs=longer.log_probs[:2]), row)


def test_clips_that_sound_alike_are_drawn_apart(ending: Whisper, batch: Batch) -> None:
    twins = replace(part(batch, [0, 0]), ids=["a", "b"])
    first, second = opinions(ending, doubt("sampled"))(twins)
    assert first.texts != second.texts
    assert draws("a", doubt("sampled"), 9).shape == (2, 9)


def test_tokens_are_drawn_by_their_probability() -> None:
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.2, 0.3, 0.0])
    chances = torch.linspace(0, MAX_DRAW, 10_001)
    tokens = drawn_tokens(probabilities.log().expand(len(chances), -1), chances)
    shares = torch.bincount(tokens, minlength=6) / len(chances)
    torch.testing.assert_close(shares, probabilities, atol=1e-3, rtol=0)
    assert (tokens[0], tokens[-1]) == (1, 4)


def test_log_probs_are_of_the_whole_text_with_its_end(ending: Whisper, batch: Batch) -> None:
    """Against one forward pass per text, suppressed by hand."""
    model, generation = ending.model, ending.model.generation_config
    encoded = encode(model, batch.log_mel)
    readings = sampled_readings(model, encoded, batch, doubt("sampled"))
    greedy = greedy_readings(model, encoded, batch)
    banned = [
        *generation.suppress_tokens,
        *generation.lang_to_id.values(),
        *generation.task_to_id.values(),
        *timestamp_ids(model),
    ]
    checked = 0
    for row, (some, best) in enumerate(zip(readings, greedy, strict=True)):
        for reading in [*some, best]:
            prompt, tokens = batch.prompts[row], list(reading.tokens)
            with torch.no_grad():
                logits = model(
                    batch.log_mel[row : row + 1],
                    decoder_input_ids=torch.tensor([[*prompt, *tokens[:-1]]]),
                ).logits[0, len(prompt) - 1 :]
            logits[:, banned] = -torch.inf
            logits[0, generation.begin_suppress_tokens] = -torch.inf
            expected = logits.log_softmax(-1)[range(len(tokens)), tokens].sum()
            assert reading.log_prob == pytest.approx(float(expected), rel=1e-4)
            checked += 1
    assert checked == 9
    said = [row.tokens for row in decode_batch(model, batch.log_mel, batch.prompts, WINDOW_S)]
    end = generation.eos_token_id
    assert [[token for token in row.tokens if token != end] for row in greedy] == said


def test_perturbed_models_differ_in_their_matrices_alone(ending: Whisper) -> None:
    model = ending.model
    before = {name: row.clone() for name, row in model.state_dict().items()}
    perturbed = Perturbed(model, doubt("perturbed", strength=0.1))
    first = {name: row.clone() for name, row in perturbed.model(0).state_dict().items()}
    second = {name: row.clone() for name, row in perturbed.model(1).state_dict().items()}
    again = perturbed.model(0).state_dict()
    changed = set()
    for name, clean in before.items():
        torch.testing.assert_close(model.state_dict()[name], clean, rtol=0, atol=0)
        torch.testing.assert_close(again[name], first[name], rtol=0, atol=0)
        if not torch.equal(first[name], clean):
            changed.add(name)
            assert not torch.equal(first[name], second[name])
            noise = (first[name] - clean).std() / clean.std()
            assert noise == pytest.approx(0.1, rel=0.35)  # the smallest has 256 weights
    matrices = {name for name, row in before.items() if row.ndim > 1 and "embed" not in name}
    assert changed == matrices - {"proj_out.weight"}
    assert "model.encoder.conv1.weight" in changed


def test_without_noise_a_perturbed_model_says_the_same(ending: Whisper, batch: Batch) -> None:
    said = decode_batch(ending.model, batch.log_mel, batch.prompts, WINDOW_S)
    texts = [ending.tokenizer.decode(row.tokens).strip() for row in said]
    for row, text in zip(opinions(ending, doubt("perturbed", 1, 1e-9))(batch), texts, strict=True):
        assert row.texts == [text]
        assert math.isnan(row.log_probs[0])
        assert row.gradient_length is None


def autograd_length(
    whisper: Whisper, mel: torch.Tensor, prompt: list[int], text: list[int]
) -> float:
    model = whisper.model
    model.proj_out.weight = torch.nn.Parameter(model.proj_out.weight.detach().clone())  # untied
    logits = model(mel, decoder_input_ids=torch.tensor([[*prompt, *text[:-1]]])).logits
    loss = torch.nn.functional.cross_entropy(
        logits[0, len(prompt) - 1 :], torch.tensor(text), reduction="sum"
    )
    (gradient,) = torch.autograd.grad(loss, model.proj_out.weight)
    return float(gradient.norm())


def test_the_gradient_is_autograds(ending: Whisper, batch: Batch) -> None:
    encoded = encode(ending.model, batch.log_mel)
    prompt = list(batch.prompts[0])
    texts = [[500, 600, 500, 1234], [77]]
    for row in range(2):
        for text in texts:
            with torch.inference_mode():
                found = gradient_length(ending.model, encoded[row], prompt, text)
            expected = autograd_length(ending, batch.log_mel[row : row + 1], prompt, text)
            assert found == pytest.approx(expected, rel=1e-4)


def test_the_expectation_is_over_distinct_texts(ending: Whisper, batch: Batch) -> None:
    encoded, prompt = encode(ending.model, batch.log_mel)[0], batch.prompts[0]
    one, two = Reading((500, 600), math.log(0.1)), Reading((77,), math.log(0.3))
    with torch.inference_mode():
        lengths = [gradient_length(ending.model, encoded, prompt, row.tokens) for row in (one, two)]
    found = expected_gradient_length(ending.model, encoded, prompt, [one, two, one, one])
    assert found == pytest.approx(0.25 * lengths[0] + 0.75 * lengths[1], rel=1e-5)


@pytest.mark.parametrize("kind", ["sampled", "perturbed", "gradient"])
def test_the_recognizer_doubts_a_block(
    tiny_folder: Path, make_clip: Callable[..., Path], kind: str
) -> None:
    block = []
    for name in ("a", "b"):
        clip = make_clip(f"{name}.wav", 0.5, seed=ord(name) - 97)
        block.append(Utterance(name, name, str(clip), 0.5, "field", "kk", "pool"))
    settings = ModelSettings(device="cpu", padding_s=0.1)
    recognizer = WhisperRecognizer(tiny_folder.parent, settings)
    found = recognizer.doubter("whisper", doubt(kind))(block)
    assert [row.utterance_id for row in found] == ["a", "b"]
    for row in found:
        assert len(row.texts) == len(row.log_probs) == 2
        assert all(log_prob < 0 for log_prob in row.log_probs) or kind == "perturbed"
        assert (row.gradient_length or 0) > 0 or kind != "gradient"

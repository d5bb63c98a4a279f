from pathlib import Path

import pytest
import torch
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from al_loop.errors import ModelError
from al_loop.languages import ISO_639_3, WHISPER_LANGUAGES
from al_loop.whisper.checkpoints import Whisper, load, save
from al_loop.whisper.languages import Language, ensure_language, prompt_ids, timestamp_ids


def test_our_list_of_languages_is_that_of_transformers() -> None:
    assert set(LANGUAGES) == WHISPER_LANGUAGES
    assert ISO_639_3.keys() == {*WHISPER_LANGUAGES, "ky"}
    assert {len(code) for code in ISO_639_3.values()} == {3}


KY = Language("ky", "kk")


def test_a_new_token_starts_from_its_donor_behind_the_timestamps(tiny: Whisper) -> None:
    embeddings = tiny.model.get_input_embeddings().weight.detach().clone()
    donor = tiny.model.generation_config.lang_to_id["<|kk|>"]
    assert ensure_language(tiny.model, tiny.tokenizer, KY)
    token = tiny.tokenizer.convert_tokens_to_ids("<|ky|>")
    assert token == 51865 == tiny.model.config.vocab_size - 1
    assert timestamp_ids(tiny.model) == range(50364, 51865)
    assert tiny.tokenizer.convert_ids_to_tokens([50364, 51864]) == ["<|0.00|>", "<|30.00|>"]
    grown = tiny.model.get_input_embeddings().weight
    torch.testing.assert_close(grown[:-1], embeddings)
    torch.testing.assert_close(grown[-1], embeddings[donor])
    assert tiny.model.proj_out.weight.data_ptr() == grown.data_ptr()
    assert prompt_ids(tiny.model, "ky") == [50258, 51865, 50359, 50363]
    assert not ensure_language(tiny.model, tiny.tokenizer, KY)


def test_a_saved_checkpoint_keeps_the_language(tiny: Whisper, tmp_path: Path) -> None:
    ensure_language(tiny.model, tiny.tokenizer, KY)
    save(tiny, tmp_path / "saved", {"made_from": "a test"})
    again = load(str(tmp_path / "saved"))
    assert prompt_ids(again.model, "ky") == prompt_ids(tiny.model, "ky")
    assert again.tokenizer.convert_tokens_to_ids("<|ky|>") == 51865
    for before, after in zip(
        tiny.model.state_dict().values(), again.model.state_dict().values(), strict=True
    ):
        assert torch.equal(before, after)
    ids = again.tokenizer(" Өңүң өчүптүр", add_special_tokens=False).input_ids
    assert ids == tiny.tokenizer(" Өңүң өчүптүр", add_special_tokens=False).input_ids
    assert again.tokenizer.decode([51865, *ids], skip_special_tokens=True) == " Өңүң өчүптүр"
    assert not (tmp_path / "saved" / "pytorch_model.bin").exists()
    assert (tmp_path / "saved" / "model.safetensors").exists()


@pytest.mark.parametrize("word", ["Үкөм", "өрүк", "ңа", "саламдас"])
def test_every_word_may_be_the_first(tiny: Whisper, word: str) -> None:
    ensure_language(tiny.model, tiny.tokenizer, KY)
    first, *_ = tiny.tokenizer(f" {word}", add_special_tokens=False).input_ids
    generation = tiny.model.generation_config
    assert first not in [*generation.suppress_tokens, *generation.begin_suppress_tokens]
    assert generation.eos_token_id in generation.begin_suppress_tokens


@pytest.mark.parametrize("options", [{}, {"language": "<|ky|>"}])
def test_generate_opens_with_the_language(
    tiny: Whisper, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    """What others call on the saved checkpoint feeds the decoder our prompt."""
    ensure_language(tiny.model, tiny.tokenizer, KY)
    fed: list[torch.Tensor] = []
    forward = tiny.model.get_decoder().forward

    def record(input_ids: torch.Tensor, **kwargs: object) -> object:
        fed.append(input_ids)
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(tiny.model.get_decoder(), "forward", record)
    tiny.model.generate(torch.zeros(1, 80, 3000), max_new_tokens=2, **options)
    assert fed[0].tolist() == [prompt_ids(tiny.model, "ky")]


def test_an_existing_token_is_used_as_it_is(tiny: Whisper) -> None:
    assert not ensure_language(tiny.model, tiny.tokenizer, Language("kk", "kk"))
    assert tiny.model.config.vocab_size == 51865
    assert tiny.model.generation_config.language == "<|kk|>"


def test_unknown_languages_are_named(tiny: Whisper) -> None:
    with pytest.raises(ModelError, match=r"model.donor = 'xx': the model knows only af, am"):
        ensure_language(tiny.model, tiny.tokenizer, Language("ky", "xx"))
    with pytest.raises(ModelError, match="no token for language 'ky'"):
        prompt_ids(tiny.model, "ky")

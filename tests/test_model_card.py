"""The model card: valid for the hub, and no more than the data say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import ModelCard

from al_loop.config import TrainSettings
from al_loop.errors import ConfigError
from al_loop.model_card import Facts, Form, gather, model_card
from al_loop.records import Checkpoint
from storage.queries import Reader
from storage.store import Store

from .fakes import make_world

TRANSFORMERS = Form("round-000-abc-transformers", "transformers", "float16", "ky")
CTRANSLATE2 = Form("round-000-abc-ctranslate2-int8", "ctranslate2", "int8", "kk")
BASE = {
    "made_from": "packaged:whisper-base",
    "model": {"language": "ky"},
    "token_started_from": "kk",
}


def rates(name: str, language: str, wer: float, kind: str = "synthetic") -> dict[str, Any]:
    return {
        "evaluation_set": name,
        "language": language,
        "kind": kind,
        "utterances": 40,
        "normaliser": "2",
        **{f"wer{end}": wer + by for end, by in (("", 0.0), ("_low", -0.1), ("_high", 0.1))},
        **{f"cer{end}": wer / 2 + by for end, by in (("", 0.0), ("_low", -0.1), ("_high", 0.1))},
    }


def mixture(source: str, language: str, kind: str = "synthetic") -> dict[str, Any]:
    return {
        "source": source,
        "kind": kind,
        "language": language,
        "examples": 100,
        "duration_s": 5400.0,
        "target_share": 0.5,
        "realised_share": 0.485,
    }


FACTS = Facts(
    name="round-000-abc",
    base_model="openai/whisper-base",
    licence="mit",
    sidecar={
        "settings": TrainSettings().model_dump(),
        "seed": 7,
        "steps": 12,
        "draws": 96,
        "device": "cpu",
        "versions": {"torch": "2.13.0"},
    },
    base=BASE,
    decision="promoted: demo_ky -40.0 points of WER (-50.0 to -30.0)",
    mixture=[mixture("demo_ky", "ky"), mixture("demo_ru", "ru")],
    rates=[rates("demo_ky", "ky", 0.5), rates("demo_ru", "ru", 0.2)],
    base_rates=[rates("demo_ky", "ky", 0.9)],
    silence={"clips": 20, "hallucinated": 3},
    rounds=[
        {
            "round": 0,
            "labelled": 0,
            "labelled_min": 0.0,
            "decision": "promoted: demo_ky | <b>better</b>",
            "by_hand": None,
        }
    ],
)


def section(card: str, title: str) -> str:
    return card.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0]


@pytest.mark.parametrize("form", [TRANSFORMERS, CTRANSLATE2])
def test_the_front_matter_is_what_the_hub_reads(form: Form) -> None:
    data = ModelCard(model_card(FACTS, form)).data
    assert data.language == ["ky", "ru"]
    assert data.license == "mit"
    assert data.base_model == "openai/whisper-base"
    assert data.library_name == form.format
    assert data.pipeline_tag == "automatic-speech-recognition"
    assert data.metrics == ["wer", "cer"]


def test_a_language_whose_code_yaml_takes_for_a_truth_value_stays_a_code() -> None:
    facts = replace(FACTS, mixture=[mixture("nst", "no")])
    assert ModelCard(model_card(facts, TRANSFORMERS)).data.language == ["ky", "no"]


def test_a_base_from_a_folder_is_no_model_of_the_hub() -> None:
    facts = replace(FACTS, base_model=None, licence=None)
    card = model_card(facts, TRANSFORMERS)
    assert ModelCard(card).data.base_model is None
    assert ModelCard(card).data.license == "unknown"
    assert "no licence that we found; ask before you publish" in section(card, "Licence")


def test_data_and_shares_are_those_of_the_mixture() -> None:
    shown = section(model_card(FACTS, TRANSFORMERS), "Training data")
    assert "| demo_ky | synthetic | ky | 100 | 1.50 | 50.0 | 48.5 |" in shown


def test_models_behind_the_data_are_listed_with_a_warning() -> None:
    assert "Models behind the data" not in model_card(FACTS, TRANSFORMERS)
    made = [
        {"maker": "facebook/mms-tts-kir", "examples": 7, "licence": "cc-by-nc-4.0"},
        {"maker": "spelling@1", "examples": 2, "licence": None},
    ]
    card = model_card(replace(FACTS, makers=made), TRANSFORMERS)
    shown = section(card, "Models behind the data")
    assert "| `facebook/mms-tts-kir` | 7 | cc-by-nc-4.0 |" in shown
    assert "| `spelling@1` | 2 | not on record |" in shown
    assert "**The licence of `facebook/mms-tts-kir` forbids commercial use**" in shown
    free = model_card(replace(FACTS, makers=made[1:]), TRANSFORMERS)
    assert "forbids" not in free


def test_error_rates_come_with_intervals_and_with_those_of_the_base() -> None:
    shown = section(model_card(FACTS, TRANSFORMERS), "Error rates")
    assert (
        "| demo_ky | ky | synthetic | 40 | 50.0 (40.0 to 60.0) | 25.0 (15.0 to 35.0) | 90.0 |"
    ) in shown
    assert "| demo_ru | ru | synthetic | 40 | 20.0 (10.0 to 30.0) " in shown
    assert "In 3 of 20 clips in which nobody speaks it heard words." in shown
    assert "nobody speaks" not in model_card(replace(FACTS, silence=None), TRANSFORMERS)


def test_a_rate_of_the_base_stands_only_beside_one_of_the_same_clips() -> None:
    grown = replace(FACTS, base_rates=[{**rates("demo_ky", "ky", 0.9), "utterances": 39}])
    assert "25.0 (15.0 to 35.0) |  |" in section(model_card(grown, TRANSFORMERS), "Error rates")


def test_the_base_s_own_card_speaks_of_no_training_data() -> None:
    assert "in the training data above" in model_card(FACTS, TRANSFORMERS)
    assert "the training data above" not in model_card(replace(FACTS, mixture=[]), TRANSFORMERS)


def test_no_card_shows_where_a_folder_lies() -> None:
    base = {**BASE, "made_from": "/home/aida/models/whisper-mine"}
    facts = replace(FACTS, base=base, base_model=None)
    for mixture_rows in (FACTS.mixture, []):
        for licence in ("mit", None):
            card = model_card(replace(facts, mixture=mixture_rows, licence=licence), TRANSFORMERS)
            assert "`whisper-mine`" in card
            assert "/home" not in card


def test_every_training_setting_is_named() -> None:
    shown = section(model_card(FACTS, TRANSFORMERS), "Training settings")
    for name in TrainSettings.model_fields:
        assert f"| `{name}` | " in shown
    assert "12 steps over 96 draws, seed 7, on cpu; torch 2.13.0." in shown


def test_limits_are_those_of_the_data() -> None:
    shown = section(model_card(FACTS, TRANSFORMERS), "Limits")
    assert "Every evaluation set is synthetic speech" in shown
    assert "trained on synthetic speech alone" in shown
    people = replace(
        FACTS,
        rates=[*FACTS.rates, rates("radio", "ky", 0.4, "in_house")],
        mixture=[mixture("radio", "ky", "in_house")],
    )
    assert "synthetic speech" not in model_card(people, TRANSFORMERS)
    assert "measured on no evaluation set" in model_card(replace(FACTS, rates=[]), TRANSFORMERS)


def test_a_language_that_was_measured_is_not_among_those_that_were_not() -> None:
    one = replace(FACTS, mixture=[mixture("demo_ky", "ky")])
    limits = section(model_card(one, TRANSFORMERS), "Limits")
    assert "trained on `ky` and without" in limits
    assert "other languages of Whisper except `ru`, and its" in limits
    assert "other languages of Whisper, and its" in model_card(FACTS, TRANSFORMERS)


def test_a_rejected_checkpoint_says_so() -> None:
    facts = replace(FACTS, decision="rejected: demo_ru got worse by +5.0 points")
    limits = section(model_card(facts, TRANSFORMERS), "Limits")
    assert "The promotion gate rejected this checkpoint: demo_ru got worse" in limits


def test_ctranslate2_s_form_says_by_which_code_the_language_is_asked_for() -> None:
    card = model_card(FACTS, CTRANSLATE2)
    assert 'language="kk"' in section(card, "Use")
    assert "in the place of `<|kk|>`" in card
    assert "Whisper's own `kk` cannot be asked for in this form." in section(card, "Limits")
    assert "kk" not in section(model_card(FACTS, TRANSFORMERS), "Use")


def test_a_listed_language_takes_nobody_s_place() -> None:
    base = {**BASE, "model": {"language": "kk"}, "token_started_from": None}
    card = model_card(replace(FACTS, base=base), replace(CTRANSLATE2, code="kk"))
    assert "in the place of" not in card
    assert "cannot be asked for" not in card


def test_a_token_that_the_base_had_already_takes_another_s_place_too() -> None:
    base = {**BASE, "token_started_from": None}
    card = model_card(replace(FACTS, base=base), CTRANSLATE2)
    assert "was added" not in card
    assert "`<|ky|>` stands in the place of `<|kk|>`" in card
    assert "Whisper's own `kk` cannot be asked for in this form." in section(card, "Limits")


def test_foreign_text_breaks_no_table() -> None:
    card = model_card(FACTS, TRANSFORMERS)
    (line,) = [row for row in card.splitlines() if row.startswith("| 0 |")]
    assert line == "| 0 | 0 | 0.0 | promoted: demo_ky \\| &lt;b>better&lt;/b> |  |"


def test_the_facts_are_those_of_the_database(store: Store) -> None:
    world = make_world(store)
    world.advance()
    world.store.promote(world.store.find_checkpoint("base").id, "slow")
    for name in ("round-000", "base"):
        found = world.store.find_checkpoint(name)
        facts = gather(world.reader(), found.id, lambda base: ("hub/it", "mit"))
        assert (facts.name, facts.licence) == (found.name, "mit")
        assert facts.base_model == "hub/it"
        assert facts.base["made_from"] == "packaged:whisper-base"
        assert [row["evaluation_set"] for row in facts.rates] == ["held_out"]
        assert model_card(facts, TRANSFORMERS)
    assert (facts.rounds, facts.mixture, facts.decision) == ([], [], None)
    assert "as it is, not fine-tuned" in model_card(facts, TRANSFORMERS)
    trained = world.store.find_checkpoint("round-000")
    facts = gather(world.reader(), trained.id, lambda base: (None, None))
    assert facts.rates[0]["wer"] < facts.base_rates[0]["wer"]
    assert [row["source"] for row in facts.mixture] == ["books"]
    assert facts.rounds[0]["by_hand"] == "base: slow"


@pytest.mark.parametrize("sidecar", [{}, {**BASE, "model": {"language": "ky"}}])
def test_a_base_that_does_not_say_what_it_is_is_an_error(
    store: Store, sidecar: dict[str, Any]
) -> None:
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, sidecar))
    reader = Reader(store.workspace)
    with pytest.raises(ConfigError, match=r"of base lacks .*donor"):
        gather(reader, "base", lambda base: (None, None))
    reader.close()

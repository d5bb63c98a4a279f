"""A translation model of transformers as a `Translator`: NLLB, M2M100, mBART, Marian.

Knows no lines and no files; torch is loaded when a model is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from al_loop.errors import ModelError
from al_loop.sources.book_words import ISO_639_3
from al_loop.sources.model_licence import licence_of, model_name

LONGEST = 256
"""Tokens of a translated line; more is no sentence that one says in 30 s."""
_MARKS = re.compile(r"^(?:__(?P<m2m>.+)__|>>(?P<marian>.+)<<)$")


class Seq2SeqTranslator:
    """The translator. place: a folder, or a name on the hub.

    source, target: languages as Whisper's codes, or as the model calls them, such as kir_Cyrl.
    Raises ModelError where the model cannot be had, or does not know a language.
    """

    def __init__(self, place: str, source: str, target: str, device: str = "cpu") -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        self.name = model_name(place)
        try:
            self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(place).to(device).eval()
            self._tokenizer: Any = AutoTokenizer.from_pretrained(place)
        except ImportError as exc:
            raise ModelError(
                f"the tokenizer of {place} needs sentencepiece, which is not installed: "
                "pip install 'al-loop[synthesis]'"
            ) from exc
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as exc:
            raise ModelError(
                f"{place} cannot be read as a translation model: {exc}. Expected a folder, or the "
                "name of one on the hub, as facebook/nllb-200-distilled-600M"
            ) from exc
        self.licence = licence_of(place)
        self._model.generation_config.max_length = None  # `LONGEST` says it
        places = getattr(self._model.config, "max_position_embeddings", LONGEST + 2)
        self._options: dict[str, Any] = {"max_new_tokens": min(LONGEST, places - 2)}
        self._prefix = ""
        self.id = f"{self.name} {self._tell(source, target)}"

    def translate(self, texts: Sequence[str]) -> list[str]:
        """As the port says; the most probable text that the model's own beam search finds.

        "" where it finds no end: then it repeats itself.
        """
        import torch

        given = self._tokenizer(
            [self._prefix + text for text in texts],
            return_tensors="pt",
            padding=True,
            truncation=True,
        ).to(self._model.device)
        with torch.no_grad():
            ids = self._model.generate(**given, **self._options, do_sample=False).cpu()
        # the first token is the decoder's start, which some models make of the end
        ended = (ids[:, 1:] == self._tokenizer.eos_token_id).any(dim=1).tolist()
        found = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() if end else "" for text, end in zip(found, ended, strict=True)]

    def _tell(self, source: str, target: str) -> str:
        """Tell the model its languages, where it can be told. Returns what it was told."""
        tokens = list(self._tokenizer.get_vocab())
        tokens += list(map(str, self._tokenizer.all_special_tokens))
        if hasattr(self._tokenizer, "src_lang"):
            codes = _codes(tokens)
            said = find_code(source, codes, self.name)
            self._tokenizer.src_lang = said
            to = find_code(target, codes, self.name)
            self._options["forced_bos_token_id"] = self._tokenizer.convert_tokens_to_ids(codes[to])
            return f"{said} to {to}"
        codes = {code: token for code, token in _codes(tokens).items() if token.startswith(">>")}
        if codes:
            to = find_code(target, codes, self.name)
            self._prefix = f"{codes[to]} "
            return f"{source} to {to}"
        return f"{source} to {target}"


def _codes(tokens: Iterable[str]) -> dict[str, str]:
    """The model's languages, and the token of each."""
    found = {}
    for token in tokens:
        if mark := _MARKS.match(token):
            found[mark["m2m"] or mark["marian"]] = token
        elif re.match(r"^[a-z]{2,3}_[A-Z]", token):
            found[token] = token
    return found


def find_code(language: str, codes: Iterable[str], name: str) -> str:
    """What the model calls a language. Raises ModelError where it knows none, or several."""
    known = sorted(codes)
    if language in known:
        return language
    names = {language, ISO_639_3.get(language, language)}
    found = [code for code in known if re.split(r"[_-]", code)[0] in names]
    if len(found) == 1:
        return found[0]
    expected = found or known
    some = ", ".join(expected[:30]) + (" …" if len(expected) > 30 else "")
    raise ModelError(
        f"{name} has {'several languages' if found else 'no language'} {language!r}; name it as "
        f"the model does, one of: {some or '(none)'}"
    )

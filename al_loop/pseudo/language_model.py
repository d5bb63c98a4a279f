"""A small language model over words: its file, and what it says of a text.

`al_loop.pseudo.kneser_ney` estimates it, ARPA is its file format, and KenLM (Heafield, "KenLM:
faster and smaller language model queries", WMT 2011; LGPL, the extra `lm`) reads it. Texts come
normalised (`al_loop.text.normalise`): words parted by spaces. Knows neither audio nor language.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from al_loop.errors import ModelError
from al_loop.pseudo.kneser_ney import arpa, estimate

if TYPE_CHECKING:
    import kenlm

NATS = math.log(10)
"""In one unit of KenLM's, which counts in powers of ten."""


def write_arpa(texts: Iterable[str], path: Path, order: int = 3) -> None:
    """The model of normalised texts as an ARPA file. A file of the name is replaced as a whole.

    Raises ModelError where no text has a word, ValueError for an order outside 2 to 6.
    """
    kept = [text for text in texts if text.split()]
    if not kept:
        raise ModelError("no text has a word: label or import some before a language model is made")
    lines = arpa(estimate(kept, order))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
    partial.replace(path)


class LanguageModel:
    """An ARPA file, or KenLM's own binary form of one. Raises ModelError where it cannot be read,
    and where KenLM is not installed."""

    def __init__(self, path: Path) -> None:
        self._model = _read(path)

    def score(self, text: str) -> float:
        """log p of a normalised text with its beginning and end, in nats; at most 0.

        Longer texts score lower. Unknown words all count as one and the same.
        """
        return float(self._model.score(" ".join(text.split()), bos=True, eos=True)) * NATS


def _read(path: Path) -> kenlm.Model:
    try:
        import kenlm
    except ImportError as exc:
        raise ModelError(
            "language models are read by the package kenlm, which is not installed: "
            "pip install 'al-loop[lm]' (it needs a C++ compiler)"
        ) from exc
    if not path.is_file():
        raise ModelError(f"there is no language model at {path}: make one first")
    quietly = kenlm.Config()
    quietly.show_progress = False
    quietly.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), quietly)
    except (OSError, RuntimeError) as exc:
        raise ModelError(f"{path} is no language model that KenLM can read: {exc}") from exc

"""Training examples that an evaluation set holds too, under another name. Pure.

A recogniser that has seen a test utterance, or only its sentence, is measured too well. Sources
overlap without anybody's fault: the same clip in two data sets, the same short command on both
sides; or a sentence that a longer text says too, as those do that are cut out of a reading. Such an
example is left out of training, and named; where they are many, the sets were not drawn apart, and
leaving them out would hide it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from al_loop.errors import WorkspaceError
from al_loop.records import Example, Leak, Utterance
from al_loop.text import normalise

SHOWN = 3
RUN = 5
"""Words of a text that is looked for inside longer ones: what is shorter, people say by chance.
Ours."""


class Sentences:
    """Normalised texts, found where they are said alone, or as a run of words inside a longer text.

    Looked for inside longer texts are those of `RUN` words or more, and only as a whole.
    """

    def __init__(self, texts: Iterable[tuple[str, str, str]]) -> None:
        """texts: language, text and the id of whoever says it; of the same text the last counts."""
        self._whole: dict[tuple[str, str], str] = {}
        self._runs: dict[tuple[str, ...], dict[int, dict[tuple[str, ...], str]]] = {}
        for language, said, id_ in texts:
            self._whole[language, said] = id_
            words = tuple(said.split())
            if len(words) >= RUN:
                begun = self._runs.setdefault((language, *words[:RUN]), {})
                begun.setdefault(len(words), {})[words] = id_

    def find(self, language: str, said: str) -> Iterator[str]:
        """The id of the text that this one is, then of those it has inside; linear in its words.

        said: normalised.
        """
        whole = self._whole.get((language, said))
        if whole is not None:
            yield whole
        words = tuple(said.split())
        for place in range(len(words) - RUN + 1):
            for size, runs in self._runs.get((language, *words[place : place + RUN]), {}).items():
                inside = runs.get(words[place : place + size])
                if inside is not None and size < len(words):
                    yield inside


def find_leaks(
    examples: Iterable[Example],
    sample_hashes: Mapping[str, str],
    evaluation: Sequence[Utterance],
) -> list[Leak]:
    """The examples that share their samples, or normalised text and language, with `evaluation`.

    A text inside the example's is shared too, as `Sentences` says. sample_hashes: by utterance id,
    of the examples. An example that itself is an utterance of `evaluation` is no leak but a fault,
    which the manifest refuses.
    """
    by_audio = {row.sample_hash: row.id for row in evaluation}
    texts = Sentences(
        (row.language, normalise(row.text, row.language), row.id) for row in evaluation if row.text
    )
    own = set(by_audio.values())
    leaks = []
    for row in examples:
        if row.utterance_id in own:
            continue
        if twin := by_audio.get(sample_hashes[row.utterance_id]):
            leaks.append(Leak(row.utterance_id, row.source, row.text, twin, "audio"))
        elif twin := next(texts.find(row.language, normalise(row.text, row.language)), None):
            leaks.append(Leak(row.utterance_id, row.source, row.text, twin, "text"))
    return leaks


def check_share(leaks: Sequence[Leak], examples: int, most: float) -> None:
    """Raises WorkspaceError when more than the share `most` of so many examples leak."""
    if len(leaks) <= most * examples:
        return
    raise WorkspaceError(
        f"{len(leaks)} of {examples} training examples are in an evaluation set too "
        f"({len(leaks) / examples:.0%}; mixture.max_leak_share allows {most:.0%}): "
        f"{'; '.join(leak_lines(leaks))}. Train and test were not drawn apart: ingest splits that "
        "share no sentence into another workspace, or raise the share to train without these "
        "examples"
    )


def leak_lines(leaks: Sequence[Leak]) -> list[str]:
    """One line for each source and reason: how many, and the first texts."""
    count = Counter((row.source, row.reason) for row in leaks)
    lines = []
    for (source, reason), number in sorted(count.items()):
        texts = sorted({row.text for row in leaks if (row.source, row.reason) == (source, reason)})
        more = ", …" if len(texts) > SHOWN else ""
        named = ", ".join(f"“{text}”" for text in texts[:SHOWN])
        lines.append(f"{number} of {source} by {reason} ({named}{more})")
    return lines

"""The clips of the dashboard's workspace: pool, training data, evaluation sets, with their sound.

Numbers are those of `benchmarks.scored`; here they get a text, a source of one of five kinds, and
audio that several share: a clip's sound is one of `SOUNDS`, of nearly its length. Knows no round.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from al_loop.audio import write_flac
from al_loop.errors import AlLoopError
from al_loop.records import STANDARD_SILENCE, Gated, Hypothesis, Source, Split, Utterance
from benchmarks.catalogue_history import held_back
from benchmarks.dashboard_speech import misheard, said, tones
from benchmarks.scored import BLOCK, SEED, SPEAKERS, Row, scored
from storage.store import Store

DIMENSION = 8
"""Of the embeddings, which the dashboard does not read."""
SOUNDS_S: list[float] = np.geomspace(1.0, 18.0, 60).round(2).tolist()
TRAINED, VALIDATION, TESTED, SILENT = 0.06, 0.002, 0.0025, 24
"""Shares of all clips: in the train splits, in validation, in each evaluation set; silent clips."""
FEWEST_TESTED = 150
CANDIDATES = 3
"""Clips that a round chooses from, for each that it chooses; the others stay in the pool."""
POOL = (
    Source("calls", "in_house", "ky"),
    Source("radio", "in_house", "ky"),
    Source("interviews", "in_house", "ky"),
)
LEARNED = (
    (0.35, Source("open_speech_ky", "open_source", "ky")),
    (0.60, Source("open_speech_ru", "open_source", "ru")),
    (0.78, Source("radio_aligned", "forced_alignment", "ky")),
    (0.90, Source("read_by_machine", "synthetic", "ky", 0.5)),
    (1.00, Source("calls_heard", "pseudo_label", "ky", 0.5)),
)
"""Up to which share of the train splits each source goes."""
MADE_BY: Mapping[str, str] = {"synthetic": "a synthesiser", "forced_alignment": "an aligner"}
MAKERS: Mapping[str, str] = {"a synthesiser": "CC-BY-NC-4.0", "an aligner": "Apache-2.0"}
"""Of generated clips nobody knows more."""
BOOK_CLIPS, APART_S = 400, 20.0
"""Clips that are cut from one book, and from the beginning of one to that of the next."""
TESTS = (Source("test_ky", "open_source", "ky"), Source("test_ru", "open_source", "ru"))
SILENCE = Source(STANDARD_SILENCE, "synthetic", "ky")


@dataclass(frozen=True, slots=True)
class Size:
    """How large the workspace is to be. rounds: recorded ones, of which the first asks nobody."""

    utterances: int = 200_000
    rounds: int = 20
    labels: int = 8000

    def __post_init__(self) -> None:
        if self.rounds < 5 or self.labels < 10 * self.rounds:
            raise AlLoopError(
                f"got {self.rounds} rounds with {self.labels} labels, expected 5 rounds or more "
                "and 10 labels or more for each"
            )
        if self.utterances < 2 * self.asked:
            raise AlLoopError(
                f"got {self.utterances} utterances, expected {2 * self.asked} or more: rounds with "
                f"{self.labels} labels choose from so many"
            )

    @property
    def batch(self) -> int:
        """Clips of a query batch: all recorded ones together give more answers than `labels`."""
        return round(1.04 * self.labels / (self.rounds - 1)) + 2

    @property
    def candidates(self) -> int:
        return CANDIDATES * self.batch

    @property
    def asked(self) -> int:
        """Clips that all rounds choose from, the open one among them."""
        return self.candidates * self.rounds


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip, and what is said in it. difficulty: 0 .. 1, how much of it is misheard."""

    row: Row
    utterance: Utterance
    truth: str
    difficulty: float
    gated: Gated | None

    @property
    def id(self) -> str:
        return self.utterance.id

    def heard_by(self, checkpoint: str, level: float) -> Hypothesis:
        """What a checkpoint hears that gets about `level` of all words wrong."""
        share = min(level * (0.45 + 1.9 * self.difficulty), 0.95)
        language = self.utterance.language
        text = misheard(self.truth, language, self.id, checkpoint, share)
        known = self.row.hypothesis
        if known is None:  # its profile keeps it from being decoded, but a test may ask for it
            return Hypothesis(self.id, text, 1, -2.0, 3.0, 5.0, 4.0, 6.0, 0.2, 0.3, 1.0)
        return replace(
            known,
            utterance_id=self.id,
            text=text,
            token_count=3 * len(text.split()) + 1,
            mean_log_prob=known.mean_log_prob * (0.5 + share),
            mean_token_entropy=known.mean_token_entropy * (0.5 + share),
        )


@dataclass(frozen=True, slots=True)
class Clips:
    """Those that rounds choose from, in the order of numbers; and what stands beside the pool."""

    asked: Sequence[Clip]
    learned: Sequence[Clip]
    tested: Sequence[Clip]
    silent: Sequence[Clip]
    gated: Sequence[Gated]


def put_clips(store: Store, size: Size, encoder: str, in_use: str, level: float) -> Clips:
    """All clips with their profiles, and with what the checkpoint in use at last hears in the pool.

    in_use, level: that checkpoint, which need not be known yet, and how much it gets wrong.
    """
    sounds = _put_sounds(store)
    for source in (*POOL, *(source for _, source in LEARNED), *TESTS, SILENCE):
        store.put_source(source)
    kept: dict[str, list[Clip]] = {"asked": [], "learned": [], "tested": [], "silent": []}
    gated: list[Gated] = []
    plan = _Plan(size)
    for rows in _blocks(size.utterances):
        clips = [plan.clip(number, row, sounds) for number, row in rows]
        store.add([clip.utterance for clip in clips], [])
        profiled = [clip for clip in clips if clip.utterance.split in ("pool", "train")]
        store.add_profiles(encoder, [clip.row.profile for clip in profiled])
        pool = [clip for clip in clips if clip.utterance.split == "pool"]
        gated += [clip.gated for clip in pool if clip.gated]
        store.add_hypotheses(
            in_use, [clip.heard_by(in_use, level) for clip in pool if clip.row.hypothesis]
        )
        for (number, _), clip in zip(rows, clips, strict=True):
            if (use := plan.use(number)) in kept:
                kept[use].append(clip)
    return Clips(**kept, gated=gated)


def _blocks(count: int) -> Iterator[list[tuple[int, Row]]]:
    rng = np.random.default_rng(SEED)
    voices = rng.standard_normal((SPEAKERS, DIMENSION), dtype=np.float32)
    for start in range(0, count, BLOCK):
        end = min(start + BLOCK, count)
        yield list(enumerate(scored(start, end, voices, rng, trained=0), start))


def _put_sounds(store: Store) -> dict[float, str]:
    """The audio that clips share: its path in the workspace, by its length in seconds."""
    rng = np.random.default_rng(SEED)
    found = {}
    for duration_s in SOUNDS_S:
        name = hashlib.sha256(f"sound {duration_s}".encode()).hexdigest()
        path = store.workspace.audio / name[:2] / f"{name}.flac"
        path.parent.mkdir(exist_ok=True)
        write_flac(tones(duration_s, rng), path)
        found[duration_s] = store.workspace.relative(path)
    return found


class _Plan:
    """What becomes of each number's clip."""

    def __init__(self, size: Size) -> None:
        learned = round(TRAINED * size.utterances)
        validation = round(VALIDATION * size.utterances)
        tested = max(round(TESTED * size.utterances), FEWEST_TESTED)
        ends = np.cumsum([size.asked, learned, validation, tested, tested, SILENT]).tolist()
        self.uses = ("asked", "learned", "validation", "tested", "tested", "silent", "pool")
        self.ends: list[int] = ends
        if ends[-1] > size.utterances:
            raise AlLoopError(
                f"got {size.utterances} utterances, expected {ends[-1]} or more: so many are "
                "chosen from, trained on and measured on"
            )

    def use(self, number: int) -> str:
        return self.uses[bisect.bisect_right(self.ends, number)]

    def clip(self, number: int, row: Row, sounds: dict[float, str]) -> Clip:
        place = bisect.bisect_right(self.ends, number)
        use, start = self.uses[place], self.ends[place - 1] if place else 0
        source, split = self._source(place, number - start), _split(use)
        words = max(1, int(1.8 * row.utterance.duration_s))
        truth = "" if use == "silent" else said(source.language, words, row.utterance.id)
        place_s = bisect.bisect(SOUNDS_S, row.utterance.duration_s)
        duration_s = SOUNDS_S[min(place_s, len(SOUNDS_S) - 1)]
        held = held_back(row) if split == "pool" else None
        known = split in ("train", "validation", "test")
        origin, start_s, text_origin = f"{source.name}/{number:06d}.wav", None, None
        if source.kind == "forced_alignment":
            book = f"{source.name}/book {number // BOOK_CLIPS:03d}"
            start_s, text_origin = number % BOOK_CLIPS * APART_S, f"{book}.txt"
            origin = f"{book}.mp3#{start_s:.2f}-{start_s + duration_s:.2f}"
        utterance = replace(
            row.utterance,
            audio=sounds[duration_s],
            duration_s=duration_s,
            source=source.name,
            language=source.language,
            split=split,
            text=truth if known else None,
            speaker=None if use == "silent" else row.utterance.speaker,
            origin=origin,
            start_s=start_s,
            text_origin=text_origin,
            made_by=MADE_BY.get(source.kind),
        )
        return Clip(row, utterance, truth, (row.wrong_words + 0.5) / (words + 1), held)

    def _source(self, place: int, number: int) -> Source:
        use = self.uses[place]
        if use == "learned":
            share = (number + 0.5) / (self.ends[place] - self.ends[place - 1])
            return next(source for end, source in LEARNED if share <= end)
        if use == "validation":
            return LEARNED[0][1]
        if use == "tested":
            return TESTS[place - self.uses.index("tested")]
        return SILENCE if use == "silent" else POOL[number % 7 % len(POOL)]


def _split(use: str) -> Split:
    splits: dict[str, Split] = {
        "asked": "pool",
        "pool": "pool",
        "learned": "train",
        "validation": "validation",
        "tested": "test",
        "silent": "silence",
    }
    return splits[use]

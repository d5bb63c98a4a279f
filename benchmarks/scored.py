"""Generated utterances that were scored: a pool as large as a benchmark wants, of numbers alone.

Every number's utterance is the same in every run. A fifth is junk; the first ones are the query
batches of earlier rounds, the next ones are the train split. Knows nothing of what is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from al_loop.records import (
    Annotation,
    Checkpoint,
    Choice,
    Hypothesis,
    Label,
    Place,
    PlannedTask,
    Profile,
    Pulled,
    PulledTask,
    Selection,
    Source,
    TaskKey,
    Utterance,
)
from storage.store import Store

SPEAKERS, SOURCES = 2000, 5
TRAINED, ANSWERED, ROUNDS = 5000, 900, 3
"""Utterances of the train split, and of the query batches of so many earlier rounds."""
CHECKPOINT = hashlib.sha256(b"trained").hexdigest()
"""In use in all rounds; it decoded all that its profile does not keep from that."""
WORD = "сөздөр"
LOOPS = 3.0
"""Only looping junk has a compression ratio above this."""
BLOCK = 20_000
SEED = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One generated utterance. hypothesis: None where its profile alone keeps it from decoding."""

    utterance: Utterance
    profile: Profile
    hypothesis: Hypothesis | None
    wrong_words: int


def open_rounds(store: Store, language: str) -> None:
    """The earlier rounds, recorded, and the one that is to select."""
    for number in range(SOURCES):
        store.put_source(Source(f"source {number}", "in_house", language))
    store.put_checkpoint(Checkpoint("base", "checkpoints/base", None, {}))
    store.put_checkpoint(Checkpoint(CHECKPOINT, "checkpoints/trained", "base", {}))
    for number in range(1, ROUNDS + 1):
        store.start_round(number, SEED, "score", CHECKPOINT)
        with store.finishing(number, "record", None):
            pass
    store.start_round(ROUNDS + 1, SEED, "select", CHECKPOINT)


def scored(
    start: int, end: int, voices: np.ndarray, rng: np.random.Generator, trained: int = TRAINED
) -> Iterator[Row]:
    """Utterances `start` to `end`: a fifth is junk of one kind or another.

    voices: (SPEAKERS, D) float32, what a speaker's embeddings scatter about. What the statistics
    share is how difficult the clip is, and half of it is noise.
    """
    count = end - start
    difficulty = rng.beta(2, 5, count)
    seen = 0.5 * difficulty[:, None] + 0.5 * rng.beta(2, 5, (count, 8))
    kind = rng.choice(5, count, p=[0.8, 0.05, 0.05, 0.05, 0.05])  # sound, or four kinds of junk
    quiet, silent, foreign, looping = (kind == place for place in range(1, 5))
    loudness = np.where(quiet, -55.0, rng.normal(-25, 5, count))
    speech = np.where(silent, 0.02, rng.uniform(0.5, 1.0, count))
    other = np.where(foreign, 0.97, 0.5 * rng.random(count))
    compression = np.where(looping, 4.0, rng.normal(1.2, 0.2, count))
    duration = rng.gamma(4, 1.5, count).clip(1, 30)
    words = np.maximum(1, (1.8 * duration).astype(int))
    wrong = rng.binomial(words, difficulty)
    speaker = rng.integers(SPEAKERS, size=count)
    source = rng.integers(SOURCES, size=count)
    named = rng.random(count) < 0.8
    embeddings = voices[speaker] + rng.standard_normal((count, voices.shape[1]), dtype=np.float32)
    again = 1 + np.flatnonzero(rng.random(count - 1) < 0.01)
    embeddings[again] = embeddings[again - 1]
    for place in range(count):
        number = start + place
        id_ = hashlib.sha256(str(number).encode()).hexdigest()
        learned = ANSWERED <= number < ANSWERED + trained
        text = " ".join([WORD] * int(words[place]))
        utterance = Utterance(
            id_,
            id_[::-1],
            f"audio/{id_[:2]}/{id_}.flac",
            float(duration[place]),
            f"source {source[place]}",
            "ky",
            "train" if learned else "pool",
            text if learned else None,
            f"speaker {speaker[place]}" if named[place] else None,
            f"{number}.wav",
        )
        profile = Profile(
            id_,
            float(loudness[place]),
            0.0,
            float(speech[place]),
            "ru",
            float(other[place]),
            embeddings[place],
        )
        entropy, top, tsallis, renyi, margin, doubt, silence, _ = seen[place].tolist()
        decoded = kind[place] in {0, 4}
        hypothesis = Hypothesis(
            id_,
            text,
            3 * int(words[place]),
            -2 * doubt,
            3 * entropy,
            5 * top,
            4 * tsallis,
            6 * renyi,
            1 - margin,
            0.3 * silence,
            float(compression[place]),
        )
        yield Row(utterance, profile, hypothesis if decoded else None, int(wrong[place]))


def ask(store: Store, rows: Sequence[Row]) -> None:
    """Make the rows the batches of the earlier rounds: a tenth drawn at random, all answered."""
    time = "2026-01-01T00:00:00.000000Z"
    annotations, labels = [], []
    for number in range(ROUNDS):
        batch = rows[number::ROUNDS]
        choices = [
            Choice(row.utterance.id, rank, 1.0, "control" if rank % 10 == 0 else "acquired")
            for rank, row in enumerate(batch)
        ]
        put_batch(store, number + 1, Selection(choices, [], {}))
    for place, row in enumerate(rows):
        id_ = row.utterance.id
        text = verdict = None
        if row.hypothesis is None or row.hypothesis.compression_ratio > LOOPS:
            verdict = "bad_audio"
        else:
            heard = row.hypothesis.text.split()
            text = " ".join(["башка"] * row.wrong_words + heard[row.wrong_words :])
        seconds = 5 + 2 * row.utterance.duration_s + 3 * row.wrong_words
        annotations.append(
            Annotation(
                "1",
                "1",
                TaskKey(id_, place % ROUNDS + 1, 0),
                "annotator-1",
                text,
                verdict,
                seconds,
                time,
                time,
            )
        )
        labels.append(Label(id_, text, verdict, ["1"]))
    answer(store, annotations)
    store.put_labels(labels)


def put_batch(store: Store, number: int, selection: Selection) -> None:
    """A round's query batch, and the tasks that ask about it."""
    store.put_selection(number, selection)
    store.add_tasks(
        PlannedTask(TaskKey(row.utterance_id, number, 0), "query", row.rank)
        for row in selection.choices
    )


def answer(store: Store, annotations: Sequence[Annotation]) -> None:
    """As a pull takes them in."""
    place = Place("2026-01-01T00:00:00.000000Z", 1)
    store.put_place("all", place)
    tasks = [PulledTask(row.task_id, row.key, row.updated_at, [row]) for row in annotations]
    store.take(place, Pulled(tasks, (), None))

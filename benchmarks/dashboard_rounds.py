"""The rounds of the dashboard's workspace, through the store as the loop itself goes through them.

Batches, answers and trainings are made up; what settles a label, mixes a training set, measures,
decides and reports is the loop's own code. Knows nothing of how the clips came about.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from al_loop.acquisition.predictor import fit
from al_loop.config import Settings
from al_loop.evaluation import evaluate_sets, evaluate_silence, group_by_set
from al_loop.evidence import round_report
from al_loop.manifest import build_manifest
from al_loop.metrics import count_errors
from al_loop.mixture import draw_epoch
from al_loop.promotion import Comparison, Silence, decide
from al_loop.records import (
    IN_HOUSE,
    STAGES,
    Checkpoint,
    ErrorCounts,
    Evaluation,
    Hypothesis,
    Leak,
    SilenceEvaluation,
    Source,
    Stage,
    content_hash,
)
from benchmarks.dashboard_answers import Annotators
from benchmarks.dashboard_batches import choose
from benchmarks.dashboard_clips import Clips, Size
from benchmarks.dashboard_dates import AFTER, date_round, opened_at
from benchmarks.dashboard_training import settings_of, sidecar
from benchmarks.scored import SEED
from storage.database import now
from storage.store import Store

FEW, MANY = 190, 600
"""Newest answers that a report's predictor learns from, and that of the last recorded round: to
grow trees for every round would take a minute."""
LEAKS = 4
BASE = "base"
BY_HAND = "the new guideline spells loan words otherwise; listened to 40 clips, it is better"


def checkpoint_of(number: int) -> str:
    """The id of a round's candidate; of the base for -1."""
    return content_hash(["the dashboard's workspace", number])


@dataclass(frozen=True, slots=True)
class Story:
    """Which round's candidate is rejected, and which one is, too, but promoted by hand."""

    size: Size

    @property
    def rejected(self) -> int:
        return 2 * self.size.rounds // 5

    @property
    def by_hand(self) -> int:
        return 3 * self.size.rounds // 5

    def level(self, number: int, language: str) -> float:
        """The share of words that a round's candidate gets wrong; the base's for -1."""
        if language != "ky":
            return 0.17 + 0.07 * (number == self.rejected) - 0.01 * min(number + 1, 5) / 5
        if number < 0:
            return 0.87
        if number == self.by_hand:
            return self.level(number - 2, language) + 0.03  # the one before may be the rejected one
        return 0.16 + 0.40 * (1 + number / 2) ** -0.9

    def in_silence(self, number: int) -> int:
        """In how many of the silent clips words are heard."""
        return max(9 - (number + 1) // 2, 1)


class Rounds:
    """What `record` and `wait` need to know of one another. ends_at: when the workspace is seen."""

    def __init__(
        self, store: Store, settings: Settings, clips: Clips, size: Size, ends_at: datetime
    ) -> None:
        self.store, self.settings, self.clips, self.size = store, settings, clips, size
        self.story = Story(size)
        self.ends_at = ends_at
        self.began = now()
        self.rng = np.random.default_rng(SEED)
        self.annotators = Annotators(store, settings, clips, self.rng)
        self.heard: dict[str, dict[str, Hypothesis]] = {}
        self.rates: dict[str, tuple[list[Evaluation], SilenceEvaluation]] = {}
        self.counts: dict[str, dict[str, list[ErrorCounts]]] = {}
        self.tested = store.evaluation_utterances()
        self.silent = store.silence_utterances()
        in_all = np.array_split(np.arange(size.labels), size.rounds - 1)
        self.answered = [0, *map(len, in_all), size.batch // 2]

    def opened_at(self, number: int) -> datetime:
        return opened_at(number, self.size.rounds, self.ends_at)

    # -- the rounds --------------------------------------------------------------------------------

    def record_all(self) -> None:
        """The recorded rounds, and the open one, which waits for annotators."""
        facts = {"model": self.settings.model.identity(), "made_from": "packaged:whisper-base"}
        self._put_checkpoint(Checkpoint(checkpoint_of(-1), f"checkpoints/{BASE}", None, facts))
        for number in range(self.size.rounds):
            self._open(number)
            if number:
                self._ask(number)
            self._merge(number)
            self._train(number)
            self._evaluate(number)
            self._decide(number)
            self._record(number)
            if number == self.story.by_hand:
                self.store.promote(checkpoint_of(number), BY_HAND)
            self._date(number, checkpoint_of(number))
        self._open(self.size.rounds)
        self._ask(self.size.rounds)
        self._date(self.size.rounds)

    def _date(self, number: int, candidate_id: str | None = None) -> None:
        date_round(self.store, number, self.opened_at(number), candidate_id, self.began)

    def _finish(self, number: int, *stages: Stage) -> None:
        """Stages of which nothing more is to be told."""
        for stage in stages:
            self._start(number, stage)
            place = STAGES.index(stage) + 1
            following = STAGES[place] if place < len(STAGES) else None
            with self.store.finishing(number, stage, following):
                pass

    def _start(self, number: int, stage: Stage) -> None:
        settings = settings_of(self.settings, number, self.size)
        self.store.start_stage(number, stage, settings.model_dump_json())

    def _open(self, number: int) -> None:
        in_use = self.store.current_checkpoint_id() or checkpoint_of(-1)
        self.store.start_round(number, SEED + number, "score" if number else "merge", in_use)

    # -- asking ------------------------------------------------------------------------------------

    def _ask(self, number: int) -> None:
        is_open = number == self.size.rounds
        candidates = self.clips.asked[(number - 1) * self.size.candidates :][: self.size.candidates]
        (in_use,) = self._one("SELECT checkpoint_id FROM rounds WHERE number = ?", number)
        level = self.story.level(self._number_of(in_use), "ky")
        heard = {clip.id: clip.heard_by(in_use, level) for clip in candidates}
        self._finish(number, "score")
        self._start(number, "select")
        selection = choose(number, candidates, self.clips, self.size, self.rng)
        batch = [row.utterance_id for row in selection.choices]
        self.store.add_hypotheses(in_use, [heard[name] for name in batch])
        self.store.put_selection(number, selection)
        tasks = self.annotators.plan(number, selection.choices, heard)
        with self.store.finishing(number, "select", "push"):
            self.store.add_tasks(tasks)
        self.annotators.push(in_use, number, heard)
        self.store.set_pushed_at(number)
        self._finish(number, "push")
        self._start(number, "pull")
        start = self.opened_at(number) + AFTER["push"]
        ends = self.ends_at if is_open else self.opened_at(number) + AFTER["pull"]
        self.annotators.answer(number, batch, self.answered[number], start, ends, heard)
        if not is_open:
            with self.store.finishing(number, "pull", "merge"):
                pass

    def _number_of(self, checkpoint_id: str) -> int:
        return next(
            row for row in range(-1, self.size.rounds) if checkpoint_of(row) == checkpoint_id
        )

    # -- training ----------------------------------------------------------------------------------

    def _merge(self, number: int) -> None:
        self._start(number, "merge")
        with self.store.finishing(number, "merge", "train"):
            self.annotators.settle()
            rule = settings_of(self.settings, number, self.size).mixture
            self.store.put_source(Source(IN_HOUSE, "in_house", "ky", rule.in_house_weight))
            leaks = [
                Leak(
                    clip.id, clip.utterance.source, test.truth, test.id, "text" if odd else "audio"
                )
                for odd, (clip, test) in enumerate(
                    zip(self.clips.learned[:LEAKS], self.clips.tested, strict=False)
                )
            ]
            leaked = {leak.utterance_id for leak in leaks}
            manifest = build_manifest(
                [
                    row
                    for row in self.store.training_examples(IN_HOUSE)
                    if row.utterance_id not in leaked
                ],
                {source.name: source for source in self.store.sources()},
                rule,
                {row.id for row in self.tested},
            )
            self.store.put_manifest(number, manifest)
            self.store.put_leaks(manifest.id, leaks)
        self.manifest = manifest

    def _train(self, number: int) -> None:
        self._start(number, "train")
        settings = settings_of(self.settings, number, self.size).train
        draws = len(draw_epoch(self.manifest, self.rng))
        candidate = checkpoint_of(number)
        facts = sidecar(settings, draws, number, self.rng) | {
            "made_from": f"checkpoints/{BASE}",
            "language": "ky",
            "round": number,
            "manifest": self.manifest.id,
        }
        path = f"checkpoints/round-{number:03d}-{candidate[:12]}"
        with self.store.finishing(number, "train", "evaluate"):
            self._put_checkpoint(Checkpoint(candidate, path, checkpoint_of(-1), facts))
            self.store.set_candidate(number, candidate)

    def _put_checkpoint(self, checkpoint: Checkpoint) -> None:
        """With a folder, but without weights."""
        self.store.put_checkpoint(checkpoint)
        folder = self.store.workspace.root / checkpoint.path
        folder.mkdir()
        text = json.dumps(checkpoint.sidecar, ensure_ascii=False)
        (folder / "sidecar.json").write_text(text, encoding="utf-8")

    # -- measuring ---------------------------------------------------------------------------------

    def _evaluate(self, number: int) -> None:
        self._start(number, "evaluate")
        in_use, candidate = self.store.current_checkpoint_id(), checkpoint_of(number)
        assert in_use is not None
        taught = {row.id for row in self.store.taught(number)}
        level = self.story.level(number, "ky")
        self.store.add_hypotheses(
            candidate,
            [clip.heard_by(candidate, level) for clip in self.clips.asked if clip.id in taught],
        )
        with self.store.finishing(number, "evaluate", "promote"):
            for checkpoint_id in (in_use, candidate):
                self._measure(checkpoint_id)
                self.store.put_evaluations(number, checkpoint_id, *self.rates[checkpoint_id])

    def _measure(self, checkpoint_id: str) -> None:
        if checkpoint_id in self.rates:
            return
        number = self._number_of(checkpoint_id)
        heard = {
            clip.id: clip.heard_by(checkpoint_id, self.story.level(number, clip.utterance.language))
            for clip in self.clips.tested
        }
        words = self.story.in_silence(number)
        silent = {
            clip.id: Hypothesis(clip.id, "рахмат" if place < words else "", 2, *[0.5] * 8)
            for place, clip in enumerate(self.clips.silent)
        }
        self.store.add_hypotheses(checkpoint_id, [*heard.values(), *silent.values()])
        samples = self.settings.evaluate.bootstrap_samples
        self.rates[checkpoint_id] = (
            evaluate_sets(self.tested, heard, checkpoint_id, samples),
            evaluate_silence(self.silent, silent),
        )
        self.counts[checkpoint_id] = {
            name: [count_errors(row.text or "", heard[row.id].text, row.language) for row in rows]
            for name, rows in group_by_set(self.tested).items()
        }

    def _decide(self, number: int) -> None:
        in_use, candidate = self.store.current_checkpoint_id(), checkpoint_of(number)
        assert in_use is not None
        silent = [self.rates[name][1] for name in (in_use, candidate)]
        decision = decide(
            self._compared(in_use, candidate),
            {
                row.name: self._compared(row.id, candidate)
                for row in self.store.promoted_checkpoints()
                if row.id not in (in_use, candidate)
            },
            Silence(silent[0].clips, silent[0].hallucinated, silent[1].hallucinated),
            "ky",
            self.settings.promote,
            np.random.default_rng([SEED, number]),
            self.settings.evaluate.bootstrap_samples,
        )
        self._start(number, "promote")
        with self.store.finishing(number, "promote", "record"):
            self.store.decide(number, decision.promoted, decision.reason)

    def _compared(self, before: str, after: str) -> list[Comparison]:
        return [
            Comparison(name, rows[0].language, self.counts[before][name], self.counts[after][name])
            for name, rows in group_by_set(self.tested).items()
        ]

    def _record(self, number: int) -> None:
        rng = np.random.default_rng([SEED, number])
        longest_s = self.settings.labels.longest_answer_s
        answers = self.store.answers(self.settings.embedding.encoder, longest_s)
        rule = self.settings.evaluate.bootstrap_samples, self.settings.select.budget_s
        points = self.store.curve_points(longest_s)
        report = round_report(answers, number, points, "ky", rng, *rule)
        newest = answers[-(MANY if number == self.size.rounds - 1 else FEW) :]
        predictor = fit(newest, self.settings.select.fallback, rng)
        self._start(number, "record")
        with self.store.finishing(number, "record", None):
            self.store.put_report(
                number, report | {"predictor": predictor and dict(predictor.quality)}
            )

    def _one(self, sql: str, *parameters: object) -> tuple[str, ...]:
        found: tuple[str, ...] = self.store.db.execute(sql, list(parameters)).fetchone()
        return found

"""The stage machine: what happens in a round, in which order, and where it waits.

Knows the ports and nothing behind them: no SQL, no Label Studio, no torch, no Click. Each
stage reads what the last one committed and commits its own results together with the step to the
next stage, so a process killed at any instant goes on from there.

Round 0 trains on the labelled sources alone and gives the loop a model to be uncertain with;
every later round asks annotators first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from al_loop.asking import Asking
from al_loop.closing import closes_at, closing
from al_loop.config import Settings
from al_loop.errors import AlLoopError, ConfigError, ModelError, OracleUnavailable
from al_loop.listening import Listening
from al_loop.logs import LOG, about
from al_loop.ports import Engine, Judge, Oracle, Recognizer, Speller, Store
from al_loop.records import (
    STAGES,
    Alternatives,
    Answer,
    Checkpoint,
    Doubt,
    Label,
    Leak,
    Manifest,
    Round,
    ScoredPool,
    Selection,
    Stage,
    Utterance,
    content_hash,
)

if TYPE_CHECKING:
    from al_loop.promotion import Decision, Silence
    from al_loop.pseudo_labels import Made

FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=6)
MOST_STARTS = 5
"""Kills in a row after which a stage counts as failed, so that its pauses grow."""
OPEN = "open"
"""What precedes a round's first stage, under the same rules."""
FIRST_STAGE_WITHOUT_ASKING: Stage = "merge"
BASE_FOLDER = "base"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why a call of `advance` came back.

    recorded: the round is complete; waiting: for annotators; paused: a stage failed and its pause
    is not over; idle: there is nothing left to label; stopped: before the stage that was asked for.
    """

    kind: Literal["recorded", "waiting", "paused", "idle", "stopped"]
    round: int | None
    message: str


def train_with(recognizer: Callable[[], Recognizer], *given: Any) -> Mapping[str, Any]:
    """`Recognizer.train`, of a recogniser that is made where the training runs."""
    return recognizer().train(*given)


def no_speller() -> Speller:
    raise ModelError("no recogniser that spells is at hand here")


class Loop:
    """One workspace's loop, wired to its ports. `say` takes lines about progress; `clock` tells
    seconds, for a budget of minutes; `speller` is who else hears, where pseudo-labels are made."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        engine: Engine,
        recognizer: Callable[[], Recognizer],
        oracle: Callable[[], Oracle],
        judge: Judge,
        say: Callable[[str], None],
        clock: Callable[[], float] = monotonic,
        speller: Callable[[], Speller] = no_speller,
    ) -> None:
        self.settings = settings
        self.store = store
        self.engine = engine
        self.recognizer = recognizer
        self.judge = judge
        self.say = say
        self.clock = clock
        self.speller = speller
        self.listening = Listening(store, engine, recognizer, say)
        self.asking = Asking(settings, store, self.listening, oracle, judge, say)

    def advance(
        self, close: bool = False, insist: bool = False, until: Stage | None = None
    ) -> Outcome:
        """Advance the open round, or a new one, as far as it goes now.

        close: do not wait for further answers; a round that has not asked yet waits nevertheless.
        insist: try a failed stage before its pause is over. until: come back before this stage.
        Raises what a failing stage raised, after recording it.
        """
        current = self.store.open_round()
        if current is None:
            last = self.store.last_round()
            number = 0 if last is None else last.number + 1
            ended = self._attempt(number, OPEN, insist, lambda: self._open_round(last))
            if ended:
                return ended
            current = self.store.open_round()
        assert current is not None
        number = current.number
        close = close and current.stage == "pull"
        while current is not None and current.stage is not None:
            if current.stage == until:
                return Outcome("stopped", number, f"round {number} is about to {until}")
            run = partial(self._run, current, close)
            ended = self._attempt(number, current.stage, insist, run)
            if ended:
                return ended
            current = self.store.open_round()
        return Outcome("recorded", number, f"round {number} is recorded")

    def sync(self, thorough: bool = True) -> str:
        """Push, pull and sweep, whatever stage comes next; says in words what it came to.

        thorough: whether to sweep although the last time is less than an hour ago.
        """
        return self.asking.sync(thorough)

    def _attempt(
        self, number: int, stage: str, insist: bool, work: Callable[[], Outcome | None]
    ) -> Outcome | None:
        """Do a stage's work unless it is paused; an outcome comes back when the call ends here.

        A failure is recorded, and so is a stage that was killed again and again.
        """
        failures, retry_at = self.store.failures(number, stage)
        if retry_at and not insist and _now() < datetime.fromisoformat(retry_at):
            return Outcome(
                "paused",
                number,
                f"round {number}: {stage} failed {failures} times, next try at {retry_at}",
            )
        with about(round=number, stage=stage):
            try:
                starts = self.store.start_stage(number, stage, self.settings.model_dump_json())
                if starts > MOST_STARTS:
                    raise AlLoopError(
                        f"round {number}: {stage} was started {MOST_STARTS} times and killed each "
                        "time; look for what killed it (out of memory?), lower train.batch_size or "
                        "model.memory_mb"
                    )
                ended = work()
            except Exception as exc:
                pause = min(FIRST_PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE)
                message = str(exc) if isinstance(exc, AlLoopError) else repr(exc)
                LOG.error("failed: %s", message)
                self.store.fail_stage(number, stage, message, (_now() + pause).isoformat())
                raise
        if ended:  # it works, though it is not finished
            self.store.forget_failures(number, stage)
        return ended

    def _run(self, current: Round, close: bool) -> Outcome | None:
        """Run the current stage; an outcome comes back when there is something to wait for."""
        assert current.stage is not None
        if current.stage == "pull":
            return self._pull(current, close)
        self.say(f"round {current.number}: {current.stage}")
        stages: dict[str, Callable[[Round], Outcome | None]] = {
            "score": self._score,
            "select": self._select,
            "push": self._push,
            "merge": self._merge,
            "train": self._train,
            "evaluate": self._evaluate,
            "promote": self._promote,
            "record": self._record,
        }
        return stages[current.stage](current)

    def _finishing(
        self, current: Round, following: Stage | None = None
    ) -> AbstractContextManager[None]:
        """following: where the round goes on, if that is not the next stage."""
        assert current.stage is not None
        position = STAGES.index(current.stage) + 1
        if following is None and position < len(STAGES):
            following = STAGES[position]
        return self.store.finishing(current.number, current.stage, following)

    # -- opening a round -------------------------------------------------------------------------

    def _open_round(self, last: Round | None) -> Outcome | None:
        """Open the next round, or say why there is none to open."""
        checkpoint_id = self.store.current_checkpoint_id()
        number, stage = 0, FIRST_STAGE_WITHOUT_ASKING
        if last is None:
            checkpoint_id = self._create_base()
        else:
            assert checkpoint_id is not None
            self._check_base(checkpoint_id)
            number, stage = last.number + 1, STAGES[0]
            if not self.store.has_pool():
                # nothing to ask, but late answers or new training data may be worth a round
                self._collect_late_answers()
                if self._build_manifest()[0].id == last.manifest_id:
                    return Outcome("idle", None, "nothing is left to label: ingest more audio")
                stage = FIRST_STAGE_WITHOUT_ASKING
        seed = int(content_hash([self.settings.seed, number])[:8], 16)
        self.store.start_round(number, seed, stage, checkpoint_id)
        return None

    def _collect_late_answers(self) -> None:
        """Turn the stragglers' answers into labels: all at once, or each would cost a training."""
        pushed_at = self.store.last_pushed_at()
        if pushed_at is None:
            return
        try:
            self._hear()
        except OracleUnavailable as exc:  # where nobody labels any more, the server may be gone
            self.say(f"late answers were not asked for: {exc}")
        over = _now() >= closes_at(self.settings.label_studio, pushed_at)
        if self.store.unanswered() == 0 or over:
            self.store.put_labels(*self._settled())

    def _create_base(self) -> str:
        self.say(f"preparing {self.settings.model.checkpoint}")
        with self.store.new_checkpoint_folder(BASE_FOLDER) as folder:
            sidecar = self.recognizer().create_base(folder)
        checkpoint = Checkpoint(content_hash(sidecar), f"checkpoints/{BASE_FOLDER}", None, sidecar)
        self.store.put_checkpoint(checkpoint)
        return checkpoint.id

    def _check_base(self, checkpoint_id: str) -> None:
        """Refuse model settings under which earlier and later figures could not be compared."""
        began_with = self._base(checkpoint_id).sidecar["model"]
        for key, value in self.settings.model.identity().items():
            if began_with[key] != value:
                raise ConfigError(
                    f"model.{key} = {value!r}, but this workspace began with {began_with[key]!r}; "
                    "set it back, or make another workspace"
                )

    # -- the stages ------------------------------------------------------------------------------

    def _score(self, current: Round) -> None:
        try:
            self.asking.refresh()  # the last round may have promoted a checkpoint
        except OracleUnavailable as exc:  # what there is to score does not depend on it
            self.say(f"  unanswered tasks show what an older checkpoint heard: {exc}")
        if self._in_parts:
            self._score_part(current)
        else:
            self._scored_pool(current)
        with self._finishing(current):
            pass

    @property
    def _in_parts(self) -> bool:
        """Whether only a part of the pool is scored in a round."""
        from al_loop.acquisition.selection import needs_scores

        limited = self.settings.score.minutes is not None
        return limited and needs_scores(self.settings.select, self.settings.gates)

    def _score_part(self, current: Round) -> int:
        from al_loop.rescoring import score_part

        in_use = self._checkpoint(current.checkpoint_id)
        base, trusted = self._base(in_use.id), self.trusts(in_use.id)
        seed = [current.seed, STAGES.index("score")]
        return score_part(self.settings, self.listening, base, in_use, trusted, seed, self.clock)

    def _scored_pool(self, current: Round) -> ScoredPool:
        """The pool, profiled, and decoded where no gate holds a clip back for its sound alone.

        Hypotheses of a checkpoint that is not trusted would say nothing: it decodes none. Where the
        pool is scored in parts, `_score_part` has done what is done here.
        """
        from al_loop.acquisition.gates import limits, profile_gates
        from al_loop.acquisition.selection import needs_scores

        rule, checkpoint_id = self.settings.gates, current.checkpoint_id
        needed = needs_scores(self.settings.select, rule) and not self._in_parts
        if needed:
            base = self._base(checkpoint_id)
            self.listening.profile(base, self._encoder, rule.related_languages)
        pool = self.store.scored_pool(checkpoint_id, self._encoder)
        if not needed or not self.trusts(checkpoint_id):
            return pool
        missing = set(pool.ids[~pool.heard].tolist())
        if rule.enabled:
            answers, released = self._answers(), self.store.released()
            gated = profile_gates(pool, limits(rule, answers), released)
            missing -= {row.utterance_id.encode() for row in gated}
        unheard = self.store.utterances([name.decode() for name in sorted(missing)])
        if not unheard:
            return pool
        self.listening.listen(self._checkpoint(checkpoint_id), unheard)
        return self.store.scored_pool(checkpoint_id, self._encoder)

    def _select(self, current: Round) -> Outcome | None:
        """Choose from the pool as it is: it may have changed since it was scored.

        Where the part that is scored has nothing to ask about, the next one is scored.
        """
        import numpy as np

        from al_loop.acquisition.turns import only_waits

        selection = self._choose(current)
        while only_waits(selection) and self._score_part(current):
            selection = self._choose(current)
        if not selection.choices:
            return self._nothing_to_ask(current, selection)
        self.say(f"  {selection.facts['reason']}")
        rng = np.random.default_rng([current.seed, STAGES.index("push")])
        planned = self.asking.plan(current, selection.choices, rng)
        with self._finishing(current):
            self.store.put_selection(current.number, selection)
            self.store.add_tasks(planned)
        return None

    def _choose(self, current: Round, again: bool = False) -> Selection:
        """again: from what was not chosen before."""
        import numpy as np

        from al_loop.acquisition.selection import select

        return select(
            self._scored_pool(current),
            self._answers(),
            self.store.known_embeddings(self._encoder),
            self.store.released(),
            self.settings.select,
            self.settings.gates,
            self.trusts(current.checkpoint_id),
            partial(self._doubt, current),
            self.settings.model.language,
            np.random.default_rng([current.seed, STAGES.index("select"), *([1] if again else [])]),
            current.number,
            self._in_parts,
        )

    def _nothing_to_ask(self, current: Round, selection: Selection) -> Outcome | None:
        """Go on without asking where there is something new to train on, else stay before select.

        A round that stays asks as soon as there is something to ask about.
        """
        self._collect_late_answers()
        last = self.store.last_recorded_round()
        assert last is not None  # round 0 asks nobody
        if self._build_manifest()[0].id == last.manifest_id:
            self.store.put_selection(current.number, selection)  # why each clip is held back
            return Outcome("idle", current.number, selection.facts["reason"])
        self.say(f"  {selection.facts['reason']}; there are late answers to train on")
        with self._finishing(current, FIRST_STAGE_WITHOUT_ASKING):
            self.store.put_selection(current.number, selection)
        return None

    def _doubt(
        self, current: Round, utterance_ids: Sequence[str], doubt: Doubt
    ) -> Mapping[str, Alternatives]:
        return self.listening.doubt(
            self._checkpoint(current.checkpoint_id), self.store.utterances(utterance_ids), doubt
        )

    def trusts(self, checkpoint_id: str) -> bool:
        """Whether the checkpoint's doubts say anything: it is of some use, as far as was measured.

        Where nothing was, it counts whether it was trained.
        """
        wer = self.store.word_error_rate(checkpoint_id, self.settings.model.language)
        if wer is None:
            return self._checkpoint(checkpoint_id).parent is not None
        return wer < self.settings.select.cold_start_wer

    @property
    def _encoder(self) -> str:
        return self.settings.embedding.encoder

    def _push(self, current: Round) -> None:
        self.asking.push_missing()
        with self._finishing(current):
            self.store.set_pushed_at(current.number)

    def _pull(self, current: Round, close: bool) -> Outcome | None:
        self._hear()
        answered, total = self.store.answered(current.number)
        assert current.pushed_at is not None
        found = closing(self.settings.label_studio, total, current.pushed_at)
        if found.waits(answered, _now()) and not close:
            return Outcome(
                "waiting",
                current.number,
                f"round {current.number} waits for annotators: {answered} of {total} tasks are "
                f"answered, it goes on at {found}",
            )
        self.asking.top_up(current, partial(self._choose, current, again=True))
        with self._finishing(current):
            pass
        return None

    def _hear(self) -> None:
        """Take new answers, and ask what is to be asked because of them.

        The configuration may name another Label Studio by now, which lacks all that is unanswered.
        """
        self.asking.pull()
        if self.store.follow_ups_due():
            self.asking.follow_ups()
        self.asking.push_missing()
        self.asking.refresh()

    def _merge(self, current: Round) -> None:
        from al_loop.leakage import leak_lines
        from al_loop.mixture import capped

        labels, unsettled = self._settled()
        made = self._make_pseudo_labels(labels, unsettled)
        with self._finishing(current):
            self.store.put_labels(labels, unsettled)
            if made is not None:
                self.store.put_pseudo_labels(current.number, made.labels, made.report)
            manifest, leaks = self._build_manifest()
            self.store.put_manifest(current.number, manifest)
            self.store.put_leaks(manifest.id, leaks)
        for row in manifest.mixture:
            self.say(
                f"  {row.source}: {row.examples} examples, {row.duration_s / 60:.1f} min, "
                f"weight {row.weight:g}, {row.realised_share:.0%} of draws"
            )
        for row in capped(manifest.mixture):
            self.say(
                f"  warning: {row.source} asked for {row.target_share:.1%} of draws and got "
                f"{row.realised_share:.1%}: each of its {row.examples} examples is drawn "
                f"{row.most_repeats} times, and mixture.max_repeats allows no more"
            )
        for line in leak_lines(leaks):
            self.say(f"  left out, for an evaluation set holds it too: {line}")
        left = {row.source for row in manifest.mixture}
        for name in sorted({row.source for row in leaks} - left):
            self.say(f"  warning: of {name} nothing is left to train on")

    def _make_pseudo_labels(self, labels: list[Label], unsettled: list[str]) -> Made | None:
        """Those that the recognisers agree on by now, beside those that were learned; only the
        latter, with the reason, where they cannot hear.

        The labels are kept first: they are what agreement is measured on, and give way to nothing.
        """
        if not self.settings.pseudo_labels.enabled:
            return None
        from al_loop.pseudo_labels import PseudoLabels, refused
        from al_loop.pseudo_lines import kept_line

        self.store.put_labels(labels, unsettled)
        makes = PseudoLabels(self.settings, self.store, self.listening, self.speller, self.say)
        in_use = self.store.current_checkpoint_id()
        assert in_use is not None
        try:
            made = makes.make(self._checkpoint(in_use))
        except AlLoopError as exc:  # a round does without them
            made = refused(exc, makes.kept_before())
        self.say(f"  {kept_line(made.report)}")
        return made

    def _settled(self) -> tuple[list[Label], list[str]]:
        """What all answers settle on, and the ids of those that settle on nothing.

        Answers that were edited or withdrawn since the last manifest change the next one.
        """
        settled = {case.utterance.id: self.judge.settle(case) for case in self.store.cases()}
        return (
            [label for label in settled.values() if label],
            [name for name, label in settled.items() if label is None],
        )

    def _answers(self) -> list[Answer]:
        return self.store.answers(self._encoder, self.settings.labels.longest_answer_s)

    def _build_manifest(self) -> tuple[Manifest, Sequence[Leak]]:
        """The training set as of now, and what was left out of it.

        A source that the loop makes is written down with its present weight.
        """
        from al_loop.manifest import build_manifest
        from al_loop.material import gather

        evaluation = self.store.evaluation_utterances()
        found = gather(self.settings, self.store, evaluation)
        for source in found.made:
            self.store.put_source(source)
        manifest = build_manifest(
            found.examples, found.sources, self.settings.mixture, {row.id for row in evaluation}
        )
        return manifest, found.leaks

    def _train(self, current: Round) -> None:
        import numpy as np

        from al_loop.mixture import draw_epoch

        assert current.manifest_id is not None
        manifest = self.store.manifest(current.manifest_id)
        if not manifest.examples or self._learned_already(current, manifest):
            what = "nothing new" if manifest.examples else "nothing"
            self.say(f"  {what} is labelled yet, so there is nothing to train on")
            with self._finishing(current):
                pass
            return
        rule = self.settings.train
        in_use = self.store.current_checkpoint_id()  # not always the one the round began with
        assert in_use is not None
        parent = self._base(in_use) if rule.start_from == "base" else self._checkpoint(in_use)
        validation = self.store.validation_examples()
        candidate_id = content_hash(
            {
                "parent": parent.id,
                "manifest": manifest.id,
                "train": rule.model_dump(exclude={"save_minutes", "processes"}),
                "model": self.settings.model.model_dump(),
                "seed": current.seed,
                "validation": [[row.utterance_id, row.text] for row in validation],
            }
        )
        rng = np.random.default_rng([current.seed, STAGES.index("train")])
        epochs = [draw_epoch(manifest, rng) for _ in range(rule.epochs)]
        name = f"round-{current.number:03d}-{candidate_id[:12]}"
        scratch = self.store.scratch_folder(name)
        with self.store.new_checkpoint_folder(name) as folder:
            sidecar = self.engine.run(
                partial(
                    train_with,
                    self.recognizer,
                    parent.path,
                    epochs,
                    validation,
                    rule,
                    current.seed,
                    folder,
                    scratch,
                ),
                rule.processes,
            )
        for note in sidecar.get("notes", ()):
            self.say(f"  {note}")
        sidecar = {**sidecar, "round": current.number, "manifest": manifest.id}
        with self._finishing(current):
            self.store.put_checkpoint(
                Checkpoint(candidate_id, f"checkpoints/{name}", parent.id, sidecar)
            )
            self.store.set_candidate(current.number, candidate_id)

    def _learned_already(self, current: Round, manifest: Manifest) -> bool:
        """Whether the round only tried gates, and the last one had the same training set."""
        last = self.store.last_recorded_round()
        tried = self.store.arms(current.number) <= {"explored"}
        return tried and last is not None and last.manifest_id == manifest.id

    def _evaluate(self, current: Round) -> None:
        from al_loop.evaluation import evaluate_sets, evaluate_silence, silence_set

        utterances = self.store.evaluation_utterances()
        silent: Sequence[Utterance] = ()
        if utterances or current.candidate_id:  # else there is nothing to compare
            silent = silence_set(self.store.silence_utterances())
        with_results = []
        in_use = self.store.current_checkpoint_id()
        for checkpoint_id in filter(None, (in_use, current.candidate_id)):
            clips = [*utterances, *silent]
            if checkpoint_id == current.candidate_id:  # and what its annotators taught it
                clips += self.store.taught(current.number)
            self.listening.listen(self._checkpoint(checkpoint_id), clips)
            heard = self.store.hypotheses(checkpoint_id, [row.id for row in [*utterances, *silent]])
            samples = self.settings.evaluate.bootstrap_samples
            evaluations = evaluate_sets(utterances, heard, checkpoint_id, samples)
            with_results.append((checkpoint_id, evaluations, evaluate_silence(silent, heard)))
        with self._finishing(current):
            for checkpoint_id, evaluations, silence in with_results:
                self.store.put_evaluations(current.number, checkpoint_id, evaluations, silence)

    def _promote(self, current: Round) -> None:
        from al_loop.promotion import Decision

        decision = Decision(False, "no candidate: nothing was labelled")
        if current.candidate_id is not None:
            decision = self._judge(current, current.candidate_id)
        self.say(f"  {decision.reason}")
        with self._finishing(current):
            self.store.decide(current.number, decision.promoted, decision.reason)

    def _judge(self, current: Round, candidate_id: str) -> Decision:
        """The candidate against the checkpoint in use, and against those promoted before it.

        In use now, that is: the one that the round began with may have been rolled back since.
        """
        import numpy as np

        from al_loop.evaluation import compare_sets
        from al_loop.promotion import Comparison, decide

        utterances = self.store.evaluation_utterances()
        heard = partial(self.store.hypotheses, utterance_ids=[row.id for row in utterances])
        after = heard(candidate_id)

        def compare(checkpoint_id: str) -> list[Comparison]:
            before = heard(checkpoint_id)
            # clips ingested since the evaluation wait for the next round
            both = [row for row in utterances if row.id in before and row.id in after]
            return compare_sets(both, before, after)

        in_use = self.store.current_checkpoint_id()
        assert in_use is not None
        earlier = {
            row.name: compare(row.id)
            for row in self.store.promoted_checkpoints()
            if row.id not in (in_use, candidate_id)
        }
        return decide(
            compare(in_use),
            earlier,
            self._in_silence(in_use, candidate_id),
            self.settings.model.language,
            self.settings.promote,
            np.random.default_rng([current.seed, STAGES.index("promote")]),
            self.settings.evaluate.bootstrap_samples,
        )

    def _in_silence(self, in_use: str, candidate_id: str) -> Silence:
        from al_loop.evaluation import evaluate_silence, silence_set
        from al_loop.promotion import Silence

        silent = silence_set(self.store.silence_utterances())
        before, after = (
            self.store.hypotheses(checkpoint_id, [row.id for row in silent])
            for checkpoint_id in (in_use, candidate_id)
        )
        both = [row for row in silent if row.id in before and row.id in after]
        return Silence(
            len(both),
            evaluate_silence(both, before).hallucinated,
            evaluate_silence(both, after).hallucinated,
        )

    def _record(self, current: Round) -> None:
        from al_loop.evidence import lines

        rule = self.settings.promote
        promoted = None if rule.keep_promoted == "all" else rule.keep_promoted
        for name in self.store.prune(rule.keep_checkpoints, promoted):
            self.say(f"  the weights of {name} are deleted")
        report = self._report(current)
        for line in lines(report):
            self.say(f"  {line}")
        with self._finishing(current):
            self.store.put_report(current.number, report)

    def _report(self, current: Round) -> dict[str, Any]:
        """What the answers say of the loop itself: arms, predictions, learning curve, advice."""
        import numpy as np

        from al_loop.acquisition.predictor import fit
        from al_loop.evidence import round_report

        answers = self._answers()
        rng = np.random.default_rng([current.seed, STAGES.index("record")])
        language = self.settings.model.language
        report = round_report(
            answers,
            current.number,
            self.store.curve_points(self.settings.labels.longest_answer_s),
            language,
            rng,
            self.settings.evaluate.bootstrap_samples,
            self.settings.select.budget_s,
        )
        predictor = fit(answers, self.settings.select.fallback, rng)
        return report | {"predictor": predictor and dict(predictor.quality)}

    def _checkpoint(self, checkpoint_id: str) -> Checkpoint:
        found = self.store.checkpoint(checkpoint_id)
        assert found is not None, checkpoint_id
        return found

    def _base(self, checkpoint_id: str) -> Checkpoint:
        """The untrained checkpoint that this one descends from."""
        found = self._checkpoint(checkpoint_id)
        return found if found.parent is None else self._base(found.parent)


def _now() -> datetime:
    return datetime.now(UTC)

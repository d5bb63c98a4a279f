"""What several recognisers hear in the same clips, and what has been heard already.

Works through the ports. A checkpoint's own hypotheses are kept by the store, all other readings in
files of one line a clip; both are written block by block, so that what was killed goes on. Knows
not what agrees, or what is made of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from al_loop.config import Settings
from al_loop.errors import WorkspaceError
from al_loop.listening import Listening
from al_loop.ports import Speller, Store
from al_loop.records import Checkpoint, Doubt, Hypothesis, Utterance, content_hash
from al_loop.text import normalise

IN_USE = "in_use"
"""The checkpoint in use, beside whom the others are."""
ENDING = ".jsonl"


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one clip.

    texts: by recogniser, one or several. n_best: texts that the checkpoint in use might have heard,
    its likeliest first, each with a word and no two alike once normalised; log_probs: theirs;
    ctc_scores: theirs by the recogniser that spells, nan where nobody spells. The three are empty
    where they were not asked for.
    """

    texts: Mapping[str, Sequence[str]]
    n_best: Sequence[str] = ()
    log_probs: Sequence[float] = ()
    ctc_scores: Sequence[float] = ()


@dataclass(slots=True)
class Opinions:
    """recognisers: who heard, by name: what they are. clips: what they heard, by utterance id."""

    recognisers: dict[str, str] = field(default_factory=dict)
    clips: dict[str, Heard] = field(default_factory=dict)


class Kept:
    """Rows of JSON by utterance id, in a file; a line that a kill cut off is no row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Any] = {}
        if not path.is_file():
            return
        written = path.read_bytes()
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            with path.open("r+b") as file:
                file.truncate(len(whole))
        for line in whole.splitlines():
            try:
                row = json.loads(line)
                self.rows[row["id"]] = row
            except (ValueError, TypeError, KeyError):
                continue  # a disk that failed; the clip is heard again

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
        self.rows |= {row["id"]: row for row in map(json.loads, lines)}


class Ears:
    """All recognisers that the settings name. `say` takes lines about progress."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        listening: Listening,
        speller: Callable[[], Speller],
        say: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.store = store
        self.listening = listening
        self.speller = speller
        self.say = say
        self.used: set[Path] = set()

    def hear(self, checkpoint: Checkpoint, utterances: Sequence[Utterance]) -> Opinions:
        """What each recogniser hears; a clip that the checkpoint cannot hear is left out.

        Raises WorkspaceError where the checkpoint in use would be alone.
        """
        wanted = self.settings.pseudo_labels.recognisers
        previous = self._previous() if "previous" in wanted else None
        if wanted == ["previous"] and previous is None:
            raise WorkspaceError(
                "there is no second recogniser: no trained checkpoint with weights was promoted "
                "before the one in use; name another one in pseudo_labels.recognisers"
            )
        speller = self.speller() if "spelling" in wanted else None  # says at once if it is missing
        own = self._listen(checkpoint, utterances)
        rows = [row for row in utterances if row.id in own]
        found = Opinions({IN_USE: checkpoint.name})
        texts: dict[str, dict[str, Sequence[str]]] = {
            row.id: {IN_USE: [own[row.id].text]} for row in rows
        }
        if previous is not None:
            found.recognisers["previous"] = previous.name
            for name, heard in self._listen(previous, rows).items():
                texts[name]["previous"] = [heard.text]
        if "perturbed" in wanted:
            found.recognisers["perturbed"] = f"{checkpoint.name} perturbed"
            for name, (readings, _) in self._doubt(checkpoint, rows, "perturbed").items():
                texts[name]["perturbed"] = readings
        n_best = self._n_best(checkpoint, rows, own)
        scores: Mapping[str, Mapping[str, float]] = {}
        if speller is not None:
            found.recognisers["spelling"] = speller.id
            asked = {name: list(n_best[name]) for name in n_best}
            spelled = self._spell(checkpoint, speller, rows, asked)
            for name, row in spelled.items():
                texts[name]["spelling"] = [row["text"]]
            scores = {name: row["log_probs"] for name, row in spelled.items()}
        for name, heard_by in texts.items():
            likely = n_best.get(name, {})
            ctc_scores = [scores.get(name, {}).get(text, math.nan) for text in likely]
            found.clips[name] = Heard(heard_by, list(likely), list(likely.values()), ctc_scores)
        return found

    def forget_others(self) -> None:
        """Delete readings of recognisers that this run did not use."""
        for path in self.store.pseudo_label_folder().glob(f"*{ENDING}"):
            if path not in self.used:
                path.unlink()

    def _listen(self, checkpoint: Checkpoint, rows: Sequence[Utterance]) -> dict[str, Hypothesis]:
        self.listening.listen(checkpoint, rows)
        return self.store.hypotheses(checkpoint.id, [row.id for row in rows])

    def _previous(self) -> Checkpoint | None:
        """The trained checkpoint that was promoted before, if its weights are there."""
        *_, before, _ = [None, None, *self.store.promoted_checkpoints()]
        if before is None or before.parent is None:
            self.say("  no checkpoint was trained and promoted before the one in use")
            return None
        try:
            self.store.weights_folder(before)
        except WorkspaceError as exc:
            self.say(f"  {exc}")
            return None
        return before

    def _doubt(
        self, checkpoint: Checkpoint, rows: Sequence[Utterance], kind: Any
    ) -> dict[str, tuple[list[str], list[float]]]:
        """Texts and log-probabilities of each clip's alternatives, by its id."""
        rule = self.settings.select
        seed = int(content_hash([self.settings.seed, "pseudo_labels"])[:8], 16)
        doubt = Doubt(kind, rule.alternatives, rule.perturbation, seed)
        strength = doubt.strength if kind == "perturbed" else None
        kept = self._kept(kind, [checkpoint.id, doubt.count, strength, seed])
        missing = [row for row in rows if row.id not in kept.rows]
        self.listening.doubt(
            checkpoint,
            missing,
            doubt,
            lambda done: kept.add(
                {
                    "id": row.utterance_id,
                    "texts": list(row.texts),
                    "log_probs": [float(value) for value in row.log_probs],
                }
                for row in done
            ),
        )
        found = {row.id: kept.rows[row.id] for row in rows if row.id in kept.rows}
        return {name: (row["texts"], row["log_probs"]) for name, row in found.items()}

    def _n_best(
        self, checkpoint: Checkpoint, rows: Sequence[Utterance], own: Mapping[str, Hypothesis]
    ) -> dict[str, dict[str, float]]:
        """Texts with their log-probabilities by clip, where a choice among them is to be made."""
        if self.settings.pseudo_labels.choice != "risk":
            return {}
        sampled = self._doubt(checkpoint, rows, "sampled")
        found = {}
        for row in rows:
            heard = own[row.id]
            # the mean counts the end token, the count does not
            first = (heard.text, heard.mean_log_prob * (heard.token_count + 1))
            readings = [first, *zip(*sampled.get(row.id, ([], [])), strict=True)]
            found[row.id] = distinct(readings, row.language)
        return found

    def _spell(
        self,
        checkpoint: Checkpoint,
        speller: Speller,
        rows: Sequence[Utterance],
        asked: Mapping[str, Sequence[str]],
    ) -> dict[str, Any]:
        """Text and log-probabilities by text of each clip, by its id."""
        kept = self._kept("spelling", [speller.id])

        def known(row: Utterance) -> bool:
            before = kept.rows.get(row.id)
            return before is not None and set(asked.get(row.id, ())) <= before["log_probs"].keys()

        missing = [row for row in rows if not known(row)]
        blocks = [
            [(row, list(asked.get(row.id, ()))) for row in block]
            for block in (speller.blocks(missing) if missing else [])
        ]
        done = 0
        make_worker = partial(_spelling, self.speller)
        refused = self.listening.refusals(checkpoint)

        def refuse(block: Sequence[tuple[Utterance, Any]], reason: str, detail: str) -> None:
            refused([row for row, _ in block], reason, detail)

        for spelled in self.listening.engine.map(make_worker, blocks, refuse):
            kept.add(
                {
                    "id": row.utterance_id,
                    "text": row.text,
                    "log_probs": dict(
                        zip(asked.get(row.utterance_id, ()), map(float, row.log_probs), strict=True)
                    ),
                }
                for row in spelled
            )
            done += len(spelled)
            refused.keep(done)
            self.say(f"  spelled {done} of {len(missing)} clips")
        for line in refused.end():
            self.say(line)
        return {row.id: kept.rows[row.id] for row in rows if row.id in kept.rows}

    def _kept(self, what: str, made_from: Sequence[Any]) -> Kept:
        key = content_hash([what, *made_from])[:16]
        path = self.store.pseudo_label_folder() / f"{what}-{key}{ENDING}"
        self.used.add(path)
        return Kept(path)


def _spelling(speller: Callable[[], Speller]) -> Any:
    return speller().spell


def distinct(readings: Iterable[tuple[str, float]], language: str) -> dict[str, float]:
    """Texts that hold a word, with finite log-probabilities; of those that are alike once they are
    normalised the likeliest."""
    best: dict[str, tuple[str, float]] = {}
    for text, log_prob in readings:
        said = normalise(text, language)
        if said and math.isfinite(log_prob) and log_prob > best.get(said, ("", -math.inf))[1]:
            best[said] = (text, log_prob)
    return dict(sorted(best.values(), key=lambda row: -row[1]))

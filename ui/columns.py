"""The dashboard's tables: what kind of column a name stands for, in whichever table it is.

A name has one meaning everywhere; its heading is the message `columns.NAME`, its explanation, where
there is one, `columns.NAME_help`. Knows Streamlit's column types; holds no data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from streamlit.column_config import CheckboxColumn, Column, NumberColumn, TextColumn

from ui.language import Say

WHOLE = partial(NumberColumn, format="%d")
TENTHS = partial(NumberColumn, format="%.1f")
HUNDREDTHS = partial(NumberColumn, format="%.2f")
THOUSANDTHS = partial(NumberColumn, format="%.3f")
SIGNIFICANT = partial(NumberColumn, format="%.3g")
PERCENT = partial(NumberColumn, format="%.1f")
"""Of a share between 0 and 1, which `ui.elements.show_table` multiplies."""
TEXT = Column
LONG_TEXT = partial(TextColumn, width="large")
YES_OR_NO = CheckboxColumn
TIME = TextColumn
"""Of an ISO 8601 time in UTC, which `ui.elements.show_table` shortens to the minute."""

KINDS: Mapping[str, Callable[..., Any]] = {
    # every table
    "round": WHOLE,
    "source": TEXT,
    "language": TEXT,
    "utterance_id": TEXT,
    "clip": TEXT,
    "duration_s": TENTHS,
    "minutes": TENTHS,
    "hypothesis": LONG_TEXT,
    "label": LONG_TEXT,
    "speaker": TEXT,
    # error rates
    "evaluation_set": TEXT,
    "wer": PERCENT,
    "wer_low": PERCENT,
    "wer_high": PERCENT,
    "cer": PERCENT,
    "cer_low": PERCENT,
    "cer_high": PERCENT,
    "utterances": WHOLE,
    "words": WHOLE,
    # data
    "source_kind": TEXT,
    "split": TEXT,
    "weight": TENTHS,
    "examples": WHOLE,
    "draws": WHOLE,
    "hours": HUNDREDTHS,
    "target_share": PERCENT,
    "realised_share": PERCENT,
    "most_repeats": WHOLE,
    "shortest": TENTHS,
    "mean": TENTHS,
    "longest": TENTHS,
    "test_minutes": TENTHS,
    "leak_reason": TEXT,
    "text": LONG_TEXT,
    "reason": TEXT,
    "refusals": WHOLE,
    "refused_at": TIME,
    "origin": LONG_TEXT,
    "detail": LONG_TEXT,
    # answers and tasks
    "annotator": TEXT,
    "verdict": TEXT,
    "lead_time_s": TENTHS,
    "shown": LONG_TEXT,
    "unsure": YES_OR_NO,
    "answered_at": TIME,
    "withdrawn_at": TIME,
    "task_kind": TEXT,
    "task_reason": LONG_TEXT,
    "wanted": WHOLE,
    "answers": WHOLE,
    "checkpoint": TEXT,
    "quality": HUNDREDTHS,
    "promoted": YES_OR_NO,
    "fact": TEXT,
    "value": LONG_TEXT,
    "settled_at": TIME,
    # annotators
    "skips": WHOLE,
    "median_s": TENTHS,
    "edits": TENTHS,
    "edited": PERCENT,
    "unchanged": PERCENT,
    "agreement": PERCENT,
    "gold": PERCENT,
    "consistency": PERCENT,
    "unusable": PERCENT,
    "unsure_share": PERCENT,
    "figure": TEXT,
    "share": PERCENT,
    "share_low": PERCENT,
    "share_high": PERCENT,
    "counted": WHOLE,
    "day": TEXT,
    "missing": WHOLE,
    "unpushed": WHOLE,
    "age_days": TENTHS,
    # training
    "epoch": WHOLE,
    "steps": WHOLE,
    "accumulation": WHOLE,
    "loss": THOUSANDTHS,
    "validation_loss": THOUSANDTHS,
    "mean_grad_norm": HUNDREDTHS,
    "full_grad_norm": HUNDREDTHS,
    "grad_norm_bound": TENTHS,
    "expected_norm": HUNDREDTHS,
    "gradient_noise": HUNDREDTHS,
    "measured_clips": WHOLE,
    "stage": TEXT,
    "started_at": TIME,
    "finished_at": TIME,
    "taken_min": TENTHS,
    "failures": WHOLE,
    "setting": TEXT,
    "value_here": LONG_TEXT,
    "value_there": LONG_TEXT,
    "stages": TEXT,
    "parent": TEXT,
    "in_use": YES_OR_NO,
    "decision": LONG_TEXT,
    "created_at": TIME,
    "pruned_at": TIME,
    "before": PERCENT,
    "before_low": PERCENT,
    "before_high": PERCENT,
    "after": PERCENT,
    "after_low": PERCENT,
    "after_high": PERCENT,
    # rounds, and whether choosing pays
    "opened_at": TIME,
    "recorded_at": TIME,
    "tasks": WHOLE,
    "answered": WHOLE,
    "topped_up": WHOLE,
    "labelled": WHOLE,
    "labelled_min": TENTHS,
    "annotator_min": TENTHS,
    "arm_minutes": TENTHS,
    "cost": TENTHS,
    "hallucinated_share": PERCENT,
    "by_hand": LONG_TEXT,
    "arm": TEXT,
    "of_rounds": TEXT,
    "clips": WHOLE,
    "junk_share": PERCENT,
    "edits_per_minute": TENTHS,
    "edits_per_minute_low": TENTHS,
    "edits_per_minute_high": TENTHS,
    "statistic": TEXT,
    "correlation": HUNDREDTHS,
    "correlation_low": HUNDREDTHS,
    "correlation_high": HUNDREDTHS,
    "predicted": PERCENT,
    "true_wer": PERCENT,
    "labelled_h": HUNDREDTHS,
    # what is asked about
    "rank": WHOLE,
    "acquisition_score": THOUSANDTHS,
    "why": LONG_TEXT,
    "answer": TEXT,
    "hypothesis_wer": PERCENT,
    "after_wer": PERCENT,
    "flags": LONG_TEXT,
    "gate": TEXT,
    "gate_finds": LONG_TEXT,
    "gate_value": THOUSANDTHS,
    "gate_limit": THOUSANDTHS,
    "released": YES_OR_NO,
    # what is heard wrongly
    "mistake": TEXT,
    "said": TEXT,
    "heard": TEXT,
    "times": WHOLE,
    "times_said": WHOLE,
    "in_clips": WHOLE,
    "by_speakers": WHOLE,
    "changed": WHOLE,
    "missed": WHOLE,
    "added": WHOLE,
    "most_confused": TEXT,
    "said_text": LONG_TEXT,
    "heard_text": LONG_TEXT,
    # the answers behind a label
    "annotation": TEXT,
    "weighed": YES_OR_NO,
    "made_in": WHOLE,
    # two rounds, or two simulations
    "wer_from": PERCENT,
    "wer_to": PERCENT,
    "wer_change": PERCENT,
    "change_low": PERCENT,
    "change_high": PERCENT,
    "finding": TEXT,
    "both_heard": WHOLE,
    "got_better": WHOLE,
    "got_worse": WHOLE,
    "reference": LONG_TEXT,
    "heard_from": LONG_TEXT,
    "heard_to": LONG_TEXT,
    "errors_from": SIGNIFICANT,
    "errors_to": SIGNIFICANT,
    "errors_change": SIGNIFICANT,
    "compared": TEXT,
    "seeds": WHOLE,
    "asked_minutes": TENTHS,
    "final_wer": PERCENT,
    "minutes_to_reach": TENTHS,
    # what is asked about
    "heard_after": LONG_TEXT,
    # kinds of errors
    "raw_wer": PERCENT,
    "substitutions": WHOLE,
    "deletions": WHOLE,
    "insertions": WHOLE,
    "foreign_share": PERCENT,
    # what models made
    "maker": TEXT,
    "licence": TEXT,
    "non_commercial": YES_OR_NO,
    "confidence": PERCENT,
    "threshold": THOUSANDTHS,
    "kept": WHOLE,
    "kept_share": PERCENT,
    "precision": PERCENT,
    "precision_low": PERCENT,
    "precision_high": PERCENT,
    "run": WHOLE,
    "made_at": TIME,
    "recogniser": TEXT,
    # what each source brings
    "step": TEXT,
}


def column(name: str, say: Say) -> Any:
    """How Streamlit shows a column. Raises KeyError for a name that is no column of ours."""
    explained = f"columns.{name}_help"
    return KINDS[name](say(f"columns.{name}"), help=say(explained) if say.has(explained) else None)

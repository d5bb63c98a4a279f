"""The dashboard's tables: the columns that each one shows, in order, with heading and format.

Knows the queries' column names and Streamlit's column types; holds no data.
"""

from __future__ import annotations

from streamlit.column_config import NumberColumn, TextColumn

ERROR_RATES = {
    "round": NumberColumn("Round", format="%d"),
    "evaluation_set": "Evaluation set",
    "language": "Language",
    "wer": NumberColumn("WER %", format="%.1f"),
    "wer_low": NumberColumn("WER % from", format="%.1f", help="95% bootstrap interval"),
    "wer_high": NumberColumn("WER % to", format="%.1f", help="95% bootstrap interval"),
    "cer": NumberColumn("CER %", format="%.1f"),
    "cer_low": NumberColumn("CER % from", format="%.1f", help="95% bootstrap interval"),
    "cer_high": NumberColumn("CER % to", format="%.1f", help="95% bootstrap interval"),
    "raw_wer": NumberColumn("Raw WER %", format="%.1f", help="Of the texts as they were written"),
    "raw_wer_low": NumberColumn("Raw WER % from", format="%.1f", help="95% bootstrap interval"),
    "raw_wer_high": NumberColumn("Raw WER % to", format="%.1f", help="95% bootstrap interval"),
    "raw_cer": NumberColumn("Raw CER %", format="%.1f", help="Of the texts as they were written"),
    "raw_cer_low": NumberColumn("Raw CER % from", format="%.1f", help="95% bootstrap interval"),
    "raw_cer_high": NumberColumn("Raw CER % to", format="%.1f", help="95% bootstrap interval"),
    "substitutions": "Substituted",
    "deletions": "Deleted",
    "insertions": "Inserted",
    "foreign_share": NumberColumn(
        "Foreign letters %",
        format="%.1f",
        help="Words heard that hold a letter which the language does not have",
    ),
    "utterances": "Utterances",
    "words": "Words",
}
ROUNDS = {
    "round": NumberColumn("Round", format="%d"),
    "stage": "Stage",
    "opened_at": "Opened (UTC)",
    "recorded_at": "Recorded (UTC)",
    "tasks": "Tasks",
    "answered": "Answered",
    "labelled": NumberColumn("Labelled", help="Answers that settled on a transcript"),
    "labelled_min": NumberColumn("Labelled minutes", format="%.1f"),
    "hallucinated_share": NumberColumn(
        "Words in silence %", format="%.1f", help="Clips of the silence set in which it hears words"
    ),
    "decision": TextColumn("Decision", width="large"),
    "by_hand": TextColumn("Put in use by hand", help="After the round was opened: which, and why"),
}
MIXTURE = {
    "source": "Source",
    "kind": "Kind",
    "language": "Language",
    "weight": NumberColumn("Weight", format="%.1f"),
    "examples": "Examples",
    "minutes": NumberColumn("Minutes", format="%.1f"),
    "target_share": NumberColumn("Target share %", format="%.1f"),
    "realised_share": NumberColumn("Realised share %", format="%.1f"),
    "most_repeats": NumberColumn("Most repeats", help="Of one example in one epoch"),
}
LEAKS = {
    "source": "Source",
    "reason": "Same",
    "text": TextColumn("Text", width="large"),
    "evaluation_set": "Evaluation set",
    "utterance_id": "Utterance",
}
TRAINING = {
    "epoch": NumberColumn("Epoch", format="%d"),
    "draws": "Draws",
    "steps": "Steps",
    "accumulation": NumberColumn("Accumulation", help="Forward passes per optimiser step"),
    "loss": NumberColumn("Loss", format="%.3f"),
    "validation_loss": NumberColumn("Validation loss", format="%.3f"),
    "mean_grad_norm": NumberColumn(
        "Mean gradient norm", format="%.2f", help="Of the optimiser steps, before clipping"
    ),
    "full_grad_norm": NumberColumn("Full gradient norm", format="%.2f"),
    "grad_norm_bound": NumberColumn("Bound", format="%.1f", help="train.grad_norm_bound"),
}

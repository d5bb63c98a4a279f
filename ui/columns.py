"""The dashboard's tables: the columns that each one shows, in order, with heading and format.

Knows the queries' column names and Streamlit's column types; holds no data.
"""

from __future__ import annotations

from streamlit.column_config import CheckboxColumn, NumberColumn, TextColumn

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
ARMS = {
    "of": "Of",
    "arm": TextColumn(
        "Arm",
        help="Acquired for its score; control, drawn at random from what the gates let through; "
        "explored, drawn at random from what they hold back",
    ),
    "tasks": NumberColumn("Clips", help="Those that are answered"),
    "labelled": NumberColumn("Labelled", help="Answers that settled on a transcript"),
    "junk_share": NumberColumn("Junk %", format="%.1f", help="Bad audio or another language"),
    "wer": NumberColumn("WER %", format="%.1f", help="Of the hypotheses, by the labels"),
    "wer_low": NumberColumn("WER % from", format="%.1f", help="95% bootstrap interval"),
    "wer_high": NumberColumn("WER % to", format="%.1f", help="95% bootstrap interval"),
    "edits_per_minute": NumberColumn(
        "Edits a minute", format="%.1f", help="Word errors mended in a minute of labelling"
    ),
    "edits_per_minute_low": NumberColumn(
        "Edits from", format="%.1f", help="95% bootstrap interval"
    ),
    "edits_per_minute_high": NumberColumn("Edits to", format="%.1f", help="95% bootstrap interval"),
    "annotator_min": NumberColumn(
        "Annotator minutes", format="%.1f", help="Working time, breaks cut off"
    ),
}
CORRELATIONS = {
    "statistic": "Statistic",
    "value": NumberColumn("Spearman", format="%.2f", help="Rank correlation with the true WER"),
    "low": NumberColumn("From", format="%.2f", help="95% interval"),
    "high": NumberColumn("To", format="%.2f", help="95% interval"),
    "answers": "Answers",
}
CALIBRATION = {
    "answers": "Answers",
    "predicted": NumberColumn("Predicted WER %", format="%.1f"),
    "true": NumberColumn("True WER %", format="%.1f"),
}
GATES = {
    "gate": "Gate",
    "utterances": "Clips",
    "minutes": NumberColumn("Minutes", format="%.1f"),
    "limit": NumberColumn("Limit", format="%.3f", help="As the newest selection had learned it"),
}
GATED = {
    "clip": TextColumn("Clip", help="The beginning of its id"),
    "gate": "Gate",
    "value": NumberColumn("Value", format="%.3f", help="What the gate measured"),
    "limit": NumberColumn("Limit", format="%.3f", help="The gate's, when it held the clip back"),
    "hypothesis": TextColumn(
        "Hypothesis", width="large", help="None: the gate spared the decoding"
    ),
    "duration_s": NumberColumn("Seconds", format="%.1f"),
    "source": "Source",
    "round": NumberColumn("Round", format="%d", help="Of the newest selection that says so"),
    "released": CheckboxColumn("Released", help="The next selection may choose it"),
}
SIMULATIONS = {
    "simulation": "Simulation",
    "state": "State",
    "strategy": "Strategy",
    "seeds": NumberColumn("Seeds", help="Those that are finished, which the means are over"),
    "minutes": NumberColumn("Minutes", format="%.1f", help="Audio asked about, in the last round"),
    "junk_share": NumberColumn("Junk %", format="%.1f", help="Of the clips asked about"),
}

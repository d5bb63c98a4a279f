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
    "decision": TextColumn("Decision", width="large"),
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

"""The schema, pinned: a change of a released table is a new step of storage/migrations.py."""

from __future__ import annotations

import sqlite3

import pytest
from sqlite_utils import Database

from storage.migrations import migrations
from storage.store import Store

COLUMNS = {
    "workspace": "id created_at follow_ups_due",
    "projects": "server project_id name high_water swept_at refreshed_for found_at",
    "sources": "name kind language weight",
    "utterances": "id sample_hash audio duration_s source language split text speaker origin "
    "start_s text_origin made_by",
    "refusals": "origin reason detail refused_at",
    "unhearable": "utterance_id reason detail refused_at",
    "checkpoints": "id path parent sidecar created_at pruned_at",
    "rounds": "number seed stage checkpoint_id candidate_id compared_with manifest_id promoted "
    "decision opened_at pushed_at recorded_at",
    "promotions": "id checkpoint_id round promoted_by reason promoted_at",
    "stage_runs": "round stage settings started_at starts finished_at failures error retry_at",
    "progress": "process round stage what done total workers started_at updated_at",
    "hypotheses": "checkpoint_id utterance_id token_count mean_log_prob mean_token_entropy "
    "top_token_entropy tsallis_entropy renyi_entropy mean_margin no_speech_prob compression_ratio "
    "word_count character_count text",
    "hypothesis_parts": "number checkpoint_id file hypotheses",
    "encoders": "name dimension file",
    "embedding_tail": "encoder start embeddings",
    "profiles": "encoder utterance_id loudness_dbfs clipped_share speech_share other_language "
    "other_language_prob embedding_row",
    "query_batches": "utterance_id round rank acquisition_score arm top_up",
    "tasks": "utterance_id round copy kind rank reason checkpoint_id hypothesis word_probs server "
    "project_id task_id closed_at answers wanted",
    "evaluation_draws": "name utterance_id grouped_by grouping frozen_at",
    "selections": "round facts",
    "gated": "utterance_id round gate value limit_value",
    "gate_counts": "round gate utterances duration_s",
    "releases": "id utterance_id reason released_at",
    "annotations": "server project_id id task_id utterance_id round copy annotator text verdict "
    "lead_time_s shown unsure created_at updated_at deleted_at",
    "labels": "utterance_id text verdict annotation_ids settled quality flags settled_at",
    "manifests": "id created_at",
    "manifest_examples": "manifest_id utterance_id source text quality",
    "leaks": "manifest_id utterance_id source text evaluation_id reason",
    "mixtures": "manifest_id source kind language weight examples duration_s target_share "
    "realised_share most_repeats draws",
    "evaluations": "round checkpoint_id evaluation_set language utterances words wer wer_low "
    "wer_high cer cer_low cer_high raw_wer raw_wer_low raw_wer_high raw_cer raw_cer_low "
    "raw_cer_high substitutions deletions insertions foreign_share normaliser",
    "silence_evaluations": "round checkpoint_id clips hallucinated",
    "reports": "round report made_at",
    "simulations": "name settings started_at finished_at",
    "simulation_points": "simulation strategy seed round labelled_s annotator_s chosen_s junk_s "
    "tasks junk_tasks wer words errors utterance_errors spearman spearman_low spearman_high",
    "makers": "name licence",
    "pseudo_labels": "utterance_id text confidence made_by",
    "pseudo_label_runs": "id round report made_at",
    "learned_examples": "learner utterance_id text",
    "ablations": "name settings started_at finished_at",
    "ablation_results": "ablation variant seed evaluation_set language examples audio_s draws "
    "utterance_errors",
}
KEYS = {
    "workspace": "id",
    "projects": "server project_id",
    "sources": "name",
    "utterances": "id",
    "refusals": "origin reason",
    "unhearable": "utterance_id",
    "checkpoints": "id",
    "rounds": "number",
    "promotions": "id",
    "stage_runs": "round stage",
    "progress": "process",
    "hypotheses": "checkpoint_id utterance_id",
    "hypothesis_parts": "number",
    "encoders": "name",
    "embedding_tail": "encoder start",
    "profiles": "encoder utterance_id",
    "query_batches": "utterance_id",
    "tasks": "utterance_id round copy",
    "evaluation_draws": "name utterance_id",
    "selections": "round",
    "gated": "utterance_id",
    "gate_counts": "round gate",
    "releases": "id",
    "annotations": "server project_id utterance_id round copy id",
    "labels": "utterance_id",
    "manifests": "id",
    "manifest_examples": "manifest_id utterance_id",
    "leaks": "manifest_id utterance_id",
    "mixtures": "manifest_id source",
    "evaluations": "round checkpoint_id evaluation_set",
    "silence_evaluations": "round checkpoint_id",
    "reports": "round",
    "simulations": "name",
    "simulation_points": "simulation strategy seed round",
    "makers": "name",
    "pseudo_labels": "utterance_id",
    "pseudo_label_runs": "id",
    "learned_examples": "learner utterance_id",
    "ablations": "name",
    "ablation_results": "ablation variant seed evaluation_set",
}


@pytest.fixture
def db() -> Database:
    database = Database(memory=True)
    migrations.apply(database)
    return database


def tables(db: Database) -> list[str]:
    return [name for name in db.table_names() if not name.startswith("_")]


def test_the_columns_of_every_table(db: Database) -> None:
    assert {
        name: " ".join(column.name for column in db[name].columns) for name in tables(db)
    } == COLUMNS


def test_the_primary_key_of_every_table(db: Database) -> None:
    assert {name: " ".join(db[name].pks) for name in tables(db)} == KEYS


def test_every_table_checks_its_types(db: Database) -> None:
    assert [name for name in tables(db) if not db[name].strict] == []


def test_migrating_twice_changes_nothing(db: Database) -> None:
    before = list(db.iterdump())
    migrations.apply(db)
    assert list(db.iterdump()) == before
    assert migrations.pending(db) == []


def test_opening_a_store_again_keeps_its_rows(store: Store) -> None:
    before = list(store.db.iterdump())
    store.close()
    assert list(Store(store.workspace).db.iterdump()) == before


@pytest.mark.parametrize(("text", "verdict"), [(None, None), ("'салам'", "'bad_audio'")])
@pytest.mark.parametrize("table", ["annotations", "labels"])
def test_an_answer_is_a_text_or_a_verdict(
    db: Database, table: str, text: str | None, verdict: str | None
) -> None:
    names = {
        "annotations": "server, project_id, id, task_id, utterance_id, round, copy, annotator, "
        "unsure, created_at, updated_at",
        "labels": "utterance_id, annotation_ids, settled, quality, flags, settled_at",
    }[table]
    values = ", ".join("'single'" if name == "settled" else "'1'" for name in names.split(", "))
    with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
        db.execute(
            f"INSERT INTO {table} ({names}, text, verdict) "
            f"VALUES ({values}, {text or 'NULL'}, {verdict or 'NULL'})"
        )

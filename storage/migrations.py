"""The schema of a workspace's database, one numbered step after another.

A released step is never edited; a change is a new step. `tests/storage/test_migrations.py` pins
the columns. Knows SQL and nothing of what the loop does with it.
"""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("al_loop")

SCHEMA = """
CREATE TABLE workspace (
    id TEXT PRIMARY KEY,             -- random, made once; marks our project in Label Studio
    created_at TEXT NOT NULL,
    follow_ups_due INTEGER NOT NULL DEFAULT 0 -- 1: answers changed since they were planned
) STRICT;
CREATE TABLE projects (              -- of ours, on any Label Studio that was ever named
    server TEXT NOT NULL,            -- when the project was made there; names the server
    project_id INTEGER NOT NULL,     -- its id there
    name TEXT NOT NULL,              -- `all`, `round 3`, `evaluation`
    high_water TEXT,                 -- the next pull asks for tasks changed since then
    swept_at TEXT,                   -- when its tasks were last looked for
    refreshed_for TEXT REFERENCES checkpoints(id), -- whose hypotheses its tasks were offered last
    found_at TEXT NOT NULL,          -- the project in use under a name was found last
    PRIMARY KEY (server, project_id)
) STRICT;
CREATE TABLE sources (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    language TEXT NOT NULL,
    weight REAL NOT NULL
) STRICT;
CREATE TABLE utterances (
    id TEXT PRIMARY KEY,             -- SHA-256 of the file's bytes
    sample_hash TEXT NOT NULL UNIQUE,-- SHA-256 of its 16 kHz mono samples
    audio TEXT NOT NULL,             -- path in the workspace
    duration_s REAL NOT NULL,
    source TEXT NOT NULL REFERENCES sources(name),
    language TEXT NOT NULL,
    split TEXT NOT NULL CHECK (split IN
        ('pool', 'train', 'validation', 'test', 'silence', 'reserved')),
    text TEXT,
    speaker TEXT,
    origin TEXT NOT NULL,            -- the file or row that it was taken from
    start_s REAL,                    -- where it begins in that recording; NULL: at its beginning
    text_origin TEXT,                -- where the text comes from, if not from there
    made_by TEXT                     -- the model that spoke the clip, or cut it to its text
) STRICT;
CREATE INDEX utterances_by_split     -- durations are summed without a look at the rows
    ON utterances (split, source, duration_s);
CREATE INDEX parts_by_recording      -- an origin begins with the recording's name
    ON utterances (origin) WHERE start_s IS NOT NULL;
CREATE TABLE refusals (
    origin TEXT NOT NULL,            -- a file, a manifest's row, or a task
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    refused_at TEXT NOT NULL,
    PRIMARY KEY (origin, reason)
) STRICT;
CREATE TABLE unhearable (            -- clips of the pool that no worker could work on
    utterance_id TEXT PRIMARY KEY REFERENCES utterances(id),
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    refused_at TEXT NOT NULL
) STRICT;
CREATE TABLE checkpoints (
    id TEXT PRIMARY KEY,             -- hash of all that made it
    path TEXT NOT NULL,
    parent TEXT REFERENCES checkpoints(id),
    sidecar TEXT NOT NULL,           -- JSON
    created_at TEXT NOT NULL,
    pruned_at TEXT                   -- its folder is deleted, or about to be
) STRICT;
CREATE TABLE rounds (
    number INTEGER PRIMARY KEY,
    seed INTEGER NOT NULL,
    stage TEXT,                      -- the next one to run; NULL: recorded
    checkpoint_id TEXT NOT NULL REFERENCES checkpoints(id), -- in use when it was opened
    candidate_id TEXT REFERENCES checkpoints(id),
    compared_with TEXT REFERENCES checkpoints(id), -- in use when its candidate was judged
    manifest_id TEXT REFERENCES manifests(id),
    promoted INTEGER,                -- 1, 0, or NULL before the decision
    decision TEXT,                   -- the reason in words
    opened_at TEXT NOT NULL,
    pushed_at TEXT,
    recorded_at TEXT
) STRICT;
CREATE TABLE promotions (        -- appended to; the last one is the checkpoint in use
    id INTEGER PRIMARY KEY,
    checkpoint_id TEXT NOT NULL REFERENCES checkpoints(id),
    round INTEGER REFERENCES rounds(number), -- the newest one then
    promoted_by TEXT NOT NULL CHECK (promoted_by IN ('start', 'gate', 'hand', 'rollback')),
    reason TEXT NOT NULL,
    promoted_at TEXT NOT NULL
) STRICT;
CREATE TABLE stage_runs (
    round INTEGER NOT NULL,          -- "open" is a stage before there is a round
    stage TEXT NOT NULL,
    settings TEXT NOT NULL,          -- JSON, as they were when it last started
    started_at TEXT NOT NULL,
    starts INTEGER NOT NULL,         -- since it last came to an end: more than 1 after a kill
    finished_at TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    error TEXT,                      -- the last failure's message
    retry_at TEXT,                   -- not before then, unless somebody asks
    PRIMARY KEY (round, stage)
) STRICT;
CREATE TABLE progress (              -- work in hand; a process that was killed leaves its row
    process TEXT PRIMARY KEY,        -- its id, and where it is
    round INTEGER,                   -- NULL: a command's
    stage TEXT,                      -- or the command
    what TEXT NOT NULL,              -- was done to the clips: `heard`
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    workers INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE TABLE hypotheses (            -- a checkpoint's lie together, by utterance
    checkpoint_id TEXT NOT NULL REFERENCES checkpoints(id),
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    token_count INTEGER NOT NULL,
    mean_log_prob REAL,              -- statistics: NULL is what was not a number
    mean_token_entropy REAL,
    top_token_entropy REAL,
    tsallis_entropy REAL,
    renyi_entropy REAL,
    mean_margin REAL,
    no_speech_prob REAL,
    compression_ratio REAL,
    word_count INTEGER NOT NULL,     -- of the text, which comes last: a pool's numbers are read
    character_count INTEGER NOT NULL,-- without it
    text TEXT NOT NULL,
    PRIMARY KEY (checkpoint_id, utterance_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE hypothesis_parts (      -- files of them, in place of a checkpoint's rows of the pool
    number INTEGER PRIMARY KEY,      -- where two hold an utterance, the higher one counts
    checkpoint_id TEXT NOT NULL REFERENCES checkpoints(id),
    file TEXT NOT NULL UNIQUE,       -- under hypotheses/: Parquet, sorted by utterance
    hypotheses INTEGER NOT NULL      -- how many it holds
) STRICT;
CREATE TABLE encoders (              -- each has a file of embeddings
    name TEXT PRIMARY KEY,
    dimension INTEGER NOT NULL,
    file TEXT NOT NULL UNIQUE        -- under embeddings/: rows of little-endian float16
) STRICT;
CREATE TABLE embedding_tail (        -- the last rows of an encoder's file, until they are in it
    encoder TEXT NOT NULL REFERENCES encoders(name),
    start INTEGER NOT NULL,          -- the first of these rows
    embeddings BLOB NOT NULL,
    PRIMARY KEY (encoder, start)
) STRICT;
CREATE TABLE profiles (              -- an encoder's lie together, by utterance
    encoder TEXT NOT NULL REFERENCES encoders(name),
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    loudness_dbfs REAL,              -- statistics, as above
    clipped_share REAL,
    speech_share REAL,
    other_language TEXT NOT NULL,
    other_language_prob REAL,
    embedding_row INTEGER,           -- in the encoder's file; NULL: it was not finite
    PRIMARY KEY (encoder, utterance_id),
    UNIQUE (encoder, embedding_row)
) STRICT, WITHOUT ROWID;
CREATE TABLE query_batches (
    utterance_id TEXT PRIMARY KEY REFERENCES utterances(id),
    round INTEGER NOT NULL REFERENCES rounds(number),
    rank INTEGER NOT NULL,
    acquisition_score REAL NOT NULL,
    arm TEXT NOT NULL CHECK (arm IN ('acquired', 'control', 'explored')),
    top_up INTEGER NOT NULL DEFAULT 0,-- 1: chosen later, so that annotators have something to do
    UNIQUE (round, rank)
) STRICT;
CREATE TABLE tasks (                 -- what annotators are asked; its key is in Label Studio too
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    round INTEGER NOT NULL,
    copy INTEGER NOT NULL,           -- 0: the first about the utterance in its round
    kind TEXT NOT NULL
        CHECK (kind IN ('query', 'gold', 'repeat', 'adjudication', 'evaluation')),
    rank INTEGER NOT NULL,
    reason TEXT NOT NULL,
    checkpoint_id TEXT REFERENCES checkpoints(id), -- whose hypothesis is shown
    hypothesis TEXT,                 -- as it is shown; NULL until there is one
    word_probs TEXT NOT NULL DEFAULT '[]', -- JSON array: of each of its words
    server TEXT,                     -- where it was pushed; NULL until then
    project_id INTEGER,
    task_id TEXT,
    closed_at TEXT,                  -- deleted there, and not to be pushed again
    answers INTEGER NOT NULL DEFAULT 0, -- that count; written whenever annotations are
    wanted INTEGER NOT NULL DEFAULT 1, -- how many answers it waits for
    PRIMARY KEY (utterance_id, round, copy)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_round ON tasks (round, rank);
CREATE INDEX open_tasks ON tasks (server, project_id) WHERE answers < wanted AND closed_at IS NULL;
CREATE TABLE evaluation_draws (      -- utterances that are to become an evaluation set
    name TEXT NOT NULL,              -- of the set, and of its source
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    grouped_by TEXT NOT NULL,        -- whose other utterances left the pool with it
    grouping TEXT NOT NULL           -- what the set was grouped by
        CHECK (grouping IN ('speaker', 'recording', 'clip')),
    frozen_at TEXT,                  -- when it became part of the set; NULL: it is being labelled
    PRIMARY KEY (name, utterance_id)
) STRICT;
CREATE TABLE selections (
    round INTEGER PRIMARY KEY REFERENCES rounds(number),
    facts TEXT NOT NULL              -- JSON: how its batch was chosen, by which limits
) STRICT;
CREATE TABLE gated (                 -- what a gate keeps from annotators, and why
    utterance_id TEXT PRIMARY KEY REFERENCES utterances(id),
    round INTEGER NOT NULL REFERENCES rounds(number), -- of the newest selection that says so
    gate TEXT NOT NULL,
    value REAL,                      -- NULL: not a number
    limit_value REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE gate_counts (           -- of what each gate held back when the round had selected
    round INTEGER NOT NULL REFERENCES rounds(number),
    gate TEXT NOT NULL,
    utterances INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    PRIMARY KEY (round, gate)
) STRICT;
CREATE TABLE releases (              -- appended to: no gate holds these any more
    id INTEGER PRIMARY KEY,
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    reason TEXT NOT NULL,
    released_at TEXT NOT NULL
) STRICT;
CREATE TABLE annotations (
    server TEXT NOT NULL,            -- which Label Studio
    project_id INTEGER NOT NULL,
    id TEXT NOT NULL,                -- its id there
    task_id TEXT NOT NULL,
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    round INTEGER NOT NULL,          -- with `copy`, of the task
    copy INTEGER NOT NULL,
    annotator TEXT NOT NULL,
    text TEXT,
    verdict TEXT,
    lead_time_s REAL,
    shown TEXT,                      -- the hypothesis that was corrected
    unsure INTEGER NOT NULL,         -- 1: the annotator doubts the text
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deleted_at TEXT,                 -- withdrawn on the server: it counts no longer
    PRIMARY KEY (server, project_id, utterance_id, round, copy, id),
    CHECK ((text IS NULL) <> (verdict IS NULL))
) STRICT;
CREATE INDEX annotations_by_task ON annotations (utterance_id, round, copy);
CREATE TABLE labels (
    utterance_id TEXT PRIMARY KEY REFERENCES utterances(id),
    text TEXT,
    verdict TEXT,
    annotation_ids TEXT NOT NULL,    -- JSON array
    settled TEXT NOT NULL CHECK
        (settled IN ('single', 'agreed', 'adjudicated', 'voted', 'disputed')),
    quality REAL NOT NULL,           -- how much an example of it counts
    flags TEXT NOT NULL,             -- JSON array: what is odd about it
    settled_at TEXT NOT NULL,
    CHECK ((text IS NULL) <> (verdict IS NULL))
) STRICT;
CREATE TABLE manifests (
    id TEXT PRIMARY KEY,             -- hash of its examples and of their mixture
    created_at TEXT NOT NULL
) STRICT;
CREATE TABLE manifest_examples (
    manifest_id TEXT NOT NULL REFERENCES manifests(id),
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    source TEXT NOT NULL,
    text TEXT NOT NULL,
    quality REAL NOT NULL,           -- of its label
    PRIMARY KEY (manifest_id, utterance_id)
) STRICT;
CREATE INDEX manifest_examples_by_utterance ON manifest_examples (utterance_id);
CREATE TABLE leaks (                 -- left out of the manifest, for an evaluation set holds them
    manifest_id TEXT NOT NULL REFERENCES manifests(id),
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    source TEXT NOT NULL,
    text TEXT NOT NULL,
    evaluation_id TEXT NOT NULL REFERENCES utterances(id),
    reason TEXT NOT NULL CHECK (reason IN ('audio', 'text')),
    PRIMARY KEY (manifest_id, utterance_id)
) STRICT;
CREATE TABLE mixtures (
    manifest_id TEXT NOT NULL REFERENCES manifests(id),
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    language TEXT NOT NULL,
    weight REAL NOT NULL,
    examples INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    target_share REAL NOT NULL,
    realised_share REAL NOT NULL,
    most_repeats INTEGER NOT NULL,
    draws INTEGER NOT NULL,          -- of the source, in one epoch
    PRIMARY KEY (manifest_id, source)
) STRICT;
CREATE TABLE evaluations (
    round INTEGER NOT NULL REFERENCES rounds(number),
    checkpoint_id TEXT NOT NULL REFERENCES checkpoints(id),
    evaluation_set TEXT NOT NULL,
    language TEXT NOT NULL,
    utterances INTEGER NOT NULL,
    words INTEGER NOT NULL,
    wer REAL NOT NULL,
    wer_low REAL NOT NULL,
    wer_high REAL NOT NULL,
    cer REAL NOT NULL,
    cer_low REAL NOT NULL,
    cer_high REAL NOT NULL,
    raw_wer REAL NOT NULL,           -- raw: of the texts as they were written
    raw_wer_low REAL NOT NULL,
    raw_wer_high REAL NOT NULL,
    raw_cer REAL NOT NULL,
    raw_cer_low REAL NOT NULL,
    raw_cer_high REAL NOT NULL,
    substitutions INTEGER NOT NULL,
    deletions INTEGER NOT NULL,
    insertions INTEGER NOT NULL,
    foreign_share REAL,              -- NULL: no rule for the language
    normaliser TEXT NOT NULL,
    PRIMARY KEY (round, checkpoint_id, evaluation_set)
) STRICT;
CREATE TABLE silence_evaluations (
    round INTEGER NOT NULL REFERENCES rounds(number),
    checkpoint_id TEXT NOT NULL REFERENCES checkpoints(id),
    clips INTEGER NOT NULL,
    hallucinated INTEGER NOT NULL,   -- clips in which words were heard
    PRIMARY KEY (round, checkpoint_id)
) STRICT;
CREATE TABLE reports (
    round INTEGER PRIMARY KEY REFERENCES rounds(number),
    report TEXT NOT NULL,            -- JSON
    made_at TEXT NOT NULL
) STRICT;
CREATE TABLE simulations (
    name TEXT PRIMARY KEY,
    settings TEXT NOT NULL,          -- JSON
    started_at TEXT NOT NULL,
    finished_at TEXT                 -- NULL: it may be gone on with
) STRICT;
CREATE TABLE simulation_points (
    simulation TEXT NOT NULL REFERENCES simulations(name),
    strategy TEXT NOT NULL,
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,          -- of the simulated loop
    labelled_s REAL NOT NULL,        -- audio with a text by then
    annotator_s REAL NOT NULL,
    chosen_s REAL NOT NULL,          -- audio that was asked about by then
    junk_s REAL NOT NULL,            -- the part of it that got a verdict
    tasks INTEGER NOT NULL,
    junk_tasks INTEGER NOT NULL,
    wer REAL NOT NULL,
    words INTEGER NOT NULL,          -- of the references
    errors INTEGER NOT NULL,
    utterance_errors TEXT NOT NULL,  -- JSON: errors and words of each test utterance, by id
    spearman REAL,                   -- of score and true WER; NULL: not known
    spearman_low REAL,
    spearman_high REAL,
    PRIMARY KEY (simulation, strategy, seed, round)
) STRICT;
CREATE TABLE makers (                -- models that spoke, cut or wrote what training may use
    name TEXT PRIMARY KEY,           -- as `made_by` has it
    licence TEXT NOT NULL            -- of its weights or program, as far as it is known
) STRICT;
CREATE TABLE pseudo_labels (         -- texts that recognisers agree on; remade as a whole
    utterance_id TEXT PRIMARY KEY REFERENCES utterances(id),
    text TEXT NOT NULL,
    confidence REAL NOT NULL,        -- expected share of its words that are right; its quality
    made_by TEXT NOT NULL            -- the recognisers
) STRICT;
CREATE TABLE pseudo_label_runs (     -- appended to; the last one made the texts above
    id INTEGER PRIMARY KEY,
    round INTEGER REFERENCES rounds(number), -- in which they were made; NULL: by hand
    report TEXT NOT NULL,            -- JSON: threshold, precision and volume, by recogniser
    made_at TEXT NOT NULL
) STRICT;
CREATE TABLE learned_examples (      -- what a recogniser beside the checkpoints has learned
    learner TEXT NOT NULL,           -- its folder in the workspace
    utterance_id TEXT NOT NULL REFERENCES utterances(id),
    text TEXT NOT NULL,
    PRIMARY KEY (learner, utterance_id)
) STRICT;
CREATE INDEX learned_examples_by_utterance ON learned_examples (utterance_id);
CREATE TABLE ablations (
    name TEXT PRIMARY KEY,
    settings TEXT NOT NULL,          -- JSON: all that its results depend on
    started_at TEXT NOT NULL,
    finished_at TEXT                 -- NULL: it may be gone on with
) STRICT;
CREATE TABLE ablation_results (
    ablation TEXT NOT NULL REFERENCES ablations(name),
    variant TEXT NOT NULL,           -- JSON array of the sources it was trained on
    seed INTEGER NOT NULL DEFAULT 0, -- which training of them; 0 where it was not trained
    evaluation_set TEXT NOT NULL,
    language TEXT NOT NULL,
    examples INTEGER NOT NULL,       -- that it was trained on
    audio_s REAL NOT NULL,           -- theirs
    draws INTEGER NOT NULL,          -- in an epoch
    utterance_errors TEXT NOT NULL,  -- JSON: errors and words of each test utterance, by id
    PRIMARY KEY (ablation, variant, seed, evaluation_set)
) STRICT;
"""


@migrations()
def m001_initial(db: Database) -> None:
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)

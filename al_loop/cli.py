"""The commands. Knows Click, and what `al_loop.wiring` joins; knows no algorithm.

Heavy imports stay inside the functions that need them: `--help`, `status` and a `round` that only
waits load neither torch nor the Label Studio SDK.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from al_loop.commands import (
    ablate,
    align,
    annotators,
    audio,
    backup,
    ctc,
    doctor,
    evalset,
    importing,
    labelstudio,
    pseudo,
    report,
    synthesise,
    transfer,
    ui,
)
from al_loop.config import load_settings
from al_loop.errors import AlLoopError, WorkspaceError
from al_loop.records import MAIN_PROJECT, STAGES
from al_loop.wiring import (
    LOG,
    alone,
    clips_of,
    connect_label_studio,
    connect_oracle,
    find_checkpoint,
    open_engine,
    open_workspace,
    recognizer_of,
    weights,
    wire,
)
from storage.workspace import Workspace

if TYPE_CHECKING:
    from al_loop.config import Settings
    from al_loop.records import Hypothesis
    from labeling.session import Session
    from storage.queries import Reader

GATES = (
    "quiet",
    "clipped",
    "no_speech",
    "other_language",
    "looping",
    "too_short_text",
    "too_long_text",
    "duplicate",
    "like_rejected",
)
"""As `al_loop.acquisition.gates` has them, which would load NumPy for every command."""
FORMATS = ("transformers", "ctranslate2")
REPLAY_ENDS_S = 200.0
"""Longest wait for a replay's lock, as for a trial's: `al_loop.trial.ENDS_S`."""
POSITIVE = click.FloatRange(min=0, min_open=True)
QUANTIZATIONS = ("float32", "float16", "bfloat16", "int16", "int8", "int8_float16", "int8_float32")
"""Of CTranslate2's, those that faster-whisper loads on every machine it runs on."""


class Commands(click.Group):
    """Shows our own errors as one message, and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AlLoopError as exc:
            raise click.ClickException(str(exc)) from exc


@click.group(cls=Commands)
@click.option(
    "--workspace",
    "-w",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="AL_LOOP_WORKSPACE",
    default=Path(),
    show_default="the current folder",
    help="The workspace's folder.",
)
@click.version_option(package_name="al-loop")
@click.pass_context
def main(ctx: click.Context, workspace: Path) -> None:
    """Active-learning annotation for speech recognition."""
    from al_loop.logs import about

    ctx.obj = workspace
    ctx.with_resource(about(command=ctx.invoked_subcommand))


# -- the workspace -------------------------------------------------------------------------------


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.pass_obj
def init(workspace: Path, folder: Path | None) -> None:
    """Make a workspace: a folder with an al_loop.toml to edit."""
    from al_loop.config_file import default_config
    from storage.store import Store

    root = folder or workspace
    root.mkdir(parents=True, exist_ok=True)
    path = Workspace(root).config
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(default_config())
    except FileExistsError as exc:
        raise WorkspaceError(f"{path} exists already, and stays as it is") from exc
    Store(Workspace.open(root)).close()
    click.echo(f"{path} is written; `al-loop -w {root} ingest …` brings audio in")


# -- the loop ------------------------------------------------------------------------------------


@main.command(name="round")
@click.option("--close", is_flag=True, help="Do not wait for the answers that are still open.")
@click.option("--verbose", "-v", is_flag=True, help="Say what happens, also without a terminal.")
@click.pass_obj
def round_(workspace: Path, close: bool, verbose: bool) -> None:
    """Advance the open round as far as it goes now; made for cron.

    Waiting for annotators is a normal end. Without a terminal, a call that only waits, is paused
    after a failure, or finds another one at work prints nothing and exits with 0.
    """
    from filelock import FileLock, Timeout

    root, settings, store = open_workspace(workspace)
    watched = verbose or sys.stdout.isatty()
    try:
        with FileLock(root.lock, blocking=False):
            loop = wire(root, settings, store, _teller(watched))
            outcome = loop.advance(close=close, insist=sys.stdout.isatty())
    except Timeout:
        if watched:
            click.echo("another round is at work in this workspace")
        return
    except AlLoopError:
        raise
    except Exception as exc:
        LOG.exception("round failed")
        raise click.ClickException(f"{exc!r}; the whole story is in {root.logs}") from exc
    if outcome.kind == "recorded":
        click.echo(_summary(root, outcome.round or 0))
    elif watched:
        click.echo(outcome.message)


@main.command()
@click.pass_obj
def status(workspace: Path) -> None:
    """Where the loop stands and what it waits for, in five lines."""
    from al_loop.report import status_lines
    from storage.queries import Reader

    root = Workspace.open(workspace)
    for line in status_lines(Reader(root), load_settings(root.config)):
        click.echo(line)


# -- what is asked, and whether it pays ----------------------------------------------------------


@main.group()
def gates() -> None:
    """Clips that are kept from annotators, and why."""


@gates.command(name="list")
@click.option("--gate", type=click.Choice(GATES), help="Of this gate only.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.pass_obj
def list_gated(workspace: Path, gate: str | None, limit: int) -> None:
    """How much each gate holds back, and some of the clips, with value and limit."""
    from al_loop.report import gate_lines
    from storage.queries import Reader

    for line in gate_lines(Reader(Workspace.open(workspace)), gate, limit):
        click.echo(line)


@gates.command()
@click.argument("utterances", nargs=-1, required=True)
@click.option("--reason", default="no reason given", show_default=True)
@click.pass_obj
def release(workspace: Path, utterances: Sequence[str], reason: str) -> None:
    """Let clips be chosen in spite of their gate, from the next selection on.

    A clip that no worker could work on is tried again.

    UTTERANCES are ids, or beginnings of ids that fit one utterance.
    """
    root, _, store = open_workspace(workspace)
    with alone(root):
        for name in utterances:
            click.echo(f"{store.release(name, reason)} is released")


@main.command()
@click.argument("number", metavar="[ROUND]", type=int, required=False)
@click.pass_obj
def evidence(workspace: Path, number: int | None) -> None:
    """Whether choosing pays: both arms compared, predictions, learning curve, advice.

    ROUND: default the newest that is recorded.
    """
    from al_loop.report import evidence_lines
    from storage.queries import Reader

    for line in evidence_lines(Reader(Workspace.open(workspace)), number):
        click.echo(line)


@main.command()
@click.pass_obj
def arms(workspace: Path) -> None:
    """Train once on each arm's labels, equal seconds of both, and compare the two by WER.

    This is the proof that `evidence` estimates, by one training an arm: the interval does not
    cover a training's luck. It changes no round and no checkpoint. While it trains it holds the
    workspace, and `round` does nothing. Interrupted, it goes on where it was, unless a round trains
    in between, which deletes what it had.
    """
    from al_loop.arms import lines, retrain_arms
    from al_loop.arms_plan import make_plan

    root, settings, store = open_workspace(workspace)
    with alone(root):
        make_plan(settings, store)  # says what is missing, before anything is made
        loop = wire(root, settings, store, click.echo)
        result = retrain_arms(settings, store, loop.engine, loop.recognizer, click.echo)
    for line in lines(result):
        click.echo(line)


@main.command()
@click.option("--name", default="simulation", show_default=True, help="A run of it goes on.")
@click.option(
    "--strategies",
    default="random,mean_token_entropy,default",
    show_default=True,
    help="Acquisition functions, or `default`: as al_loop.toml has it. The others are measured "
    "against the first.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--budget-s", type=POSITIVE, default=600.0, show_default=True, help="Audio a round asks about."
)
@click.option(
    "--start-s", type=POSITIVE, default=600.0, show_default=True, help="Audio it begins with."
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    show_default="CPUs where the model runs on them, else 1",
    help="Replays at once; each has a model of its own in memory. With Ray engine.actors says it.",
)
@click.option(
    "--keep-checkpoints",
    is_flag=True,
    help="Otherwise none outlives its replay. The first call of a name settles it.",
)
@click.pass_obj
def simulate(
    workspace: Path,
    name: str,
    strategies: str,
    seeds: int,
    rounds: int,
    budget_s: float,
    start_s: float,
    processes: int | None,
    keep_checkpoints: bool,
) -> None:
    """Replay the loop on what is labelled, and compare strategies of choosing.

    A part of the labelled audio is what each replay begins with, the rest its pool; references
    answer in the annotators' place. It goes on where it was when it is called again.
    """
    import numpy as np
    from filelock import FileLock, Timeout

    from al_loop.simulate import simulate as run
    from al_loop.simulation.elsewhere import Elsewhere
    from al_loop.simulation.material import gather, kept
    from al_loop.simulation.processes import Processes
    from al_loop.simulation.report import report
    from al_loop.simulation.settings import Simulation, detached
    from storage.store import Store

    root, settings, store = open_workspace(workspace)
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise click.UsageError(f"--name {name!r}: expected letters, digits, dots and hyphens")
    chosen = [row.strip() for row in strategies.split(",")]
    runner: Processes | Elsewhere
    if settings.engine.kind == "local":
        runner = Processes(processes or _processes(root, settings), click.echo)
    elif processes is not None:
        raise click.UsageError("--processes: engine.kind is ray, and engine.actors says how many")
    else:
        runner = Elsewhere(open_engine(settings), click.echo)
    simulation = Simulation(name, chosen, seeds, rounds, budget_s, start_s, keep_checkpoints)
    folder = root.simulations / name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "simulation.lock", blocking=False):
            rule = settings.model.language, settings.embedding.encoder
            live = gather(store, *rule, clips_of(root, settings).file, click.echo)
            points = run(
                simulation,
                detached(settings, root.root),
                kept(folder, live, click.echo),
                folder,
                store,
                lambda place: Store(Workspace.open(place), isinstance(runner, Processes)),
                runner,
                click.echo,
            )
    except Timeout as exc:
        raise WorkspaceError(f"the simulation {name!r} is at work already") from exc
    rng = np.random.default_rng(settings.seed)
    plot = folder / "wer.svg"
    for line in report(points, rng, settings.evaluate.bootstrap_samples, plot, chosen[0]):
        click.echo(line)


def _processes(root: Workspace, settings: Settings) -> int:
    """How many replays share the device: on a GPU their models would crowd each other out."""
    device: str = settings.model.device
    if device == "auto":
        from al_loop.whisper.recognizer import WhisperRecognizer

        device = WhisperRecognizer(root.root, settings.model).device
    return (os.cpu_count() or 1) if device == "cpu" else 1


@main.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--until", type=click.Choice(STAGES))
@click.option("--shared", is_flag=True, help="The folder is on storage that machines share.")
def replay(folder: Path, until: Any, shared: bool) -> None:
    """Advance one replay of `simulate`; it ends when standard input does."""
    from filelock import FileLock, Timeout

    from al_loop.simulation.replay import leave_with_the_driver

    leave_with_the_driver()
    try:
        # one whose driver was killed a moment ago may still be ending
        with FileLock(folder / "replay.lock", timeout=REPLAY_ENDS_S):
            _advance_replay(folder, until, shared)
    except Timeout as exc:
        raise WorkspaceError(
            f"{folder}: another process is at work on this replay; try again when it has ended"
        ) from exc


def _advance_replay(folder: Path, until: Any, shared: bool) -> None:
    from al_loop.engine.local import LocalEngine
    from al_loop.round import Loop
    from al_loop.simulation.oracle import ReferenceJudge
    from al_loop.simulation.replay import reference_oracle
    from al_loop.simulation.replay import replay as advance

    root, settings, store = open_workspace(folder, log_ahead=not shared)
    recognizer = recognizer_of(root, settings.model, clips_of(root, settings))
    oracle = partial(reference_oracle, root.root, settings.model.language)
    judge = ReferenceJudge()
    loop = Loop(settings, store, LocalEngine(), recognizer, oracle, judge, click.echo)
    advance(loop, root.root, until)


# -- checkpoints ---------------------------------------------------------------------------------


@main.command()
@click.pass_obj
def checkpoints(workspace: Path) -> None:
    """List the checkpoints, newest last: origin, decision, WER, and which one is in use."""
    from al_loop.report import checkpoint_lines
    from storage.queries import Reader

    lines = checkpoint_lines(Reader(Workspace.open(workspace)))
    for line in lines or ["no checkpoint yet; `al-loop round` makes the first"]:
        click.echo(line)


@main.command()
@click.argument("checkpoint")
@click.option("--reason", default="no reason given", show_default=True)
@click.pass_obj
def promote(workspace: Path, checkpoint: str, reason: str) -> None:
    """Put a checkpoint in use by hand, also one that was rejected.

    CHECKPOINT is a name that `checkpoints` lists, or the beginning of one. An open round goes on
    with the batch that it has; its candidate will be compared with what is then in use.
    """
    root, _, store = open_workspace(workspace)
    with alone(root):
        found = store.find_checkpoint(checkpoint)
        if found.id == store.current_checkpoint_id():
            click.echo(f"{found.name} is in use already")
            return
        store.promote(found.id, reason)
    click.echo(f"{found.name} is in use")


@main.command()
@click.option("--reason", default="no reason given", show_default=True)
@click.pass_obj
def rollback(workspace: Path, reason: str) -> None:
    """Put the checkpoint in use that was so before the present one."""
    root, _, store = open_workspace(workspace)
    with alone(root):
        replaced = store.checkpoint_in_use()
        found = store.rollback(reason)
    click.echo(f"{found.name} is in use instead of {replaced.name}")


@main.command()
@click.argument("checkpoint", required=False)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="transformers", show_default=True
)
@click.option(
    "--quantization",
    type=click.Choice(QUANTIZATIONS),
    show_default="float16",
    help="Of the weights in CTranslate2's format.",
)
@click.option(
    "--as",
    "place",
    metavar="CODE",
    help="The language whose place one that Whisper does not list takes in CTranslate2's format; "
    "default: its donor's.",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    show_default="in the workspace's exports/",
    help="The folder to make.",
)
@click.pass_obj
def export(
    workspace: Path,
    checkpoint: str | None,
    form: Any,
    quantization: str | None,
    place: str | None,
    to: Path | None,
) -> None:
    """Write a checkpoint for other programs, with a model card.

    CHECKPOINT is a name that `checkpoints` lists, or the beginning of one; default: the one in
    use. The folder appears when it is whole, and none is overwritten.
    """
    if form == "transformers" and (quantization or place):
        raise click.UsageError("--quantization and --as are for --format ctranslate2")
    quantization = quantization or "float16"

    from al_loop.model_card import Form, gather, model_card
    from storage.queries import Reader
    from storage.workspace import whole_folder

    root, _, store = open_workspace(workspace)
    found = find_checkpoint(store, checkpoint)
    suffix = f"{form}-{quantization}" if form == "ctranslate2" else form
    target = (to or root.exports / f"{found.name}-{suffix}").resolve()
    if target.exists():
        raise WorkspaceError(f"{target} exists already, and stays as it is; name another with --to")

    from al_loop.whisper.export import export_ctranslate2, export_transformers, published

    facts = gather(Reader(root), found.id, partial(published, root=root.root))
    model = facts.base["model"]
    code = language = model["language"]
    with whole_folder(target) as folder, weights(store, found) as source:
        if form == "ctranslate2":
            donor = place or model["donor"]
            code = export_ctranslate2(source, folder, quantization, language, donor)
            if place and code == language:
                raise click.UsageError(f"--as: Whisper lists {language!r}, which keeps its place")
        else:
            export_transformers(source, folder)
        card = model_card(facts, Form(target.name, form, quantization, code))
        (folder / "README.md").write_text(card, encoding="utf-8")
    click.echo(f"{target} is written; its README.md says how to use it")


@main.command()
@click.argument("checkpoint", required=False)
@click.option(
    "--full-windows", is_flag=True, help="Pad every clip to 30 s, as others feed Whisper."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.pass_obj
def evaluate(workspace: Path, checkpoint: str | None, full_windows: bool, as_json: bool) -> None:
    """Measure a checkpoint on every evaluation set; prints, and stores nothing.

    CHECKPOINT is a name that `checkpoints` lists, or the beginning of one; default: the one in
    use.
    """
    from tqdm import tqdm

    from al_loop.evaluation import evaluate_sets
    from al_loop.listening import listener_of, room_of
    from al_loop.report import measured_lines
    from al_loop.whisper.features import MAX_WINDOW_S

    root, settings, store = open_workspace(workspace)
    measured = find_checkpoint(store, checkpoint)
    utterances = store.evaluation_utterances()
    if not utterances:
        raise WorkspaceError(
            "there is no evaluation set; `al-loop ingest MANIFEST --split test` makes one"
        )
    model = settings.model
    if full_windows:  # every window is one bucket
        model = model.model_copy(update={"bucket_s": MAX_WINDOW_S})
    recognizer, engine = recognizer_of(root, model, clips_of(root, settings)), open_engine(settings)
    heard: dict[str, Hypothesis] = {}
    with (
        weights(store, measured),
        tqdm(total=len(utterances), unit="clip", disable=None) as progress,
    ):
        room = engine.run(partial(room_of, recognizer))
        blocks = recognizer().blocks(measured.path, utterances, room)
        for rows in engine.map(partial(listener_of, recognizer, measured.path), blocks):
            heard |= {row.utterance_id: row for row in rows}
            progress.update(len(rows))
    samples = settings.evaluate.bootstrap_samples
    evaluations = evaluate_sets(utterances, heard, measured.id, samples)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in evaluations], ensure_ascii=False))
        return
    windows = "30 s windows" if full_windows else "the clips' own windows"
    click.echo(f"{measured.name}, {windows}:")
    for line in measured_lines(evaluations):
        click.echo(line)


# -- beside the loop -----------------------------------------------------------------------------

for command in (
    importing.ingest,
    importing.importing,
    align.align,
    audio.audio,
    synthesise.synthesise,
    ctc.ctc,
    pseudo.pseudo_label,
    ablate.ablate,
    labelstudio.labelstudio,
    annotators.annotators,
    report.report,
    ui.ui,
    evalset.evalset,
    doctor.doctor,
    transfer.export_labels,
    backup.backup,
    backup.restore,
):
    main.add_command(command)


# -- the demo ------------------------------------------------------------------------------------


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
def demo(folder: Path, rounds: int) -> None:
    """Run the loop on a corpus made here, with a simulated annotator at a real Label Studio."""
    from al_loop.demo.run import run_demo
    from storage.queries import Reader

    def connect() -> tuple[Session, int]:
        root, settings, store = open_workspace(folder)
        place = connect_oracle(root, settings, store).place(MAIN_PROJECT)
        return connect_label_studio(settings), place.project_id

    def read() -> Reader:
        return Reader(Workspace.open(folder))

    sys.exit(run_demo(folder, rounds, connect, read, click.echo))


def _teller(watched: bool) -> Callable[[str], None]:
    """Progress goes to the log, and to whoever watches."""

    def tell(line: str) -> None:
        LOG.info(line)
        if watched:
            click.echo(line)

    return tell


def _summary(root: Workspace, round_number: int) -> str:
    from al_loop.report import round_lines
    from storage.queries import Reader

    return "\n".join(round_lines(Reader(root), round_number))

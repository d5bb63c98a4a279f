"""`al-loop report`: one HTML file that needs nothing else, with the overview's numbers."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from al_loop.commands.report import LANGUAGES as OFFERED
from al_loop.commands.report import report
from al_loop.errors import WorkspaceError
from storage.store import Store
from storage.workspace import Workspace
from tests.ui.conftest import OpenView
from tests.ui.reports import answer_drafts
from tests.ui.reports import report as evidence
from tests.ui.workspaces import HOSTILE, ask, record_round, start_round
from ui.language import LANGUAGES

VOID = {"meta", "br"}
FIRST_STRONG_ISOLATE, POP = "\u2068", "\u2069"


class Page(HTMLParser):
    """What a reader's program makes of the file. Fails where elements are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self.said = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "svg" in self._open or "style" in self._open:
            return
        self.said += data
        if {"td", "th"} & set(self._open):
            self.cells[-1] += data


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(report, arguments, obj=workspace.root, catch_exceptions=False)


def made(workspace: Workspace, *arguments: str) -> str:
    result = run(workspace, *arguments)
    assert result.exit_code == 0
    return result.stdout_bytes.decode()


def full(store: Store) -> None:
    """Three recorded rounds with a report, a failed stage, and an annotator who leaves drafts."""
    for number in range(3):
        record_round(store, number)
    store.put_report(2, evidence(number=2))
    start_round(store, 3, "push")
    answer_drafts(store, 3, {"aigul": 1.0, "bakyt": 0.5})
    store.start_stage(3, "push", "{}")
    store.fail_stage(3, "push", "nobody is at home", "2026-01-01T00:00:00+00:00")


def test_one_file_that_needs_nothing_else(workspace: Workspace, store: Store) -> None:
    full(store)
    text = made(workspace)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert page.tags.count("svg") == 2
    outside = {"script", "link", "img", "iframe", "object", "form", "a", "image", "use"}
    assert not outside & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert {value for name, value in page.attributes if name in ("src", "href", "xlink:href")} == (
        set()
    )
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_its_numbers_are_those_of_the_database(workspace: Workspace, store: Store) -> None:
    full(store)
    page = Page(made(workspace))
    in_use = "round = 2 AND checkpoint_id = 'checkpoint-2' AND language = 'ky'"
    wer, low, high = (
        100 * ask(workspace, f"SELECT {name} FROM evaluations WHERE {in_use}")
        for name in ("wer", "wer_low", "wer_high")
    )
    base = "round = 0 AND checkpoint_id = 'checkpoint-base' AND language = 'ky'"
    start = 100 * ask(workspace, f"SELECT wer FROM evaluations WHERE {base}")
    row = page.cells.index("\u2068test\u2069")
    assert page.cells[row + 2 : row + 6] == [
        f"{wer:.1f}", f"{low:.1f}–{high:.1f}", f"{start:.1f}", f"{wer - start:+.1f}",
    ]  # fmt: skip
    labelled = ask(
        workspace,
        "SELECT sum(u.duration_s) / 60 FROM labels l JOIN utterances u ON u.id = l.utterance_id "
        "WHERE l.text IS NOT NULL",
    )
    assert page.cells[page.cells.index("Labelled minutes") + 1] == f"{labelled:.1f}"
    spent = ask(workspace, "SELECT sum(min(lead_time_s, 600)) / 3600 FROM annotations")
    assert page.cells[page.cells.index("Annotators' hours") + 1] == f"{spent:.1f}"


def test_it_says_what_the_overview_says(
    open_view: OpenView, workspace: Workspace, store: Store
) -> None:
    full(store)
    page = Page(made(workspace))
    said = page.said.replace(FIRST_STRONG_ISOLATE, "").replace(POP, "")
    view = open_view("overview", workspace.root)
    for block in (*view.markdown[:3], *view.error, *view.warning):
        assert block.value.replace("` ", "").replace(" `", "") in said
    for metric in view.metric:
        label = metric.label.replace("` ", "").replace(" `", "")
        cells = [cell.replace(FIRST_STRONG_ISOLATE, "").replace(POP, "") for cell in page.cells]
        assert cells[cells.index(label) + 1] == metric.value
    assert "nobody is at home" in said
    assert f"al-loop -w {workspace.root} round" in said


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_foreign_text_stays_text(workspace: Workspace, store: Store, text: str) -> None:
    record_round(store, 0, decision=text, evaluation_set=text, source=text)
    start_round(store, 1, "push")
    answer_drafts(store, 1, {text: 1.0, "bakyt": 0.5})
    store.start_stage(1, "push", "{}")
    store.fail_stage(1, "push", text, "2026-01-01T00:00:00+00:00")
    html = made(workspace)
    page = Page(html)
    assert not {"script", "img", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    shown = text if len(text) <= 300 else f"{text[:300]}…"
    assert page.said.count(f"\u2068{shown}\u2069") >= 4
    assert "<script" not in html
    assert "<img" not in html
    assert len(html) < 200_000


def test_names_are_hidden_where_the_dashboard_hides_them(
    workspace: Workspace, store: Store
) -> None:
    workspace.config.write_text("dashboard.hide_annotators = true\n")
    full(store)
    assert "aigul" not in made(workspace)


def test_the_language_is_the_dashboard_s_or_the_one_asked_for(
    workspace: Workspace, store: Store
) -> None:
    full(store)
    workspace.config.write_text('dashboard.language = "ru"\n')
    assert '<html lang="ru">' in made(workspace)
    assert "Цикл работает" in made(workspace)
    assert "Иштеп жатат" in made(workspace, "--language", "ky")
    assert set(OFFERED) == set(LANGUAGES)
    assert run(workspace, "--language", "fr").exit_code == 2


def test_a_workspace_without_rounds(workspace: Workspace, store: Store) -> None:
    text = made(workspace)
    assert "No round yet" in text
    assert "ingest FOLDER --source NAME" in text


def test_without_a_database_nothing_is_written(workspace: Workspace, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    with pytest.raises(WorkspaceError, match="al-loop ingest"):
        run(workspace, "--output", str(output))
    assert not output.exists()


def test_a_file_is_replaced_as_a_whole(workspace: Workspace, store: Store, tmp_path: Path) -> None:
    record_round(store, 0)
    output = tmp_path / "report.html"
    output.write_text("yesterday's")
    result = run(workspace, "--output", str(output))
    assert result.stdout == f"{output} is written\n"
    assert output.read_text(encoding="utf-8").endswith("</html>\n")
    assert [path.name for path in tmp_path.glob("*report*")] == ["report.html"]
    missing = tmp_path / "nowhere" / "report.html"
    with pytest.raises(WorkspaceError, match="cannot be written: No such file"):
        run(workspace, "--output", str(missing))


def test_it_is_made_without_streamlit() -> None:
    code = (
        "import sys; import al_loop.commands.report, ui.report, ui.rounds_table; "
        "sys.exit('streamlit' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

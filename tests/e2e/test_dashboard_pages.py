"""The dashboard in a real Chromium, on a generated workspace and on one that real commands made.

AL_LOOP_DASHBOARD_WORKSPACE names a workspace of benchmarks.dashboard_workspace, or one of full size
is made here; AL_LOOP_DEMO_WORKSPACE one that the loop made, such as the demo's. With
AL_LOOP_SCREENSHOTS=docs/images the documentation's pictures are made anew.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("selenium", reason="needs the package selenium")

from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from benchmarks.dashboard_browser import (
    CHROMIUM,
    DRIVER,
    HEIGHT,
    WIDTH,
    chromium,
    served,
    until,
    wait_until_drawn,
)
from benchmarks.dashboard_clips import Size
from benchmarks.dashboard_workspace import make_workspace
from tests.ui.workspaces import HOSTILE
from ui.language import LANGUAGES, Say

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs Debian's packages chromium and chromium-driver"
    ),
]

VIEWS = ("overview", "learning", "round", "data", "annotators", "training", "compare")
SMALL = Size(4000, 6, 300)
PATHS = {view: view for view in VIEWS} | {"overview": ""}
"""The first view has no name in its address."""
LOOKED_AT = PATHS | {
    "data, pseudo-labels": "data?part=pseudo",
    "compare, sources": "compare?compare=sources",
}
"""Views, and parts of views that nobody sees at first."""
ASKED_FOR_A_PATH = re.compile(r"/\w+/_stcore/(health|host-config) - .* 404 ")
HIGHEST = 2600
"""Pixels of a picture for the documentation."""
NEW_WORKSPACES = ("generated", "real")


# -- workspaces ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if named := os.environ.get("AL_LOOP_DASHBOARD_WORKSPACE"):
        return Path(named)
    folder = tmp_path_factory.mktemp("generated") / "workspace"
    make_workspace(folder, Size(), datetime.now(UTC) - timedelta(hours=1))
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "workspace"
    make_workspace(folder, SMALL, datetime.now(UTC) - timedelta(hours=1))
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    """What the loop itself made; without one, what `init` and `ingest` make, before any round."""
    if named := os.environ.get("AL_LOOP_DEMO_WORKSPACE"):
        return Path(named)
    folder = tmp_path_factory.mktemp("real") / "workspace"
    for words in (
        ["init", str(folder)],
        ["-w", str(folder), "ingest", str(small / "audio"), "--source", "radio"],
    ):
        subprocess.run([sys.executable, "-m", "al_loop", *words], check=True)
    return folder


@pytest.fixture(scope="module")
def generated_url(generated: Path) -> Iterator[str]:
    with served(generated) as url:
        yield url


@pytest.fixture(scope="module")
def real_url(real: Path) -> Iterator[str]:
    with served(real) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as chrome:
        yield chrome


def ask(workspace: Path, sql: str, *parameters: object) -> Any:
    """The first value of an answer, asked of the database itself."""
    with sqlite3.connect(f"file:{workspace / 'al_loop.db'}?mode=ro", uri=True) as connection:
        return connection.execute(sql, parameters).fetchone()[0]


# -- what a reader does ----------------------------------------------------------------------------


def look(chrome: Chrome, address: str) -> None:
    """Open an address, and wait until the view is whole."""
    chrome.get_log("browser")
    chrome.get(address)
    wait_until_drawn(chrome)


def complaints(chrome: Chrome) -> list[str]:
    """What went wrong on the page: raised in Python, or told to the browser's console.

    Streamlit's page finds out under which path it is served by asking for what may not be there.
    """
    shown = [row.text for row in found(chrome, '[data-testid="stException"]')]
    told = [row["message"] for row in chrome.get_log("browser") if row["level"] == "SEVERE"]
    return shown + [line for line in told if not ASKED_FOR_A_PATH.search(line)]


def found(chrome: Chrome, selector: str) -> list[WebElement]:
    return chrome.find_elements(By.CSS_SELECTOR, selector)


def title(chrome: Chrome) -> str:
    return next((row.text for row in found(chrome, '[data-testid="stMain"] h1')), "")


def main_text(chrome: Chrome) -> str:
    return found(chrome, '[data-testid="stMain"]')[0].text


def figures(chrome: Chrome) -> dict[str, str]:
    """The key figures by their names."""
    rows = found(chrome, '[data-testid="stMetric"]')
    parts = ("stMetricLabel", "stMetricValue")
    texts = [
        [row.find_element(By.CSS_SELECTOR, f'[data-testid="{part}"]').text for part in parts]
        for row in rows
    ]
    return dict(texts)  # type: ignore[arg-type]


def address(chrome: Chrome) -> dict[str, str]:
    return {
        name: values[0] for name, values in parse_qs(urlsplit(chrome.current_url).query).items()
    }


# -- every view ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workspace", NEW_WORKSPACES)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_in_every_language(
    request: pytest.FixtureRequest, browser: Chrome, workspace: str, view: str, language: str
) -> None:
    url = request.getfixturevalue(f"{workspace}_url")
    look(browser, f"{url}/{PATHS[view]}?language={language}")
    assert complaints(browser) == []
    say = Say(language)
    assert title(browser) == say(f"{view}.page")
    assert say("common.cannot_be_shown") not in main_text(browser)
    names = [row.text for row in found(browser, '[data-testid="stSidebarNavLink"]')]
    assert names == [say(f"{name}.page") for name in VIEWS]


# -- figures ---------------------------------------------------------------------------------------

IN_USE = "(SELECT checkpoint_id FROM promotions ORDER BY id DESC LIMIT 1)"


def test_the_key_figures_are_those_of_the_database(
    browser: Chrome, generated_url: str, generated: Path
) -> None:
    look(browser, generated_url)
    shown = figures(browser)

    def number(name: str) -> str:
        say = Say("en")
        return shown[say(f"overview.figure_{name}")]

    for evaluation_set in ("test_ky", "test_ru"):
        wer = ask(
            generated,
            f"SELECT wer FROM evaluations WHERE checkpoint_id = {IN_USE} AND evaluation_set = ? "
            "ORDER BY round DESC LIMIT 1",
            evaluation_set,
        )
        (value,) = [shown[name] for name in shown if evaluation_set in name]
        assert value == f"{100 * wer:.1f}"
    labelled_s = ask(
        generated,
        "SELECT sum(u.duration_s) FROM labels l JOIN utterances u ON u.id = l.utterance_id "
        "WHERE l.text IS NOT NULL AND l.settled <> 'disputed' AND u.split = 'pool'",
    )
    assert number("labelled") == f"{labelled_s / 60:.1f}"
    spent_s = ask(
        generated, "SELECT sum(min(lead_time_s, 600)) FROM annotations WHERE deleted_at IS NULL"
    )
    assert number("hours") == f"{spent_s / 3600:.1f}"
    pool = ask(
        generated,
        "SELECT count(*) FROM utterances WHERE split = 'pool' "
        "AND id NOT IN (SELECT utterance_id FROM query_batches) "
        "AND id NOT IN (SELECT utterance_id FROM labels)",
    )
    assert number("pool") == f"{pool:,}"


def test_a_round_tells_what_the_database_has(
    browser: Chrome, generated_url: str, generated: Path
) -> None:
    number = ask(generated, "SELECT max(number) - 1 FROM rounds")
    look(browser, f"{generated_url}/round?round={number}")
    labelled = ask(
        generated,
        "SELECT count(*) FROM query_batches b JOIN labels l ON l.utterance_id = b.utterance_id "
        "WHERE b.round = ? AND l.text IS NOT NULL AND l.settled <> 'disputed'",
        number,
    )
    tasks = ask(generated, "SELECT count(*) FROM query_batches WHERE round = ?", number)
    decision = ask(generated, "SELECT decision FROM rounds WHERE number = ?", number)
    text = main_text(browser)
    assert f"clips asked about: {tasks} " in text
    assert f"labelled: {labelled}, " in text
    assert " ".join(decision.split()) in " ".join(text.split())


def test_the_mixture_is_that_of_the_database(
    browser: Chrome, generated_url: str, generated: Path
) -> None:
    number = ask(generated, "SELECT max(number) - 1 FROM rounds")
    look(browser, f"{generated_url}/data?round={number}")
    of_round = "FROM mixtures m JOIN rounds r ON r.manifest_id = m.manifest_id WHERE r.number = ?"
    examples = ask(generated, f"SELECT sum(examples) {of_round}", number)
    hours = ask(generated, f"SELECT sum(duration_s) / 3600 {of_round}", number)
    sources = ask(generated, f"SELECT count(*) {of_round}", number)
    said = Say("en")("data.mixture_answer", hours=hours, examples=examples, sources=sources)
    assert said.replace("**", "") in main_text(browser)


# -- sound -----------------------------------------------------------------------------------------


def test_a_clip_is_heard(browser: Chrome, generated_url: str, generated: Path) -> None:
    number = ask(generated, "SELECT max(number) - 1 FROM rounds")
    clip = ask(
        generated, "SELECT utterance_id FROM query_batches WHERE round = ? AND rank = 0", number
    )
    look(browser, f"{generated_url}/round?round={number}&clip={clip[:12]}")
    assert complaints(browser) == []
    (player,) = found(browser, "audio")
    assert player.accessible_name or player.get_attribute("aria-label")
    until(lambda: player.get_property("duration"), "the sound")
    duration_s = ask(generated, "SELECT duration_s FROM utterances WHERE id = ?", clip)
    assert player.get_property("duration") == pytest.approx(duration_s, abs=0.05)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", player)
    player.click()
    player.send_keys(Keys.SPACE)
    until(lambda: player.get_property("currentTime") > 0.3, "the sound to play")


def test_no_path_can_be_asked_for(browser: Chrome, generated_url: str) -> None:
    for clip in ("../../etc/passwd", "%2e%2e%2fal_loop.toml", "/etc/passwd"):
        look(browser, f"{generated_url}/round?clip={clip}")
        assert complaints(browser) == []
        assert found(browser, "audio") == []
        assert "root:" not in main_text(browser)


# -- addresses and languages -----------------------------------------------------------------------


def test_an_address_brings_the_choices_back(browser: Chrome, generated_url: str) -> None:
    asked = {"round": "3", "section": "mistakes", "language": "ru"}
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    look(browser, f"{generated_url}/round?{query}")
    for _ in range(2):
        assert address(browser) == asked
        boxes = found(browser, '[data-testid="stSelectbox"] input')
        assert "3" in [box.get_attribute("value") for box in boxes] or any(
            box.text.endswith("3") for box in found(browser, '[data-testid="stSelectbox"]')
        )
        assert Say("ru")("round.section_mistakes") in main_text(browser)
        browser.refresh()
        wait_until_drawn(browser)
    assert complaints(browser) == []


def test_the_language_stays_when_the_view_changes(browser: Chrome, generated_url: str) -> None:
    look(browser, f"{generated_url}/?language=ky")
    for name in ("training", "overview"):
        place = VIEWS.index(name)
        found(browser, '[data-testid="stSidebarNavLink"]')[place].click()
        until(lambda name=name: title(browser) == Say("ky")(f"{name}.page"), f"{name} in Kyrgyz")
        wait_until_drawn(browser)
        assert address(browser)["language"] == "ky"


def test_another_language_is_chosen_on_the_page(browser: Chrome, generated_url: str) -> None:
    look(browser, f"{generated_url}/learning")
    buttons = found(browser, '[data-testid="stSidebar"] [data-testid="stButtonGroup"] button')
    next(row for row in buttons if row.text == "ru").click()
    until(lambda: title(browser) == Say("ru")("learning.page"), "Russian")
    assert address(browser)["language"] == "ru"


# -- for everybody ---------------------------------------------------------------------------------


def test_the_keyboard_reaches_everything(browser: Chrome, generated_url: str) -> None:
    look(browser, f"{generated_url}/round?round=3&section=batch")
    reached = set()
    for _ in range(80):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(
            browser.execute_script(
                "const place = document.activeElement.closest('[data-testid]');"
                "return place && place.dataset.testid"
            )
        )
    assert {"stSidebarNavLink", "stSelectbox"} <= reached
    assert any((name and "ButtonGroup" in name) or "egmented" in (name or "") for name in reached)


def test_a_view_is_opened_with_the_keyboard_alone(browser: Chrome, generated_url: str) -> None:
    look(browser, generated_url)
    links = found(browser, '[data-testid="stSidebarNavLink"]')
    for _ in range(40):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element == links[1]:
            break
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: title(browser) == Say("en")("learning.page"), "the next view")


@pytest.mark.parametrize("view", LOOKED_AT)
def test_charts_and_inputs_have_names(browser: Chrome, generated_url: str, view: str) -> None:
    look(browser, f"{generated_url}/{LOOKED_AT[view]}")
    for row in found(browser, '[data-testid="stMain"] input, [data-testid="stMain"] button'):
        if row.is_displayed():
            assert row.accessible_name, row.get_attribute("outerHTML")
    for row in found(browser, '[data-testid="stVegaLiteChart"], [data-testid="stDataFrame"]'):
        named = browser.execute_script(NAMED, row)
        assert named, row.get_attribute("outerHTML")[:500]


NAMED = """
const inside = [arguments[0], ...arguments[0].querySelectorAll('[aria-label], [alt]')];
for (let up = arguments[0].parentElement; up && inside.length < 40; up = up.parentElement) {
  if (up.dataset.testid === 'stElementContainer') { inside.push(up); break; }
  inside.push(up);
}
return inside.some(row => row.getAttribute('aria-label') || row.getAttribute('alt'));
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", LOOKED_AT)
def test_what_is_written_can_be_read(
    browser: Chrome, generated_url: str, view: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_selenium_python", reason="needs axe-selenium-python")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        look(browser, f"{generated_url}/{LOOKED_AT[view]}")
        painted = browser.execute_script(
            "return getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        )
        red = int(painted.removeprefix("rgb(").split(",")[0])
        assert (red > 127) == (scheme == "light")
        axe.Axe(browser).inject()
        told = browser.execute_async_script(AXE, list(RULES))
        assert [problem(row) for row in told["violations"]] == []
        assert "color-contrast" in {row["id"] for row in told["passes"]}
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


RULES = ("color-contrast", "label", "button-name", "link-name", "image-alt")
AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: {type: 'rule', values: arguments[0]}, resultTypes: ['violations']})
  .then(done, error => done({violations: [{id: String(error), nodes: []}]}));
"""
"""Of Deque's axe-core: WCAG 2, levels A and AA."""


def problem(violation: dict[str, Any]) -> str:
    places = [f"{node['html'][:160]}: {node['failureSummary']}" for node in violation["nodes"]]
    return f"{violation['id']}: {'; '.join(places[:4])}"


# -- hostile texts ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every text that people or files may have brought in is an attack."""
    folder = tmp_path_factory.mktemp("hostile") / "workspace"
    shutil.copytree(small, folder)
    with sqlite3.connect(folder / "al_loop.db") as db:
        for kind, (name, text) in enumerate(HOSTILE.items()):
            part = f"WHERE rowid % {len(HOSTILE)} = {kind}"
            db.execute(f"UPDATE utterances SET speaker = ?, origin = ? {part}", [text, text])
            db.execute(f"UPDATE utterances SET text = ? {part} AND text IS NOT NULL", [text])
            db.execute(f"UPDATE labels SET text = ? {part} AND text IS NOT NULL", [text])
            db.execute(f"UPDATE annotations SET annotator = ? {part}", [f"{text[:300]}{name}"])
            db.execute(f"UPDATE annotations SET text = ? {part} AND text IS NOT NULL", [text])
            db.execute(f"UPDATE rounds SET decision = ? {part}", [text])
            db.execute(f"UPDATE promotions SET reason = ? {part}", [text])
            db.execute(f"UPDATE refusals SET detail = ? {part}", [text])
            db.execute(f"UPDATE leaks SET text = ? {part}", [text])
            db.execute(f"UPDATE pseudo_labels SET text = ?, made_by = ? {part}", [text, text])
        # hypotheses have no rowid
        texts = list(HOSTILE.values())
        marks = [
            (texts[place % len(texts)], *key)
            for place, key in enumerate(
                db.execute("SELECT checkpoint_id, utterance_id FROM hypotheses").fetchall()
            )
        ]
        db.executemany(
            "UPDATE hypotheses SET text = ? WHERE checkpoint_id = ? AND utterance_id = ?", marks
        )
        db.execute(
            "UPDATE stage_runs SET error = ?, failures = 1, retry_at = started_at "
            "WHERE round = (SELECT max(number) FROM rounds) AND stage = 'pull'",
            [HOSTILE["script"] + HOSTILE["markdown"]],
        )
    return folder


def test_hostile_texts_stay_texts(browser: Chrome, hostile: Path) -> None:
    clips = [
        ask(hostile, "SELECT utterance_id FROM query_batches WHERE round = 3 AND rank = ?", rank)
        for rank in range(len(HOSTILE))
    ]
    with served(hostile) as url:
        addresses = [f"{url}/{path}" for path in PATHS.values()]
        addresses += [f"{url}/round?round=3&section=mistakes", f"{url}/round?section=held_back"]
        addresses += [f"{url}/round?round=3&clip={clip[:12]}" for clip in clips]
        addresses += [f"{url}/data?part={part}" for part in ("clips", "left_out", "pseudo")]
        addresses += [f"{url}/data?label={clip[:12]}" for clip in clips]
        for where in addresses:
            look(browser, where)  # an alert would make this raise
            assert complaints(browser) == [], where
            assert found(browser, "img[src='x'], a[href*='example.org'], .katex") == [], where
            wide = browser.execute_script(
                "const main = document.querySelector('[data-testid=stMain]');"
                "return main.scrollWidth - main.clientWidth"
            )
            assert wide <= 1, f"{where} is {wide} pixels too wide"


# -- pictures --------------------------------------------------------------------------------------


@pytest.mark.skipif(
    "AL_LOOP_SCREENSHOTS" not in os.environ, reason="AL_LOOP_SCREENSHOTS names no folder"
)
def test_pictures_for_the_documentation(generated_url: str, generated: Path) -> None:
    folder = Path(os.environ["AL_LOOP_SCREENSHOTS"])
    clip = ask(
        generated,
        "SELECT b.utterance_id FROM query_batches b JOIN utterances u ON u.id = b.utterance_id "
        "JOIN labels l ON l.utterance_id = b.utterance_id WHERE b.round = 3 AND l.text IS NOT NULL "
        "ORDER BY abs(u.duration_s - 5), b.rank",
    )
    pages = PATHS | {"round": f"round?round=3&clip={clip[:12]}"}
    with chromium() as chrome:
        for view, page in pages.items():
            picture(chrome, f"{generated_url}/{page}", folder / f"dashboard-{view}.png")
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        picture(chrome, generated_url, folder / "dashboard-overview-dark.png")


def picture(chrome: Chrome, where: str, path: Path) -> None:
    """The whole view, unless it is very long."""
    chrome.set_window_size(WIDTH, HEIGHT)
    look(chrome, where)
    height = chrome.execute_script(
        "return document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"
    )
    chrome.set_window_size(WIDTH, min(height + 150, HIGHEST))
    wait_until_drawn(chrome)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert chrome.save_screenshot(str(path))

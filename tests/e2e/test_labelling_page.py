"""The labelling page in a real Chromium, used as an annotator uses it.

AL_LOOP_SCREENSHOT=docs/images/labelling-page.png pytest tests/e2e/test_labelling_page.py -k picture
makes the documentation's picture anew.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from al_loop.sources.espeak import Voice, speak_all
from labeling.oracle import LabelStudioOracle
from labeling.project import Rules, add_local_audio_storage
from labeling.server import EmbeddedServer
from labeling.session import Session
from labeling.tasks import local_audio_url

pytest.importorskip("selenium", reason="needs the package selenium")

from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from .annotator import BOX, Annotator, until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs Debian's packages chromium and chromium-driver"
    ),
]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync "
    "--disable-component-update --no-first-run --disable-dev-shm-usage --window-size=1280,800"
)
"""The page itself gets 1280 by 657 pixels of that window."""

SPOKEN = "Эртең саат жетиде Бишкекте жаан жаайт"
HEARD = "Эртен саат жетиде Бишкекке жаан жаайт"
DOUBTS = (0.31, 0.97, 0.93, 0.42, 0.96, 0.95)


@pytest.fixture(scope="module")
def url(label_studio: EmbeddedServer) -> str:
    return label_studio.up().url


@pytest.fixture(scope="module")
def browser(label_studio: EmbeddedServer, url: str) -> Iterator[Chrome]:
    """A browser in which the server's user has logged in."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS.split():
        options.add_argument(flag)
    chrome = Chrome(options, Service(DRIVER))
    try:
        login = json.loads((label_studio.home / "credentials.json").read_text())
        chrome.get(f"{url}/user/login/")
        chrome.find_element(By.NAME, "email").send_keys(login["username"], Keys.TAB)
        chrome.switch_to.active_element.send_keys(login["password"], Keys.ENTER)
        until(lambda: "login" not in chrome.current_url, "the login")
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `a.wav`, in which SPOKEN is said."""
    folder = tmp_path_factory.mktemp("spoken")
    [(samples, rate)] = speak_all([(SPOKEN, Voice("ky", "m1", rate_wpm=140))])
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return folder


@pytest.fixture
def annotator(label_studio: EmbeddedServer, url: str, browser: Chrome, spoken: Path) -> Annotator:
    workspace_id = uuid4().hex
    session = Session(url, label_studio.token)
    folder = label_studio.link_audio(workspace_id, spoken)

    def prepare(project_id: int) -> None:
        add_local_audio_storage(session, project_id, folder)

    rules = Rules(workspace_id, "Кыргызча", 0.0, prepare)
    oracle = LabelStudioOracle(session, rules, local_audio_url, doubt_below=0.5)
    return Annotator(browser, oracle, f"{workspace_id}/a.wav")


def test_a_clip_is_heard_corrected_and_sent_with_the_keyboard_alone(
    annotator: Annotator, url: str
) -> None:
    tasks = [annotator.task(n, HEARD, DOUBTS) for n in range(3)]
    annotator.sit_down(url, *tasks)
    annotator.go_to_the_text()
    annotator.press(Keys.CONTROL, "p")
    until(lambda: annotator.played_s() > 0.2, "the audio")
    annotator.press(Keys.CONTROL, "p")
    until(lambda: not annotator.is_playing(), "a pause")
    heard_s = annotator.played_s()
    annotator.press(Keys.SHIFT, " ")
    until(lambda: annotator.played_s() > heard_s + 0.2, "the rest")
    annotator.press(Keys.SHIFT, " ")
    until(lambda: not annotator.is_playing(), "another pause")
    assert annotator.text() == HEARD

    annotator.press(Keys.CONTROL, "a")
    annotator.write("Эрте")
    annotator.press(Keys.ALT, "y")
    annotator.write(" саат жетиде")
    annotator.press(Keys.TAB)
    annotator.submit()

    # A hypothesis that is right needs one chord. Then one Tab leads to the next text.
    annotator.submit()
    annotator.press(Keys.TAB)
    assert annotator.in_the_text()
    first, second = annotator.answers()
    assert (first.key, first.text) == (tasks[0].key, "Эртең саат жетиде")
    assert (second.key, second.text) == (tasks[1].key, HEARD)
    assert (first.shown, second.shown) == (HEARD, HEARD)
    assert first.lead_time_s


def test_verdicts_by_keyboard(annotator: Annotator, url: str) -> None:
    annotator.sit_down(url, *(annotator.task(n, HEARD if n else "") for n in range(5)))
    for key in "123":
        annotator.press(key)
        assert not annotator.browser.find_element(By.CSS_SELECTOR, BOX).is_displayed()
        annotator.submit()
    annotator.go_to_the_text()
    annotator.press(Keys.CONTROL, "a")
    annotator.write("Эртең")
    annotator.press(Keys.TAB)
    annotator.press("4")
    annotator.submit()
    seen = [(a.verdict, a.text, a.unsure, a.shown) for a in annotator.answers()]
    assert seen == [
        ("bad_audio", None, False, ""),
        ("other_language", None, False, HEARD),
        ("several_speakers", None, False, HEARD),
        (None, "Эртең", True, HEARD),
    ]


def test_letters_that_the_keyboard_lacks(annotator: Annotator, url: str) -> None:
    annotator.sit_down(url, annotator.task(0, "он"))
    buttons = annotator.browser.find_elements(By.CSS_SELECTOR, "[data-shortcut]")
    assert [button.text for button in buttons] == list("ңөүҢӨҮ")
    annotator.go_to_the_text()
    annotator.press(Keys.HOME)
    annotator.press(Keys.ARROW_RIGHT)
    for button in buttons:
        button.click()
    assert annotator.text() == "оңөүҢӨҮн"
    assert annotator.in_the_text()
    annotator.press(Keys.CONTROL, "a")
    for letter in "yje":
        annotator.press(Keys.ALT, letter)
    for letter in "yje":
        annotator.press(Keys.ALT, Keys.SHIFT, letter)
    assert annotator.text() == "ңөүҢӨҮ"


def test_a_cyrillic_layout_has_the_letters_on_the_keys_that_the_page_names(
    annotator: Annotator, url: str
) -> None:
    annotator.sit_down(url, annotator.task(0, ""))
    annotator.go_to_the_text()
    for letter, key in {"н": "Y", "о": "J", "у": "E"}.items():
        event = {"key": letter, "code": f"Key{key}", "windowsVirtualKeyCode": ord(key)}
        pressed = {"type": "rawKeyDown", "modifiers": 1} | event
        annotator.browser.execute_cdp_cmd("Input.dispatchKeyEvent", pressed)
        annotator.browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp"} | event)
    assert annotator.text() == "ңөү"


def test_doubted_words_are_marked_and_what_the_model_wrote_runs_nothing(
    annotator: Annotator, url: str
) -> None:
    words = [
        "салам",
        "<script>ran=1</script>",
        "<img/src=x/onerror=ran=1>",
        "</bdi></mark><h1>",
        "\"'&amp;",
        "\u202eסלאם",
        "$audio",
    ]
    hypothesis = " ".join(words)
    annotator.sit_down(url, annotator.task(0, hypothesis, (0.9, 0.1, 0.2, 0.3, 0.4, 0.45, 0.8)))
    line = annotator.browser.find_element(By.CLASS_NAME, "al-marked")
    marks = line.find_elements(By.TAG_NAME, "mark")
    assert line.get_attribute("textContent") == hypothesis
    assert [mark.get_attribute("textContent") for mark in marks] == words[1:6]
    assert all(mark.is_displayed() for mark in marks)
    assert annotator.text() == hypothesis
    assert annotator.script("return window.ran === undefined")
    inside = "return [...document.querySelectorAll('.al-marked img, .al-marked h1')].length"
    assert annotator.script(inside) == 0


def test_the_answer_carries_what_was_shown_not_what_the_task_shows_by_then(
    annotator: Annotator, url: str
) -> None:
    annotator.sit_down(url, annotator.task(0, HEARD), annotator.task(1, HEARD))
    annotator.refresh(annotator.task(0, SPOKEN))
    annotator.submit()
    (answer,) = annotator.answers()
    assert (answer.text, answer.shown) == (HEARD, HEARD)


def test_an_empty_text_is_not_sent(annotator: Annotator, url: str) -> None:
    annotator.sit_down(url, annotator.task(0, ""), annotator.task(1, HEARD))
    annotator.press(Keys.CONTROL, Keys.ENTER)
    message = "return document.querySelector('.ant-modal-confirm-content')?.textContent ?? ''"
    until(lambda: "Текст бош" in annotator.script(message), "the message")
    inside = "return document.activeElement.closest('.ant-modal-confirm') !== null"
    until(lambda: annotator.script(inside), "its button")
    annotator.press(Keys.ESCAPE)
    until(lambda: not annotator.script(message), "its end")
    annotator.go_to_the_text()
    annotator.write("жок")
    annotator.press(Keys.TAB)
    annotator.submit()
    (answer,) = annotator.answers()
    assert (answer.text, answer.shown) == ("жок", "")


def test_the_speed_can_be_set(annotator: Annotator, url: str) -> None:
    annotator.sit_down(url, annotator.task(0, HEARD))
    annotator.browser.find_element(By.CSS_SELECTOR, "[aria-label='Audio settings']").click()
    slider = annotator.browser.find_element(By.CSS_SELECTOR, ".lsf-audio-slider__range")
    slider.send_keys(Keys.ARROW_LEFT * 3)
    rate = "return document.querySelector('audio').playbackRate"
    until(lambda: annotator.script(rate) == pytest.approx(0.7), "the lower speed")


def test_an_answer_can_be_changed_and_still_says_what_was_shown(
    annotator: Annotator, url: str
) -> None:
    annotator.sit_down(url, annotator.task(0, HEARD), annotator.task(1, HEARD))
    annotator.submit()
    annotator.browser.find_element(By.CSS_SELECTOR, "[data-testid=prev-task]").click()
    pencil = "[data-testid=htx-textbox-edit-button]"
    until(lambda: annotator.browser.find_elements(By.CSS_SELECTOR, pencil), "the answer")
    annotator.browser.find_element(By.CSS_SELECTOR, pencil).click()
    annotator.press(Keys.CONTROL, "a")
    annotator.write("Эрте")
    annotator.press(Keys.ALT, "y")
    annotator.press(Keys.SHIFT, Keys.ENTER)
    annotator.press(Keys.CONTROL, Keys.ENTER)
    (changed,) = until(
        lambda: [answer for answer in annotator.answers() if answer.text != HEARD], "the change"
    )
    assert (changed.text, changed.shown) == ("Эртең", HEARD)
    assert len(annotator.answers()) == 1


def test_the_page_fits_a_laptop_and_has_its_picture_taken(annotator: Annotator, url: str) -> None:
    annotator.sit_down(url, annotator.task(0, HEARD, DOUBTS), annotator.task(1, f"{HEARD} " * 9))
    if path := os.environ.get("AL_LOOP_SCREENSHOT"):
        annotator.go_to_the_text()
        annotator.press(Keys.CONTROL, Keys.END)
        time.sleep(1.0)  # the frame around the text fades in
        assert annotator.browser.save_screenshot(path)
        annotator.press(Keys.TAB)
    try:
        annotator.browser.set_window_size(1280, 720)
        parts = [f".al-{part}" for part in ("audio", "marked", "text", "verdict", "keys")]
        bottoms = [annotator.bottom(part) for part in parts]
        assert bottoms == sorted(bottoms)
        bar = annotator.browser.find_element(By.CLASS_NAME, "lsf-bottombar").rect["y"]
        assert bottoms[-1] < bar
        annotator.submit()
        assert annotator.bottom(".al-verdict") < bar
    finally:
        annotator.browser.set_window_size(1280, 800)

"""Somebody who answers tasks on the labelling page, in a real Chromium."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

from al_loop.records import MAIN_PROJECT, Annotation, Task, TaskKey
from labeling.oracle import LabelStudioOracle

BOX = "textarea[name=transcription]"
WAIT_S = 60.0
T = TypeVar("T")


def until(condition: Callable[[], T], what: str) -> T:
    """The first true value of `condition`."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
        except WebDriverException:
            pass  # the page is being replaced
        time.sleep(0.05)
    raise AssertionError(f"waited {WAIT_S:.0f} s for {what}")


class Annotator:
    """Sits before a project's labelling stream; tasks show `hypotheses`, one after the other."""

    def __init__(self, browser: Chrome, oracle: LabelStudioOracle, audio: str) -> None:
        self.browser = browser
        self._oracle = oracle
        self._place = oracle.place(MAIN_PROJECT)
        self._audio = audio

    def task(self, number: int, hypothesis: str, word_probs: Sequence[float] = ()) -> Task:
        key = TaskKey(f"{number:064x}", 1, 0)
        return Task(
            key, "query", number, self._audio, 2.5, hypothesis, "round-001", word_probs, 0.0
        )

    def sit_down(self, url: str, *tasks: Task) -> None:
        for _ in self._oracle.push(self._place, tasks):
            pass
        self.browser.get(f"{url}/projects/{self._place.project_id}/data?labeling=1")
        rules = "return document.querySelector('.al-rules')?.textContent ?? ''"
        until(lambda: "Кыргызча" in self.script(rules), "the instructions")
        self.press(Keys.ESCAPE)
        until(lambda: not self.browser.find_elements(By.CLASS_NAME, "lsf-modal-ls"), "their end")
        self._see_the_task()

    def press(self, *chord: str) -> None:
        """Press keys together, such as Ctrl and P."""
        actions = ActionChains(self.browser)
        for key in chord[:-1]:
            actions.key_down(key)
        actions.send_keys(chord[-1])
        for key in chord[-2::-1]:
            actions.key_up(key)
        actions.perform()

    def write(self, text: str) -> None:
        ActionChains(self.browser).send_keys(text).perform()

    def go_to_the_text(self) -> None:
        for _ in range(10):
            if self.in_the_text():
                return
            self.press(Keys.TAB)
        raise AssertionError("Tab does not lead to the text")

    def in_the_text(self) -> bool:
        return bool(self.script("return document.activeElement.name === 'transcription'"))

    def submit(self) -> None:
        seen = self.task_number()
        self.press(Keys.CONTROL, Keys.ENTER)
        until(lambda: self.task_number() != seen, "the next task")
        self._see_the_task()

    def refresh(self, task: Task) -> None:
        """The task gets a newer checkpoint's hypothesis while its page is open."""
        task_id = self._oracle.task_ids(self._place)[task.key]
        assert [*self._oracle.refresh(self._place, {task_id: task})] == [{task.key}]

    def answers(self) -> list[Annotation]:
        """As they arrive, in the order of the tasks."""
        pages = [*self._oracle.pull(self._place, None)]
        assert not [refusal for page in pages for refusal in page.refusals]
        found = [answer for page in pages for task in page.tasks for answer in task.annotations]
        return sorted(found, key=lambda answer: answer.key)

    def script(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)  # type: ignore[no-untyped-call]

    def task_number(self) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, ".lsf-current-task__task-id").text

    def text(self) -> str:
        return str(self.script(f"return document.querySelector('{BOX}').value"))

    def played_s(self) -> float:
        return float(self.script("return document.querySelector('audio').currentTime"))

    def is_playing(self) -> bool:
        return not self.script("return document.querySelector('audio').paused")

    def bottom(self, selector: str) -> float:
        """Of an element, in pixels from the window's top."""
        found = self.browser.find_element(By.CSS_SELECTOR, selector)
        assert found.is_displayed()
        return float(found.rect["y"] + found.rect["height"])

    def _see_the_task(self) -> None:
        ready = f"""return document.querySelector('{BOX}')
            && document.querySelector('.al-keys kbd')
            && document.querySelector('audio').readyState === 4"""
        until(lambda: self.script(ready), "the text and the audio")

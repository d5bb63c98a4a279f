"""Choices that stand in a view's address by a name of their own."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from al_loop.config import Settings
from storage.workspace import Workspace
from ui.addresses import address
from ui.language import Say
from ui.view import View


def _page(language: str) -> None:
    import streamlit as st

    from ui.addresses import choose_named, choose_section

    names = {"one": f"one, {language}", "two": f"two, {language}"}
    st.code(str(choose_named("Any", names, "any", none="all")))
    st.code(str(choose_named("Order", names, "order")))
    st.code(choose_section("Part", names, "part"))


def open_page(**query: str) -> AppTest:
    page = AppTest.from_function(_page, kwargs={"language": "ky"})
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception
    return page


def chosen(page: AppTest) -> list[str]:
    return [block.value for block in page.code]


def test_at_first_the_address_is_empty() -> None:
    page = open_page()
    assert chosen(page) == ["None", "one", "one"]
    assert not dict(page.query_params)


def test_the_address_chooses_whatever_the_language() -> None:
    page = open_page(any="two", order="two", part="two")
    assert chosen(page) == ["two", "two", "two"]
    assert page.selectbox[0].options == ["one, ky", "two, ky"]


def test_a_choice_goes_into_the_address_and_the_default_out_of_it() -> None:
    page = open_page(part="two")
    page.selectbox[0].select("one").run()
    page.button_group[0].set_value("one").run()
    assert chosen(page) == ["one", "one", "one"]
    assert {key: str(value) for key, value in page.query_params.items()} in (
        {"any": "one"},
        {"any": "['one']"},
    )


@pytest.mark.parametrize("value", ["three", "", "<script>", "one, ky"])
def test_what_is_no_choice_is_left_out(value: str) -> None:
    page = open_page(any=value, order=value, part=value)
    assert chosen(page) == ["None", "one", "one"]
    assert not dict(page.query_params)


def test_addresses_of_other_views_keep_the_language(workspace: Workspace) -> None:
    def view(language: str) -> View:
        return View(workspace, Settings(), Say(language), (0,))  # type: ignore[arg-type]

    assert address(view("en"), "round", round=3, clip=None) == "round?round=3"
    assert address(view("ky"), "round", clip="a b&c") == "round?clip=a%20b%26c&language=ky"

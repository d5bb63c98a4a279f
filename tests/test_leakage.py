"""What training and evaluation share is found, named, and limited."""

import pytest

from al_loop.errors import WorkspaceError
from al_loop.leakage import Sentences, check_share, find_leaks, leak_lines
from al_loop.records import Example, Leak, Utterance


def example(name: str, text: str, language: str = "ky", source: str = "books") -> Example:
    return Example(name, f"audio/{name}.flac", 1.0, source, language, text)


def held_out(name: str, text: str, language: str = "ky") -> Utterance:
    return Utterance(
        name, f"samples of {name}", f"audio/{name}", 1.0, "fleurs", language, "test", text
    )


def hashes(*examples: Example) -> dict[str, str]:
    return {row.utterance_id: f"samples of {row.utterance_id}" for row in examples}


TEST = [held_out("t1", "Саат 5те келди."), held_out("t2", "Ооба"), held_out("t3", "да", "ru")]


def test_the_same_samples_under_another_id() -> None:
    row = example("a", "башка сөз")
    assert find_leaks([row], {"a": "samples of t1"}, TEST) == [
        Leak("a", "books", "башка сөз", "t1", "audio")
    ]


def test_the_same_text_however_it_is_written() -> None:
    row = example("a", "саат беште келди")
    assert find_leaks([row], hashes(row), TEST) == [
        Leak("a", "books", "саат беште келди", "t1", "text")
    ]


def test_the_same_text_in_another_language_is_no_leak() -> None:
    rows = [example("a", "да"), example("b", "ооба", "ru"), example("c", "саат алтыда келди")]
    assert find_leaks(rows, hashes(*rows), TEST) == []
    assert find_leaks(rows, hashes(*rows), []) == []


def test_an_utterance_of_the_set_itself_is_left_to_the_manifest() -> None:
    row = example("t2", "ооба")
    assert find_leaks([row], hashes(row), TEST) == []


def leak(number: int, source: str, reason: str = "text") -> Leak:
    return Leak(f"{source}{number}", source, f"сөз {number}", "t1", reason)  # type: ignore[arg-type]


def test_a_line_for_each_source_and_reason() -> None:
    leaks = [*(leak(n, "radio") for n in range(5)), leak(7, "books"), leak(8, "books", "audio")]
    assert leak_lines(leaks) == [
        "1 of books by audio (“сөз 8”)",
        "1 of books by text (“сөз 7”)",
        "5 of radio by text (“сөз 0”, “сөз 1”, “сөз 2”, …)",
    ]


def test_above_the_share_it_says_what_how_many_from_where_and_what_to_do() -> None:
    leaks = [leak(number, "books") for number in range(3)]
    with pytest.raises(WorkspaceError, match=r"3 of 10 .*30%; mixture.max_leak_share allows 20%"):
        check_share(leaks, 10, 0.2)
    with pytest.raises(WorkspaceError, match=r"3 of books by text .*ingest splits"):
        check_share(leaks, 10, 0.2)


def test_up_to_the_share_nothing_is_said() -> None:
    check_share([leak(number, "books") for number in range(2)], 10, 0.2)
    check_share([], 0, 0.0)


LONG = held_out("t4", "Бүгүн базарда бир кызыл алма.")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Анан айтты: бүгүн базарда 1 кызыл алма сатып алды.", True),
        ("бүгүн базарда бир кызыл алма анан саат беште келди", True),
        ("бүгүн базарда бир кызыл", False),
        ("бүгүн базарда бир кызыл алмалар бар эле", False),
        ("анан саат беште келди деди", False),  # three words of a test, which many say
        ("бүгүн базарда бир бүгүн базарда бир кызыл алма", True),
    ],
)
def test_a_test_s_sentence_inside_a_longer_text(text: str, found: bool) -> None:
    row = example("a", text)
    wanted = [Leak("a", "books", text, "t4", "text")] if found else []
    assert find_leaks([row], hashes(row), [*TEST, LONG]) == wanted
    assert find_leaks([example("a", text, "ru")], hashes(row), [*TEST, LONG]) == []


def test_all_that_a_text_says_is_found() -> None:
    said = ["бир эки үч төрт беш", "бир эки үч төрт беш алты", "эки үч төрт беш алты", "жок"]
    sentences = Sentences(("ky", text, text) for text in said)
    assert list(sentences.find("ky", said[1])) == [said[1], said[0], said[2]]
    assert list(sentences.find("ky", f"жок {said[0]}")) == [said[0]]
    assert list(sentences.find("ky", "жок")) == ["жок"]
    assert list(sentences.find("ky", "")) == []

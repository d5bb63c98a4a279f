import pytest

from al_loop.text import normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Эртең, саат ЖЕТИДЕ!", "эртең саат жетиде"),
        ("  соода-сатык\tменен ", "соода сатык менен"),
        ("Ещё ёлка", "еще елка"),
        ("за́мок", "замок"),
        ("саат 7:30", "саат 7 30"),
        ("«Манас» — эпос…", "манас эпос"),
        ("й", "й"),
        ("?!…", ""),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(normalise(text)) == normalise(text)

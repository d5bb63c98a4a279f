from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from al_loop.errors import ManifestError
from al_loop.sources.book_text import origin, read_book

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>'
    "</rootfiles></container>"
)
PACKAGE = (
    '<package xmlns:opf="http://www.idpf.org/2007/opf"><opf:manifest>'
    '<opf:item id="two" href="text/2.xhtml"/><opf:item id="one" href="text/1%20a.xhtml"/>'
    '<opf:item id="unused" href="text/3.xhtml"/>'
    '</opf:manifest><opf:spine><opf:itemref idref="one"/><opf:itemref idref="two"/>'
    '<opf:itemref idref="gone"/></opf:spine></package>'
)
FIRST = (
    "<html><head><title>Аталышы</title><style>p {}</style></head><body><h1>Биринчи бап</h1>"
    "<p>Бул <i>биринчи</i>\n  сап&nbsp;&laquo;эки&raquo;.</p><script>var x;</script>"
    "<div>Экинчи<br/>үчүнчү</div><script/><p>төртүнчү"
)


def write_epub(path: Path, pages: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in pages.items():
            archive.writestr(name, text)
    return path


def write_pdf(path: Path, lines: list[str]) -> Path:
    """A page of Latin text in each of two pages, by hand: pypdf writes none."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for line in lines:
        stream = f"BT /F1 12 Tf 72 720 Td ({line}) Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents "
            f"{len(objects)} 0 R /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 "
            "/BaseFont /Helvetica >> >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    body, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    path.write_text(f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}")
    return path


def test_paragraphs_of_a_txt(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(
        "\ufeffБиринчи сап кыз-\nмат уланат.\n\n\n  Экинчи\nбөлүк.\n\nсо\u00adңу", encoding="utf-8"
    )
    assert [(row.text, row.place) for row in read_book(path)] == [
        ("Биринчи сап кызмат уланат.", "line 1"),
        ("Экинчи бөлүк.", "line 5"),
        ("соңу", "line 8"),
    ]
    assert origin(path, "line 5") == f"{path}#line 5"


def test_without_blank_lines_a_line_is_a_paragraph(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("Бир.\nЭки.\nҮч.\n", encoding="utf-8")
    assert [row.text for row in read_book(path)] == ["Бир.", "Эки.", "Үч."]
    assert [row.place for row in read_book(path)] == ["line 1", "line 2", "line 3"]


def test_an_epub_in_reading_order(tmp_path: Path) -> None:
    pages = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE,
        "OEBPS/text/2.xhtml": "<p>Экинчи бет.</p>",
        "OEBPS/text/1 a.xhtml": FIRST,
    }
    found = read_book(write_epub(tmp_path / "book.epub", pages))
    assert [row.text for row in found] == [
        "Биринчи бап",
        "Бул биринчи сап «эки».",
        "Экинчи",
        "үчүнчү",
        "төртүнчү",
        "Экинчи бет.",
    ]
    assert found[1].place == "OEBPS/text/1 a.xhtml, paragraph 2"


def test_the_pages_of_a_pdf(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    found = read_book(write_pdf(tmp_path / "book.pdf", ["The first page", "The second one"]))
    assert [(row.text, row.place) for row in found] == [
        ("The first page", "page 1"),
        ("The second one", "page 2"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("book.txt", "Эл".encode("cp1251"), "byte 0 is no UTF-8"),
        ("book.txt", b"1 2 3\n", "holds no words"),
        ("book.txt", b"", "holds no words"),
        ("book.epub", b"PK\x03\x04 half a download", "cannot be read as an epub"),
        ("book.pdf", b"%PDF-1.4 half a download", "cannot be read as a pdf"),
        ("book.docx", b"", "expected the book as .txt, .epub, .pdf"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ManifestError, match=message) as caught:
        read_book(path)
    assert str(path) in str(caught.value)


def test_an_epub_that_lacks_a_page(tmp_path: Path) -> None:
    pages = {"META-INF/container.xml": CONTAINER, "OEBPS/book.opf": PACKAGE}
    with pytest.raises(ManifestError, match="cannot be read as an epub"):
        read_book(write_epub(tmp_path / "book.epub", pages))


def test_a_page_that_unpacks_to_too_much(tmp_path: Path) -> None:
    pages = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE,
        "OEBPS/text/1 a.xhtml": "<p>" + "а" * 30_000_000,
    }
    with pytest.raises(ManifestError, match="more than 50 MiB"):
        read_book(write_epub(tmp_path / "book.epub", pages))


def test_a_page_that_is_named_again_and_again(tmp_path: Path) -> None:
    spine = '<opf:itemref idref="two"/>' * 6
    pages = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE.replace('<opf:itemref idref="one"/>', spine),
        "OEBPS/text/2.xhtml": "<p>" + "а" * 5_000_000,
    }
    with pytest.raises(ManifestError, match="more than 50 MiB"):
        read_book(write_epub(tmp_path / "book.epub", pages))


@pytest.mark.parametrize("kind", ["epub", "pdf"])
def test_a_book_with_a_damaged_middle_is_read_or_named(tmp_path: Path, kind: str) -> None:
    """A byte turned over, wherever it stands: bad codes, bad sums, names that lead nowhere."""
    path, refused = tmp_path / f"book.{kind}", 0
    if kind == "epub":
        numbers = " ".join(str(number * 7919 % 10_007) for number in range(1500))
        pages = {
            "META-INF/container.xml": CONTAINER,
            "OEBPS/book.opf": PACKAGE,
            "OEBPS/text/2.xhtml": f"<p>аб {numbers}</p>",
            "OEBPS/text/1 a.xhtml": FIRST,
        }
        write_epub(path, pages)
    else:
        pytest.importorskip("pypdf")
        write_pdf(path, ["The first page", "The second one"])
    whole = path.read_bytes()
    for place in range(3, len(whole), 41):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_book(path)
        except ManifestError as exc:
            refused += str(path) in str(exc)
    assert refused > 3

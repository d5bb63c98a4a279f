from pathlib import Path

import pytest

from benchmarks.report import REPORT, Target, announce, write_section

MET = Target("speed", "7.0x", ">= 6x", True)
MISSED = Target("wer", "9.1 points", "<= 5 points", False)


def test_one_line_a_target_and_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert announce([MET]) == 0
    assert announce([MET, MISSED]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "PASS speed 7.0x >= 6x",
        "PASS speed 7.0x >= 6x",
        "FAIL wer 9.1 points <= 5 points",
    ]


def test_sections_are_replaced_one_by_one(tmp_path: Path) -> None:
    report = tmp_path / "benchmarks.md"
    write_section("Decoding", "By `make bench`.", ["side", "s"], [["ours", "4.1"]], report)
    write_section("Training", "By `make bench-train`.", ["side", "s"], [["ours", "0.2"]], report)
    first = report.read_text(encoding="utf-8")
    assert first.startswith("# Benchmarks\n\nEach section")
    assert "## Decoding\n\nBy `make bench`.\n\n" in first
    assert "| side | s |\n| --- | --- |\n| ours | 4.1 |\n" in first
    assert first.count("python 3.") == 2

    write_section("Decoding", "Again.", ["side", "s"], [["ours", "3.9"]], report)
    second = report.read_text(encoding="utf-8")
    assert [line for line in second.splitlines() if line.startswith("#")] == [
        "# Benchmarks",
        "## Decoding",
        "## Training",
    ]
    assert "4.1" not in second
    assert second.split("## Training")[1] == first.split("## Training")[1]

    write_section("Decoding", "By `make bench`.", ["side", "s"], [["ours", "4.1"]], report)
    assert report.read_text(encoding="utf-8") == first


def test_the_written_report_is_as_the_module_would_write_it(tmp_path: Path) -> None:
    """Or the first benchmark to run would change more than its own section."""
    kept = REPORT.read_text(encoding="utf-8")
    copy = tmp_path / "benchmarks.md"
    copy.write_text(kept, encoding="utf-8")
    write_section("New", "Nothing.", ["a"], [["b"]], copy)
    assert copy.read_text(encoding="utf-8").startswith(kept.rstrip("\n"))


def test_a_section_without_rows_has_no_table(tmp_path: Path) -> None:
    report = tmp_path / "benchmarks.md"
    write_section("GPU", "By `make bench`: not measured.", [], [], report)
    text = report.read_text(encoding="utf-8")
    assert "## GPU\n\nBy `make bench`: not measured.\n\n" in text
    assert "ctranslate2" in text
    assert "|" not in text

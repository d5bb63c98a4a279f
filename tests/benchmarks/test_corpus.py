import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from al_loop.errors import ManifestError
from benchmarks.corpus import CORPUS, read_clips

HEADER = "path\tlanguage\tsplit\tspeaker\ttranscription\n"


def test_clips_are_chosen_by_language_and_split_and_bad_rows_passed_over(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    for index in range(5):
        make_clip(f"{index}.wav", 0.5, seed=index)
    rows = [
        "0.wav\tky\ttest\ta\tбир",
        "1.wav\tky\tpool\ta\tэки\tүч",  # a stray tab
        "2.wav\tky\tpool\ta\t",
        "3.wav\tky\ttrain\ta\tтөрт",
        "4.wav\tru\ttest\tb\tпять",
    ]
    (tmp_path / "manifest.tsv").write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    (clip,) = read_clips("ky", {"pool", "train"}, folder=tmp_path)
    assert (clip.text, clip.split, clip.source, clip.duration_s) == (
        "төрт",
        "train",
        "corpus_ky",
        0.5,
    )
    assert Path(clip.audio) == tmp_path / "3.wav"
    assert [row.text for row in read_clips("ky", {"test", "train"}, 1, tmp_path)] == ["бир"]
    shutil.copy(tmp_path / "3.wav", tmp_path / "4.wav")
    assert read_clips("ru", {"test"}, folder=tmp_path)[0].id == clip.id


def test_a_folder_without_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="AL_LOOP_CORPUS"):
        read_clips("ky", {"test"}, folder=tmp_path)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpus is not here")
def test_the_shared_corpus() -> None:
    clips = read_clips("ru", {"train", "test"})
    assert len(clips) == len({row.id for row in clips}) == 80
    assert all(Path(row.audio).is_file() and row.text for row in clips)

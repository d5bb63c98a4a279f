from pathlib import Path

import pytest

from al_loop.config import TOKEN_VARIABLE, Settings, label_studio_token, load_settings
from al_loop.config_file import default_config, setting_rows
from al_loop.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "al_loop.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_means_defaults(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "")) == Settings()


def test_the_default_file_means_defaults_and_still_does_uncommented(tmp_path: Path) -> None:
    text = default_config()
    assert load_settings(write(tmp_path, text)) == Settings()
    settings = "\n".join(
        line.removeprefix("# ") for line in text.splitlines()[1:] if "= …" not in line
    )
    assert load_settings(write(tmp_path, settings)) == Settings()


def test_every_setting_is_described() -> None:
    assert [row for row in setting_rows() if not row[3]] == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[select]\nbudget = 5", ["select.budget: unknown key", "budget_s, budget_minutes"]),
        ("sed = 1", ["sed: unknown key", "seed, model"]),
        ("[select]\nbudget_s = 'ten'", ["select.budget_s = 'ten'", "valid number"]),
        ("[select]\ncontrol_share = 1.5", ["select.control_share = 1.5", "less than or equal"]),
        ("[train]\nepochs = 0", ["train.epochs = 0", "greater than or equal to 1"]),
        ("[select]\nacquisition = 'best'", ["acquisition = 'best'", "'mean_token_entropy'"]),
        ("[train]\nepochs = true", ["train.epochs = True", "valid integer"]),
        ("[train]\nnoise_snr_db = [30, 5]", ["noise_snr_db = [30, 5]", "the lowest first"]),
        ("[train]\naccumulation = 'best'", ["accumulation", "'auto'"]),
        ("model = 3", ["model = 3"]),
        ("[train", ["cannot be read as TOML"]),
        (
            "[label_studio]\ntoken = 's3cret'",
            ["label_studio.token: unknown key", "url"],
        ),
        (
            "[mixture.language_shares]\nky = 0",
            ["mixture.language_shares.ky = 0", "greater than 0"],
        ),
        (
            "[mixture.source_shares]\nfleurs_ky = 40",
            ["mixture.source_shares.fleurs_ky = 40", "less than or equal to 1"],
        ),
        (
            "[mixture.language_shares]\nky = 0.7\nru = 0.6",
            ["mixture.language_shares = {'ky': 0.7, 'ru': 0.6}: the shares sum to 1.3, expected"],
        ),
        ("[mixture]\nmax_repeats = 0", ["mixture.max_repeats = 0", "greater than or equal to 1"]),
        ("[label_studio]\nurl = 'https://me:pw@labels'", ["label_studio.url", "match pattern"]),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    for part in [str(path), *parts]:
        assert part in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, "[train]\nepochs = 0\nbatch_size = 0"))
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; `al-loop init`"):
        load_settings(tmp_path / "al_loop.toml")


def test_the_token_comes_from_the_environment_or_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    path = write(tmp_path, "[label_studio]\ntoken_file = 'token'")
    settings = load_settings(path).label_studio
    with pytest.raises(ConfigError, match="cannot read"):
        label_studio_token(settings)

    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o644)
    with pytest.raises(ConfigError, match=r"mode 0644.*chmod 600") as caught:
        label_studio_token(settings)
    assert "s3cret" not in str(caught.value)
    token.chmod(0o600)
    assert label_studio_token(settings) == "s3cret"

    token.write_text("s3cret\nmore")
    with pytest.raises(ConfigError, match="expected one token") as caught:
        label_studio_token(settings)
    assert "s3cret" not in str(caught.value)

    monkeypatch.setenv(TOKEN_VARIABLE, "other")
    assert label_studio_token(settings) == "other"

    monkeypatch.delenv(TOKEN_VARIABLE)
    with pytest.raises(ConfigError, match=TOKEN_VARIABLE):
        label_studio_token(Settings().label_studio)


@pytest.mark.parametrize(
    "text",
    [
        "[label_studio]\nurl = 'https://me:hun/ter2@labels'",
        "[label_studio]\naudio_url = 'https://me:hun@ter2@labels'",
        "[label_studio]\nurl = 'https://labels?token=hunter2'",
        "[[label_studio]]\ntoken = 'hunter2'",
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="label_studio") as caught:
        load_settings(write(tmp_path, text))
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://b//p", "gs://b/p//q", "s3:///p"])
def test_an_audio_url_with_an_empty_part_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"audio\.url"):
        load_settings(write(tmp_path, f"[audio]\nurl = '{url}'"))
    for good in ("s3://b", "s3://b/p", "s3://b/p/"):
        assert load_settings(write(tmp_path, f"[audio]\nurl = '{good}'")).audio.url == good

"""A checkpoint for other programs: a transformers folder, or CTranslate2's for faster-whisper.

faster-whisper takes the languages of its own list only. So in CTranslate2's form a token that we
added moves into the place of another language, by default of the one that it started from (the
donor): `language="kk"` then decodes Kyrgyz. Knows nothing of rounds or of the database.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from al_loop.whisper.checkpoints import PACKAGED, SIDECAR, load
from al_loop.whisper.conversion import TOKENIZER, convert, is_added, move_language

FEATURES = "preprocessor_config.json"
MODEL_SUFFIXES = {".json", ".safetensors", ".txt"}
CARD = "README.md"
LICENCE_LINE = re.compile(r"^license: *[\"']?([\w.-]+)", re.M)
NO_LICENCE = "unknown"
"""What a card of ours says where nobody knows."""
SIZES = ("tiny", "base", "small", "medium", "large", "large-v2", "large-v3")
LICENCES = {f"openai/whisper-{size}": "apache-2.0" for size in SIZES} | {
    "openai/whisper-large-v3-turbo": "mit"
}
"""Those of the hub's multilingual models, as their cards say; the packaged copy is MIT."""


def export_transformers(checkpoint: Path, folder: Path) -> None:
    """Copy a checkpoint's model files into `folder`, its sidecar without paths of this machine."""
    for path in sorted(checkpoint.iterdir()):
        if path.name == SIDECAR:
            sidecar = _without_paths(json.loads(path.read_text(encoding="utf-8")))
            text = json.dumps(sidecar, indent=2, sort_keys=True, ensure_ascii=False)
            (folder / SIDECAR).write_text(text + "\n", encoding="utf-8")
        elif path.is_file() and path.suffix in MODEL_SUFFIXES:
            shutil.copy(path, folder)


def export_ctranslate2(
    checkpoint: Path, folder: Path, quantization: str, code: str, place: str
) -> str:
    """Write the CTranslate2 form of a checkpoint into `folder`, which is made anew.

    code: the target language's. place: of the language that makes room where `code` is a token
    that we added. Returns the code by which faster-whisper then knows the target language. Raises
    ModelError where Whisper does not list `place`, or the checkpoint does not know `code`.
    """
    whisper = load(str(checkpoint))
    tokenizer = json.loads((checkpoint / TOKENIZER).read_text(encoding="utf-8"))
    added = is_added(whisper.model, code)
    if added:
        move_language(whisper.model, tokenizer, code, place)
    convert(checkpoint, whisper.model, tokenizer, folder, quantization)
    text = json.dumps(tokenizer, ensure_ascii=False)
    (folder / TOKENIZER).write_text(text, encoding="utf-8")
    shutil.copy(checkpoint / FEATURES, folder)
    return place if added else code


def published(base: Mapping[str, Any], root: Path) -> tuple[str | None, str | None]:
    """What the model in a base's sidecar is called on the hub, and the licence of its weights.

    None where nobody says. Asked is what lies here: the model card of a folder, which may be
    relative to `root`, or the hub's in the local cache; then what we know of OpenAI's.
    """
    name = base["made_from"]
    if name == PACKAGED:
        return "openai/whisper-base", "mit"
    folder = root / Path(name).expanduser()
    if base.get("from_folder", folder.is_dir()):
        return None, _licence(folder / CARD)
    try:
        cached = try_to_load_from_cache(name, CARD)
    except HFValidationError:  # no name on the hub
        return None, None
    stated = _licence(Path(cached)) if isinstance(cached, str) else None
    return name, stated or LICENCES.get(name)


def _without_paths(value: Any) -> Any:
    """A sidecar's value, of a path of this machine only the last name."""
    if isinstance(value, dict):
        return {key: _without_paths(row) for key, row in value.items()}
    if isinstance(value, list):
        return [_without_paths(row) for row in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name
    return value


def _licence(card: Path) -> str | None:
    """What a model card's front matter says."""
    if not card.is_file():
        return None
    _, *front_matter = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    found = LICENCE_LINE.search(front_matter[0]) if front_matter else None
    return found[1] if found and found[1] != NO_LICENCE else None

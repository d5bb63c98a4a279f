"""What a model of the hub, or of a folder, is called, and under which licence its card says it is.

Knows cards, and what the publishers say of families of models; not what a licence allows.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from al_loop.licences import UNKNOWN

CARD = "README.md"
STATED = {
    "facebook/mms-tts": "cc-by-nc-4.0",
    "facebook/nllb-": "cc-by-nc-4.0",
    "facebook/m2m100_": "mit",
}
"""By the beginning of a name on the hub: what the cards of these families say, for whoever has the
weights and not the card."""
WEIGHTS = ("model.safetensors", "model-*.safetensors", "pytorch_model*.bin")
"""What transformers calls them; it reads the first of these that a folder has."""


def model_name(place: str) -> str:
    """What a model is called: its name on the hub; of a folder the last part and the beginning of
    its weights' SHA-256, for the rest of the path says something of this machine alone.

    A folder without weights is no model, and has its name alone.
    """
    folder = Path(place).expanduser()
    if not folder.is_dir():
        return place
    name, weights = folder.resolve().name, _weights(folder)
    return f"{name}@{_sha256(weights)[:12]}" if weights else name


def full_place(place: str) -> str:
    """A model's folder by its whole path, for workers have another working directory; what is no
    folder, such as a name on the hub, as it is."""
    folder = Path(place).expanduser()
    return str(folder.resolve()) if folder.is_dir() else place


def _weights(folder: Path) -> list[Path]:
    found = (sorted(folder.glob(pattern)) for pattern in WEIGHTS)
    return next(filter(None, found), [])


def _sha256(files: list[Path]) -> str:
    """Of the files' bytes, one after the other: of a single one its own."""
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def licence_of(place: str) -> str:
    """The licence of a folder's model, or of one on the hub; "unknown" where nobody says.

    Asked is the card of the folder or in the local cache, then what we know, then the hub.
    """
    folder = Path(place).expanduser()
    if folder.is_dir():
        return _stated(folder / CARD) or UNKNOWN
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(place, CARD)
        if isinstance(cached, str) and (stated := _stated(Path(cached))):
            return stated
        for family, licence in STATED.items():
            if place.startswith(family):
                return licence
        return _stated(Path(hf_hub_download(place, CARD))) or UNKNOWN
    except (OSError, ValueError):  # no network, no such model, no card
        return UNKNOWN


def _stated(card: Path) -> str | None:
    """What a card's front matter says; the name of one that is called `other`."""
    import yaml
    from huggingface_hub import ModelCard

    if not card.is_file():
        return None
    try:
        data = ModelCard.load(card, ignore_metadata_errors=True).data
    except (OSError, ValueError, yaml.YAMLError):  # no front matter that can be read
        return None
    found = data.get("license")
    if found == "other":
        found = data.get("license_name") or found
    names = found if isinstance(found, list) else [found]
    return ", ".join(str(name) for name in names if name and name != UNKNOWN) or None

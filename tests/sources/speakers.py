"""A synthesiser that needs no model, a tiny VITS, and a tiny translator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from al_loop.errors import AudioError
from al_loop.sources.synthesis import Manner

LETTERS = " абвгдеёжзийклмнңоөпрстуүфхцчшщъыьэюя"
WORDS = ("дом", "гора", "вода", "үй", "тоо", "суу")


class Toner:
    """The port: each letter a tone; counts what it says. A line that begins so is unspeakable."""

    name = "toner"
    licence = "mit"
    id = "toner 1"
    speakers: Sequence[str] = ("toner low", "toner high")

    def __init__(self) -> None:
        self.said: list[str] = []

    def speak(self, text: str, manner: Manner) -> tuple[np.ndarray, int]:
        if text.startswith("!"):
            raise AudioError("unspeakable", "it has not the letters !")
        self.said.append(text)
        times = np.arange(round(0.06 * 8000 / manner.pace)) / 8000
        lowest = 300 if manner.speaker.endswith("low") else 500
        tones = [np.sin(2 * np.pi * (lowest + 20 * (ord(letter) % 50)) * times) for letter in text]
        return 0.3 * np.concatenate(tones).astype(np.float32), 8000

    def close(self) -> None: ...


def make_vits(
    folder: Path, letters: str = LETTERS, speakers: int = 1, licence: str | None = None, **options
) -> Path:
    """A VITS of random weights in `folder`, at 16 kHz."""
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    config = VitsConfig(
        vocab_size=len(letters) + 1,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=16,
        flow_size=16,
        spectrogram_bins=9,
        prior_encoder_num_flows=1,
        prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=2,
        duration_predictor_filter_channels=16,
        depth_separable_num_layers=1,
        upsample_initial_channel=16,
        upsample_rates=[8, 8],
        upsample_kernel_sizes=[16, 16],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
        num_speakers=speakers,
        speaker_embedding_size=8 if speakers > 1 else 0,
    )
    VitsModel(config).save_pretrained(folder)
    vocab = {"_": 0, **{letter: number for number, letter in enumerate(letters, start=1)}}
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    tokenizer = VitsTokenizer(
        str(folder / "vocab.json"),
        pad_token="_",
        unk_token=None,
        **{"phonemize": False, **options},
    )
    tokenizer.save_pretrained(folder)
    return with_card(folder, licence)


def make_translator(folder: Path, licence: str | None = None) -> Path:
    """A translator of NLLB's kind in `folder`: it has learned three words of Russian by heart."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    folder.mkdir(parents=True)
    merges = [
        (f"▁{word}"[:end], word[end - 1]) for word in WORDS for end in range(1, len(word) + 1)
    ]
    pieces = sorted({piece for merge in merges for piece in (*merge, "".join(merge))})
    vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    vocab |= {piece: number for number, piece in enumerate(pieces, start=4)}
    codes = ["rus_Cyrl", "kir_Cyrl", "kas_Arab", "kas_Deva"]
    tokenizer = NllbTokenizer(vocab=vocab, merges=merges, extra_special_tokens=codes)
    tokenizer.src_lang, tokenizer.tgt_lang = "rus_Cyrl", "kir_Cyrl"
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=16,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        dropout=0.0,
        init_std=0.2,
    )
    model = M2M100ForConditionalGeneration(config)
    batch = tokenizer(
        list(WORDS[:3]), text_target=list(WORDS[3:]), return_tensors="pt", padding=True
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(80):
        loss = model(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return with_card(folder, licence)


def with_card(folder: Path, licence: str | None) -> Path:
    if licence is not None:
        (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n# A model\n", "utf-8")
    return folder

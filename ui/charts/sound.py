"""A clip's waveform and spectrogram as one picture. Pure: samples in, chart out."""

from __future__ import annotations

import base64
import io

import altair as alt
import numpy as np
from PIL import Image

from ui.charts.style import COLOURS
from ui.language import Say

WINDOW_S = 0.025
COLUMNS = 500
"""Of the spectrogram, at most."""
PEAKS = 400
LEVELS = 16
"""Of its density: so few keep the picture small."""
RANGE_DB = 70.0
"""What lies this far below the loudest is shown as nothing."""
SPECTRUM_PART, WAVE_PART = 0.66, 0.3
"""Of the height; the rest lies between them."""
HEIGHT_PX = 270
WIDTH_PX = 720
"""Of the downloads; on the page the picture is as wide as it is."""


def sound_chart(samples: np.ndarray, sample_rate: int, say: Say) -> alt.LayerChart:
    """samples: (T,) float32 in [-1, 1]. The waveform, and below it the spectrogram.

    The spectrogram has one colour that is the denser the more power there is, so that it is read
    on light and on dark.
    """
    seconds, highest_khz = len(samples) / sample_rate, sample_rate / 2000
    time = alt.X(
        "from:Q",
        title=say("round.axis_seconds"),
        scale=alt.Scale(domain=[0, seconds], nice=False),
        axis=alt.Axis(grid=False),
    )
    picture = {
        "from": 0,
        "to": seconds,
        "low": 0,
        "high": highest_khz,
        "url": as_picture(spectrogram(samples, sample_rate)),
    }
    # each scale goes on beyond its own part of the height, so that the parts lie one on the other
    khz = alt.Y(
        "low:Q",
        title=say("round.axis_khz"),
        scale=alt.Scale(domain=[0, highest_khz / SPECTRUM_PART], nice=False),
        axis=alt.Axis(values=list(range(0, int(highest_khz) + 1, 2)), grid=False),
    )
    lowest = 1 - 2 / WAVE_PART
    amplitude = alt.Y(
        "low:Q", title=None, axis=None, scale=alt.Scale(domain=[lowest, 1], nice=False)
    )
    spectrum = (
        alt.Chart(alt.Data(values=[picture]))
        .mark_image(aspect=False)
        .encode(x=time, x2="to:Q", y=khz, y2="high:Q", url="url:N")
    )
    wave = (
        alt.Chart(alt.Data(values=peaks(samples, sample_rate)))
        .mark_area(color=COLOURS[1], opacity=1)
        .encode(x=time, y=amplitude, y2="high:Q")
    )
    layers = alt.LayerChart(layer=[spectrum, wave], height=HEIGHT_PX, width=WIDTH_PX)
    return layers.resolve_scale(y="independent")


def spectrogram(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power in dB below the loudest, (bins, columns) in [0, 1]: 0 is RANGE_DB below, 1 the loudest.

    Short-time Fourier transform of Hann windows, each two frequencies as one; the lowest is the
    last row.
    """
    size = round(WINDOW_S * sample_rate)
    samples = np.pad(samples, (0, max(size - len(samples), 0)))
    step = max(size // 2, -(-(len(samples) - size) // (COLUMNS - 1)))
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)[::step]
    power = np.abs(np.fft.rfft(windows * np.hanning(size).astype(np.float32), axis=1)) ** 2
    power = power[:, : size // 4 * 2].reshape(len(power), -1, 2).mean(axis=2)
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    shares = 1 + (decibels - decibels.max()) / RANGE_DB
    return np.asarray(np.clip(shares, 0, 1).T[::-1])


def peaks(samples: np.ndarray, sample_rate: int) -> list[dict[str, float]]:
    """The least and the greatest sample of each of a few hundred equal parts of the clip."""
    parts = np.array_split(samples, max(min(PEAKS, len(samples)), 1))
    length = len(samples) / sample_rate / len(parts)
    return [
        {
            "from": round(place * length, 4),
            "low": round(float(part.min()), 4),
            "high": round(float(part.max()), 4),
        }
        for place, part in enumerate(parts)
        if len(part)
    ]


def as_picture(shares: np.ndarray) -> str:
    """A picture (rows, columns) of one colour as the address of its own data."""
    colour = bytes(int(COLOURS[0][place : place + 2], 16) for place in (1, 3, 5))
    picture = Image.fromarray((shares * (LEVELS - 1)).round().astype(np.uint8), "P")
    picture.putpalette(colour * LEVELS)
    densities = bytes(255 * level // (LEVELS - 1) for level in range(LEVELS))
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=densities)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

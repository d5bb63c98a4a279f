"""What a frame costs in each state, relative to hearing freely. Pure NumPy.

A cost is a difference of log-probabilities: that of the label wanted, less that of the label which
the recogniser finds likeliest in the frame. So a path that says what the recogniser hears freely
costs nothing, however sure the recogniser is, and costs of different passages compare.

Between two words a path may wait in one state for all that is no word of the text: blank, the
space between words, and, for a price, whatever the recogniser hears. That is the star token of
Pratap et al. (arXiv 2305.13516, section 3.1.2), but with a price: theirs has probability 1, and
would swallow the text as well where text may be left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from al_loop.alignment.text import Labels


@dataclass(frozen=True, slots=True)
class Prices:
    """In nats, relative to the likeliest label of a frame. Ours; docs/lab-notes.md has trials.

    unheard: for each letter of the text that is passed over. A word is passed over whole.
    unwritten: for each frame in which the recogniser hears a letter and the text has none. A CTC
    recogniser's letters are one frame long, mostly, so that this too is a price per letter.
    """

    unheard: float = 2.5
    unwritten: float = 2.5


def frame_costs(log_probs: np.ndarray, labels: Labels, prices: Prices) -> np.ndarray:
    """(T, V + 2) float32, all 0 or less: each label's, then an unknown letter's, then a gap's.

    log_probs: (T, V) float32. The last two are the columns -2 and -1: a letter that the recogniser
    does not have may be whatever it hears, at the price of speech that is not written.
    """
    best = log_probs.max(axis=1, keepdims=True)
    costs = np.empty((len(log_probs), log_probs.shape[1] + 2), dtype=np.float32)
    np.subtract(log_probs, best, out=costs[:, :-2])
    quiet = costs[:, labels.blank]
    if labels.space is not None:
        quiet = np.maximum(quiet, costs[:, labels.space])
    letters = list(labels.letters.values())
    costs[:, -2] = costs[:, letters].max(axis=1) - prices.unwritten
    costs[:, -1] = np.maximum(quiet, -prices.unwritten)
    return costs

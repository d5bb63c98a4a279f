"""N-gram probabilities from texts: interpolated modified Kneser-Ney smoothing. Pure.

S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for language modeling"
(Computer Speech and Language 13, 1999), their best method. Of an n-gram that ends in w, after the
context h, seen c(hw) times:

    p(w | h) = max(c(hw) - D(c), 0) / c(h·) + γ(h) · p(w | h less its first word)

D is D1, D2 or D3+ for n-grams seen once, twice or more often, estimated for each length from how
many there are of each; γ(h) gives away what was taken. Below the highest order, c is not how often
an n-gram occurs but after how many different words, save for those that start a sentence, which
nothing precedes. Single words are interpolated with a uniform distribution over the vocabulary and
`<unk>`, which thereby has a probability. As KenLM's estimator: Heafield et al., "Scalable modified
Kneser-Ney language model estimation" (ACL 2013), whose discounts we take, too, where a length has
too few n-grams to estimate its own.

The result is a table in ARPA's form: what a context has not seen costs the context's back-off and
is looked up after the context less its first word. Knows no language: texts are words and spaces.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
ORDERS = range(2, 7)
"""KenLM reads no shorter and, as it is built for PyPI, no longer n-grams."""
FEW = (0.5, 1.0, 1.5)
"""Discounts for n-grams seen once, twice and more often, where they cannot be estimated (as
KenLM's estimator has them when asked to)."""
NEVER = -99.0
"""log10 of the probability of `<s>`, which is never predicted, as ARPA files have it."""

Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """log10 probabilities of n-grams up to `order` words, and log10 back-offs of contexts.

    probabilities: n-gram -> log10 p(last | those before). backoffs: only of n-grams that something
    follows; that of others is 0. vocabulary: every word with </s> and <unk>, without <s>.
    """

    order: int
    probabilities: Mapping[Gram, float]
    backoffs: Mapping[Gram, float]

    @property
    def vocabulary(self) -> list[str]:
        return sorted(gram[0] for gram in self.probabilities if len(gram) == 1 and gram[0] != START)

    def log10(self, word: str, context: Gram) -> float:
        """log10 p(word | context), `context` of any length; an unknown word counts as <unk>."""
        known = word if (word,) in self.probabilities else UNKNOWN
        before = context[len(context) - self.order + 1 :] if len(context) >= self.order else context
        return self._backed_off((*before, known))

    def _backed_off(self, gram: Gram) -> float:
        if gram in self.probabilities:
            return self.probabilities[gram]
        return self.backoffs.get(gram[:-1], 0.0) + self._backed_off(gram[1:])

    def sentence(self, text: str) -> float:
        """log10 of the probability of a text with its beginning and end."""
        words = [START, *text.split(), END]
        return math.fsum(
            self.log10(words[place], tuple(words[:place])) for place in range(1, len(words))
        )


def estimate(texts: Iterable[str], order: int = 3) -> Table:
    """The model of some texts, one sentence each; those without a word are passed over.

    Raises ValueError for an order that KenLM does not read, for a word that ARPA files reserve,
    and where no text has a word.
    """
    if order not in ORDERS:
        raise ValueError(
            f"an n-gram model of order {order}: it must be from {ORDERS[0]} to {ORDERS[-1]}"
        )
    counts = _counts(texts, order)
    if not counts[0]:
        raise ValueError("no text has a word: a language model needs some")
    vocabulary = [*(gram[0] for gram in counts[0] if gram != (START,)), UNKNOWN]
    probabilities: dict[Gram, float] = {}
    backoffs: dict[Gram, float] = {}
    lower: dict[Gram, float] = {}
    uniform = 1 / len(vocabulary)
    for length, seen in enumerate(counts, start=1):
        # <s> is never predicted: as an n-gram by itself it takes no part
        predicted = {gram: count for gram, count in seen.items() if gram != (START,)}
        less = discounts(predicted)
        total, taken = _contexts(predicted, less)
        current = {
            gram: (count - less[min(count, 3) - 1]) / total[gram[:-1]]
            + taken[gram[:-1]] / total[gram[:-1]] * (lower[gram[1:]] if length > 1 else uniform)
            for gram, count in predicted.items()
        }
        if length == 1:
            current[UNKNOWN,] = taken[()] / total[()] * uniform
            probabilities[START,] = NEVER
        else:
            backoffs |= {context: math.log10(taken[context] / total[context]) for context in total}
        probabilities |= {gram: math.log10(chance) for gram, chance in current.items()}
        lower = current
    return Table(order, probabilities, backoffs)


def arpa(table: Table) -> Iterator[str]:
    """The lines of the ARPA file, without line ends; n-grams in the order of their words."""
    by_length: dict[int, list[Gram]] = defaultdict(list)
    for gram in sorted(table.probabilities):
        by_length[len(gram)].append(gram)
    yield "\\data\\"
    for length in range(1, table.order + 1):
        yield f"ngram {length}={len(by_length[length])}"
    for length in range(1, table.order + 1):
        yield ""
        yield f"\\{length}-grams:"
        for gram in by_length[length]:
            line = f"{table.probabilities[gram]:.7f}\t{' '.join(gram)}"
            yield line if length == table.order else f"{line}\t{table.backoffs.get(gram, 0.0):.7f}"
    yield ""
    yield "\\end\\"


def _counts(texts: Iterable[str], order: int) -> list[Counter[Gram]]:
    """For each length the n-grams and their counts as the smoothing takes them."""
    raw: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for text in texts:
        words = text.split()
        reserved = {START, END, UNKNOWN}.intersection(words)
        if reserved:
            raise ValueError(f"{min(reserved)} is no word, ARPA files reserve it: {text!r}")
        if not words:
            continue
        sentence = [START, *words, END]
        for length, counter in enumerate(raw, start=1):
            counter.update(zip(*(sentence[shift:] for shift in range(length)), strict=False))
    adjusted = [raw[-1]]
    for counter, longer in zip(raw[-2::-1], raw[:0:-1], strict=True):
        preceded: Counter[Gram] = Counter(gram[1:] for gram in longer)
        adjusted.append(
            Counter(
                {
                    gram: count if gram[0] == START else preceded[gram]
                    for gram, count in counter.items()
                }
            )
        )
    return adjusted[::-1]


def discounts(counts: Mapping[Gram, int]) -> tuple[float, float, float]:
    """D1, D2 and D3+ for n-grams of one length, from how many were seen once to four times."""
    seen = Counter(counts.values())
    once, twice, thrice, fourth = (seen[times] for times in (1, 2, 3, 4))
    if not (once and twice and thrice):
        return FEW
    share = once / (once + 2 * twice)
    found = (
        1 - 2 * share * twice / once,
        2 - 3 * share * thrice / twice,
        3 - 4 * share * fourth / thrice,
    )
    # nothing left for the unseen, or less than nothing: the counts are too few to go by
    return found if all(discount > 0 for discount in found) else FEW


def _contexts(
    counts: Mapping[Gram, int], less: tuple[float, float, float]
) -> tuple[dict[Gram, int], dict[Gram, float]]:
    """Of each context the sum of its counts, and how much the discounts take of it."""
    total: dict[Gram, int] = defaultdict(int)
    taken: dict[Gram, float] = defaultdict(float)
    for gram, count in counts.items():
        total[gram[:-1]] += count
        taken[gram[:-1]] += less[min(count, 3) - 1]
    return dict(total), dict(taken)

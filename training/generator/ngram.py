"""n-gram language model: interpolated modified Kneser-Ney (Chen and Goodman 1999) over token ids.

    p(w | c) = (count(c, w) - d) / count(c) + backoff(c) p(w | c without its oldest token)

Lower orders count how many different tokens precede an n-gram, not how often it occurs. A context never crosses the end
of a document; at the beginning it is filled up with the end token. Token ids in, probabilities out; knows no text.

n-grams of three tokens and more are dropped unless several authors wrote them, and their mass goes to the shorter
context: the model cannot recite what one person alone has written.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.generator.tokenizer import END_ID

_KEY_BITS = 64
_SHARED_FROM = 3


def token_bits(vocabulary: int, order: int) -> int:
    """Bits of a token within a key: 16 where they fit, else as few as the vocabulary needs.

    Raises ValueError when not even those fit into a key of 64 bits.
    """
    bits = 16 if order <= _KEY_BITS // 16 else max(1, (vocabulary - 1).bit_length())
    if order < 2 or vocabulary > 1 << bits or order * bits > _KEY_BITS:
        raise ValueError(f"order {order} with {vocabulary} tokens does not fit into keys of {_KEY_BITS} bits")
    return bits


@dataclass(frozen=True)
class Order:
    """n-grams of one length, sorted by key. A key holds the tokens, `bits` each, the newest in the lowest bits."""

    keys: np.ndarray
    """uint64 [n-grams]"""
    gains: np.ndarray
    """float32 [n-grams]: (count - discount) / count of the context"""
    backoffs: np.ndarray
    """float32 [contexts], in the order of `contexts`: mass left for the shorter context"""
    bits: int

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.unique(self.keys >> np.uint64(self.bits), return_index=True, return_counts=True)

    @property
    def contexts(self) -> np.ndarray:
        """uint64 [contexts], sorted: keys without their newest token."""
        return self._groups[0]

    @cached_property
    def tokens(self) -> np.ndarray:
        """int64 [n-grams]: the newest token of each."""
        return _newest(self.keys, self.bits)

    def find(self, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of `contexts` in `self.contexts`, and whether they are there at all."""
        if not len(self.contexts):
            return np.zeros(len(contexts), np.int64), np.zeros(len(contexts), bool)
        places = np.minimum(np.searchsorted(self.contexts, contexts), len(self.contexts) - 1)
        return places, self.contexts[places] == contexts

    def members(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All n-grams of the contexts at `places`: (which of `places`, index of the n-gram), both int64."""
        _, first, count = self._groups
        sizes = count[places]
        ends = np.cumsum(sizes)
        within = np.arange(int(sizes.sum())) - np.repeat(ends - sizes, sizes)
        return np.repeat(np.arange(len(places)), sizes), within + np.repeat(first[places], sizes)


def _newest(keys: np.ndarray, bits: int) -> np.ndarray:
    return (keys & np.uint64((1 << bits) - 1)).astype(np.int64)


def join_documents(documents: list[np.ndarray]) -> np.ndarray:
    """One stream, int32: the end token, then every document followed by the end token."""
    parts = [np.array([END_ID], np.int32)]
    for ids in documents:
        parts += [ids.astype(np.int32), np.array([END_ID], np.int32)]
    return np.concatenate(parts)


def _stream_keys(stream: np.ndarray, order: int, bits: int) -> list[np.ndarray]:
    """Keys of the n-grams that end at each position from 1 on, for n = 1 .. order; uint64 [positions - 1] each."""
    ids = stream.astype(np.uint64)
    position = np.arange(len(ids))
    begun = np.concatenate([[0], np.maximum.accumulate(np.where(stream == END_ID, position, 0))[:-1]])
    keys = [ids]
    for back in range(1, order):
        older = np.where(position - back >= begun, ids[np.maximum(position - back, 0)], np.uint64(END_ID))
        keys.append(keys[-1] | (older << np.uint64(bits * back)))
    return [key[1:] for key in keys]


def _discounts(counts: np.ndarray) -> np.ndarray:
    """Chen and Goodman's three discounts for counts 1, 2 and more; float64 [4], entry 0 unused.

    Kept inside (0, count], where their formula leaves it for lack of data, so that probabilities stay positive.
    """
    n = [float(np.sum(counts == c)) for c in range(5)]
    y = n[1] / max(n[1] + 2 * n[2], 1.0)
    raw = [c - (c + 1) * y * n[c + 1] / max(n[c], 1.0) for c in (1, 2, 3)]
    return np.array([0.0] + [min(max(d, 0.05 * c), 0.95 * c) for c, d in zip((1, 2, 3), raw, strict=True)])


def _authors_of(keys: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Distinct `owners` of each distinct key, in the order of `np.unique(keys)`."""
    by_key = np.lexsort((owners, keys))
    key, owner = keys[by_key], owners[by_key]
    new_key = np.concatenate([[True], key[1:] != key[:-1]])
    new_owner = new_key | np.concatenate([[True], owner[1:] != owner[:-1]])
    return np.add.reduceat(new_owner.astype(np.int64), np.flatnonzero(new_key))


def _order(keys: np.ndarray, counts: np.ndarray, kept: np.ndarray, bits: int) -> Order:
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    contexts, first = np.unique(keys >> np.uint64(bits), return_index=True)
    place = np.searchsorted(contexts, keys >> np.uint64(bits))
    gains = (counts - discounts) / np.add.reduceat(counts, first)[place]
    used = np.bincount(place[kept], weights=gains[kept], minlength=len(contexts))
    some = np.bincount(place[kept], minlength=len(contexts)) > 0
    return Order(keys[kept], gains[kept].astype(np.float32), (1.0 - used[some]).astype(np.float32), bits)


class NgramModel:
    """Probabilities of the next token after at most `order - 1` tokens."""

    def __init__(self, vocabulary: int, orders: list[Order]) -> None:
        self.vocabulary = vocabulary
        self.orders = orders
        self.bits = orders[0].bits
        base = np.full(vocabulary, orders[0].backoffs[0] / vocabulary)
        base[orders[0].tokens] += orders[0].gains
        self._base = base

    @property
    def order(self) -> int:
        """Tokens in the longest n-gram."""
        return len(self.orders)

    @classmethod
    def fit(
        cls, documents: list[np.ndarray], authors: list[str], vocabulary: int, order: int, min_authors: int
    ) -> "NgramModel":
        """Count `documents` (ids without end tokens); `authors` says who wrote each.

        Raises ValueError on no token, and when a key does not hold the order.
        """
        bits = token_bits(vocabulary, order)
        if not any(len(ids) for ids in documents):
            raise ValueError("there is no token to count")
        stream = join_documents(documents)
        number = {author: i for i, author in enumerate(dict.fromkeys(authors))}
        owners = np.repeat([number[author] for author in authors], [len(ids) + 1 for ids in documents])
        streams = _stream_keys(stream, order, bits)
        found = [np.unique(keys, return_counts=True) for keys in streams]
        orders = []
        for n, keys in enumerate(streams, start=1):
            distinct, counts = found[n - 1]
            if n < order:
                longer = found[n][0] & np.uint64((1 << bits * n) - 1)
                preceded = np.unique(longer, return_counts=True)[1]
                # Nothing but padding precedes the beginning of a document: there, occurrences count.
                begins = (
                    (distinct >> np.uint64(bits * (n - 1))) == END_ID
                    if n > 1
                    else np.zeros(len(distinct), bool)
                )
                counts = np.where(begins, counts, preceded)
            shared = n < _SHARED_FROM or min_authors <= 1
            kept = np.ones(len(distinct), bool) if shared else _authors_of(keys, owners) >= min_authors
            orders.append(_order(distinct, counts, kept, bits))
        return cls(vocabulary, orders)

    def score(self, stream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For every token of `stream` (see `join_documents`) but the first: its probability, float64 [tokens], and
        the mass that each context beyond the empty one leaves to its shorter one, float32 [tokens, order - 1];
        1 where the context is not known.
        """
        keys = _stream_keys(stream, self.order, self.bits)
        p = self._base[_newest(keys[0], self.bits)]
        masses = []
        for order, key in zip(self.orders[1:], keys[1:], strict=True):
            place, known = order.find(key >> np.uint64(self.bits))
            mass = np.where(known, order.backoffs[place], 1.0) if len(order.backoffs) else np.ones(len(key))
            index = np.minimum(np.searchsorted(order.keys, key), max(len(order.keys) - 1, 0))
            gain = np.zeros(len(key))
            if len(order.keys):
                gain = np.where(order.keys[index] == key, order.gains[index], 0.0)
            p = gain + mass * p
            masses.append(mass.astype(np.float32))
        return p, np.stack(masses, axis=1)

    def distribution(self, recent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of all next tokens, float64 [rows, vocabulary], and the masses as in `score`.

        `recent`, int [rows, order - 1], holds the newest tokens, oldest first, filled with the end token on the left.
        """
        rows = len(recent)
        masses = np.ones((rows, self.order - 1), np.float32)
        context = np.zeros(rows, np.uint64)
        found = []
        for n, order in enumerate(self.orders[1:], start=1):
            context = context | (recent[:, -n].astype(np.uint64) << np.uint64(self.bits * (n - 1)))
            place, known = order.find(context)
            row = np.flatnonzero(known)
            masses[row, n - 1] = order.backoffs[place[row]]
            found.append((order, row, place[row]))
        # What an order adds is scaled by the masses of the longer ones, so the whole vocabulary is scaled only once.
        left = np.ones((rows, self.order))
        left[:, :-1] = np.cumprod(masses[:, ::-1].astype(np.float64), axis=1)[:, ::-1]
        p = left[:, :1] * self._base
        for n, (order, row, place) in enumerate(found, start=1):
            which, index = order.members(place)
            p[row[which], order.tokens[index]] += order.gains[index] * left[row[which], n]
        return p, masses

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but the vocabulary's size, by name."""
        return {
            f"ngram.{n}.{name}": getattr(order, name)
            for n, order in enumerate(self.orders, start=1)
            for name in ("keys", "gains", "backoffs")
        }

    @classmethod
    def from_arrays(cls, vocabulary: int, order: int, arrays: dict[str, np.ndarray]) -> "NgramModel":
        """What `arrays` gave. Raises KeyError when something is missing."""
        names, bits = ("keys", "gains", "backoffs"), token_bits(vocabulary, order)
        return cls(
            vocabulary,
            [
                Order(**{name: arrays[f"ngram.{n}.{name}"] for name in names}, bits=bits)
                for n in range(1, order + 1)
            ],
        )

"""How well damage is undone: networks beside what learns little or nothing, and their table.

A picture is damaged by seed, and becomes bytes as a file of it would be. A method makes of damaged
pictures, float32 (N, S / factor, S / factor, C) in [-1, 1], whole ones, (N, S, S, C).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from completion.mending import Mender
from measuring import metrics
from measuring.evaluation import COLUMNS, Result, Truth, Values, row, set_distances
from measuring.tables import Column, markdown
from pictures import averages, codecs
from pictures.damage import Damage

Mend = Callable[[np.ndarray], np.ndarray]
METHODS = ("network", "damaged", "bicubic", "mean", "ridge")
PATCHES = 200_000  # pixels that the regression is fitted to
PENALTY = 1e-3  # of the squares of its weights, by the variance of a patch's numbers
COLOUR = Column("colour", "CIEDE2000", 2)


def damaged(pictures: np.ndarray, damage: Damage, seed: int) -> np.ndarray:
    """Pictures, uint8 (N, S, S, C), damaged: uint8 (N, S / factor, S / factor, C)."""
    return np.stack(
        [
            codecs.to_bytes(damage.of(picture, np.random.default_rng((seed, 2, number))))
            for number, picture in enumerate(codecs.to_float(pictures))
        ]
    )


def make(
    names: Sequence[str], damage: Damage, train: np.ndarray | None, menders: Mapping[str, Mender]
) -> dict[str, Mend]:
    """The methods by name. train: uint8 (N, S, S, C), what mean and ridge are fitted to; menders:
    by the names of networks, see parse. Raises ValueError where a method lacks what it needs."""
    if train is None and (fitted := {"mean", "ridge"} & set(names)):
        raise ValueError(f"methods {' and '.join(sorted(fitted))} are fitted to --train DIR")
    found: dict[str, Mend] = {}
    for name in names:
        if name in menders:
            found[name] = partial(_network, menders[name], parse(name)[1], damage)
        elif name == "ridge":
            found[name] = Ridge(train, damage)
        elif name == "mean":
            found[name] = partial(_mean_colours, codecs.to_float(train).mean(axis=0))
        else:
            found[name] = partial(_each, damage.enlarged if name == "damaged" else _smooth(damage))
    return found


def parse(name: str) -> tuple[str, float]:
    """The model folder, "" for the one of --checkpoint-dir, and the fidelity that the name of a
    network says: network, network:fidelity=1:model=DIR. Raises ValueError, with the choices."""
    base, *changes = name.split(":")
    values = {"model": "", "fidelity": "0"}
    for change in changes:
        option, _, value = change.partition("=")
        if base != "network" or option not in values:
            raise ValueError(f"method {name}: network alone has options: {', '.join(values)}")
        values[option] = value
    if base not in METHODS:
        raise ValueError(f"unknown method {base!r}; choose from {', '.join(METHODS)}")
    try:
        return values["model"], float(values["fidelity"])
    except ValueError:
        raise ValueError(f"method {name}: fidelity is no number") from None


def _each(undo: Callable[[np.ndarray], np.ndarray], given: np.ndarray) -> np.ndarray:
    return np.stack([undo(picture) for picture in given])


def _network(mender: Mender, fidelity: float, damage: Damage, given: np.ndarray) -> np.ndarray:
    made = mender.network(_each(damage.enlarged, given), fidelity)
    return np.stack([damage.restored(*pair) for pair in zip(made, given, strict=True)])


def _smooth(damage: Damage) -> Callable[[np.ndarray], np.ndarray]:
    """Bicubic from the means of blocks, be they shown as pixels or as blocks."""
    if damage.factor > 1 or damage.block == 1:
        return damage.enlarged
    block = damage.block
    return lambda given: np.clip(
        averages.enlarged(averages.block_means(given, block), block)[: len(given)], -1, 1
    )


def _mean_colours(mean: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The colours that training pictures have on average at a place, at the given brightness."""
    shares = [averages.with_brightness(mean, picture) for picture in given]
    return np.stack(shares)


class Ridge:
    """Ridge regression from damaged patches, enlarged bicubically, to the pixel in their middle,
    with what is known of the whole put back. Fitted to pictures uint8 (N, S, S, C)."""

    def __init__(self, train: np.ndarray, damage: Damage, seed: int = 0):
        self.damage, self.reach = damage, max(4, damage.block)
        rng = np.random.default_rng((seed, 5))
        per_picture = max(PATCHES // len(train), 50)
        chosen = rng.permutation(len(train))[: PATCHES // per_picture]
        gram, products = 0.0, 0.0
        for true in (train[i : i + 1] for i in chosen):
            given = codecs.to_float(damaged(true, damage, int(rng.integers(2**31))))
            rows = self._patches(given[0])
            some = rng.permutation(len(rows))[:per_picture]
            x = rows[some].astype(np.float64)
            gram = gram + x.T @ x
            products = products + x.T @ codecs.to_float(true).reshape(len(rows), -1)[some]
        penalty = PENALTY * np.trace(gram) / len(gram)
        self.weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), products)

    def __call__(self, given: np.ndarray) -> np.ndarray:
        return _each(self._one, given)

    def _one(self, given: np.ndarray) -> np.ndarray:
        made = self._patches(given) @ np.float32(self.weights)
        side = len(given) * self.damage.factor
        return self.damage.restored(np.clip(made, -1, 1).reshape(side, side, -1), given)

    def _patches(self, given: np.ndarray) -> np.ndarray:
        """(pixels of the whole picture, numbers of a patch and a one)."""
        seen, reach = _smooth(self.damage)(given), self.reach
        wide = np.pad(seen, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
        side = 2 * reach + 1
        windows = np.lib.stride_tricks.sliding_window_view(wide, (side, side), axis=(0, 1))
        rows = windows.reshape(seen.shape[0] * seen.shape[1], -1)
        return np.concatenate([rows, np.ones_like(rows[:, :1])], axis=1)


def mend_all(
    truth: Truth, damage: Damage, methods: Mapping[str, Mend], seed: int
) -> Iterator[Result]:
    """Damage all pictures and mend them by each method."""
    given = codecs.to_float(damaged(truth.pictures.pixels, damage, seed))
    for name, mend in methods.items():
        mend(given[:1])  # what is traced or loaded once is no part of the time
        started = time.perf_counter()
        pixels = codecs.to_bytes(mend(given))
        seconds = (time.perf_counter() - started) / len(given)
        features = truth.extractor(codecs.to_float(pixels))
        yield Result(
            damage.name,
            name,
            pixels=pixels,
            values=_values(truth, pixels, features),
            distances=set_distances(features, truth.features),
            seconds=seconds,
        )


def _values(truth: Truth, pixels: np.ndarray, features: np.ndarray) -> Values:
    pair = codecs.to_float(pixels), truth.floats
    values = {"psnr": metrics.psnr(*pair), "ssim": metrics.ssim(*pair)}
    if (colour := _colour_distance(pixels, truth.pictures.pixels)) is not None:
        values["colour"] = colour
    if truth.extractor.name == "face":
        values["identity_distance"] = metrics.identity_distance(features, truth.features)
    return values


def _colour_distance(pixels: np.ndarray, true: np.ndarray) -> np.ndarray | None:
    """The mean CIEDE2000 (Sharma, Wu & Dalal 2005) of each picture's pixels, (N,); about 1 can just
    be seen. None for grey pictures, and where scikit-image, which computes it, is missing."""
    try:
        from skimage import color
    except ImportError:
        return None
    if pixels.shape[3] == 1:
        return None
    pairs = zip(pixels, true, strict=True)
    return np.array(
        [color.deltaE_ciede2000(*(color.rgb2lab(p) for p in pair)).mean() for pair in pairs]
    )


def table(results: Sequence[Result], people: Sequence[str]) -> str:
    rows = {(result.mask, result.method): row(result, people) for result in results}
    return markdown(rows, ("damage", "method"), (*COLUMNS[:3], COLOUR, *COLUMNS[3:]))

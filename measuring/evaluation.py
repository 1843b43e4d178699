"""How good completions and samples are: what evaluate.py measures, and its tables.

Pictures are squares of the model's size. A hole is put into each, every method gets the known
pixels and the mask, and what it fills in is measured against the truth.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from tqdm import tqdm

from completion.case import Case, Hole, place
from data import split
from measuring import gallery, metrics
from measuring.features import Extractor
from measuring.methods import Method
from measuring.metrics import FeatureStatistics
from measuring.tables import Column, markdown
from pictures import codecs, masks

if TYPE_CHECKING:
    from model import DCGAN

MASKS = tuple(kind for kind in masks.CHOICES if kind not in ("full", "lowres"))  # hide a part
BATCH = 64  # pictures completed together, as by complete.py

Values = dict[str, np.ndarray]  # a figure's name -> one value for each picture, (N,) float64


@dataclass(frozen=True)
class Pictures:
    """What to measure with: uint8 (N, S, S, C), and for each its file and whom it shows."""

    paths: list[Path]
    people: list[str]
    pixels: np.ndarray

    @classmethod
    def read(cls, paths: Sequence[Path], size: int, channels: int) -> Self:
        """Those that can be read; ValueError where none can."""
        readable, pixels = gallery.read_all(paths, size, channels)
        return cls(readable, split.people(readable), pixels)

    @classmethod
    def generated(cls, model: "DCGAN", count: int, seed: int = 0) -> Self:
        """What the model itself makes: where these are not found again, the search is at fault."""
        paths = [Path(f"generated_{number:04d}") for number in range(count)]
        return cls(paths, split.people(paths), codecs.to_bytes(model.sample(count, seed)))

    def first(self, count: int) -> Self:
        return type(self)(self.paths[:count], self.people[:count], self.pixels[:count])

    def cases(self, kind: str, seed: int = 0) -> list[Case]:
        """Each picture with its hole; picture i has the mask of seed + i."""
        size, channels = self.pixels.shape[2:]
        return [
            place(
                path,
                codecs.Picture(pixels, None, "PNG"),
                size=size,
                channels=channels,
                hole=Hole(kind, seed + i),
            )
            for i, (path, pixels) in enumerate(zip(self.paths, self.pixels, strict=True))
        ]


@dataclass(frozen=True)
class Result:
    """What one method did to one kind of hole. pixels: uint8 (N, S, S, C); values: per picture;
    distances: between completed and true pictures as sets; seconds: per picture."""

    mask: str
    method: str
    pixels: np.ndarray
    values: Values
    distances: dict[str, float]
    seconds: float


class Truth:
    """The true pictures, and what is needed of them to measure any number of results."""

    def __init__(self, pictures: Pictures, extractor: Extractor):
        self.pictures, self.extractor = pictures, extractor
        self.floats = codecs.to_float(pictures.pixels)
        self.features = extractor(self.floats)

    def values(self, pixels: np.ndarray, square_masks: np.ndarray, features: np.ndarray) -> Values:
        """The figures of completed pictures, uint8 (N, S, S, C), with features (N, D)."""
        pair = codecs.to_float(pixels), self.floats
        values = {
            "hole_psnr": metrics.psnr(*pair, square_masks),
            "psnr": metrics.psnr(*pair),
            "hole_ssim": metrics.ssim(*pair, square_masks),
            "ssim": metrics.ssim(*pair),
            "seam": metrics.seam(*pair, square_masks),
            "sharpness": metrics.sharpness(*pair, square_masks),
        }
        if self.extractor.name == "face":
            values["identity_distance"] = metrics.identity_distance(features, self.features)
        return values

    def identity_yardsticks(self) -> dict[str, float]:
        """What an identity distance means here: 0 is the same picture; between two photographs of
        one person (the floor for whoever invents), and between different people (chance)."""
        if self.extractor.name != "face":
            return {}
        people = np.array(self.pictures.people)
        sums, counts = np.zeros(2), np.zeros(2)
        for i in range(1, len(people)):
            apart = np.linalg.norm(self.features[:i] - self.features[i], axis=1)
            other = (people[:i] != people[i]).astype(int)
            sums += np.bincount(other, apart, 2)
            counts += np.bincount(other, minlength=2)
        with np.errstate(invalid="ignore"):
            return dict(zip(("same_person", "different_people"), sums / counts, strict=True))


def complete_all(truth: Truth, kind: str, methods: Sequence[Method], seed: int) -> Iterator[Result]:
    """Put one kind of hole into all pictures and complete them by each method."""
    cases = truth.pictures.cases(kind, seed)
    square_masks = np.stack([case.square_mask for case in cases])
    for method in methods:
        method.warm_up(cases[:BATCH])
        started = time.perf_counter()
        batches = [cases[first : first + BATCH] for first in range(0, len(cases), BATCH)]
        shown = tqdm(batches, desc=f"{kind}, {method.name}", unit="batch", leave=False)
        pixels = np.concatenate([method.complete(batch) for batch in shown])
        seconds = (time.perf_counter() - started) / len(cases)
        features = truth.extractor(codecs.to_float(pixels))
        values = truth.values(pixels, square_masks, features)
        distances = set_distances(features, truth.features)
        yield Result(
            kind,
            method.name,
            pixels=pixels,
            values=values,
            distances=distances,
            seconds=seconds,
        )


def set_distances(features: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Frechet and kernel distance of features (N, D) from those of true pictures (M, D); none where
    there are fewer than two."""
    if min(len(features), len(true)) < 2:
        return {}
    statistics = FeatureStatistics.of(features), FeatureStatistics.of(true)
    return {
        "frechet_distance": metrics.frechet_distance(*statistics),
        "kernel_distance": metrics.kernel_distance(features, true),
    }


def summary(values: np.ndarray, people: Sequence[str]) -> dict[str, float] | None:
    """Mean of values (N,) with its 95% interval, by bootstrap over people. Values that are not
    finite (the seam of a hole without an edge) do not count; None where no value is left."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    low, high = metrics.bootstrap_interval(values[finite], np.array(people)[finite])
    return {"mean": float(values[finite].mean()), "low": low, "high": high}


def sample_distances(
    model: "DCGAN",
    pictures: np.ndarray,
    extractor: Extractor,
    seed: int = 0,
    truncation: float = 1.0,
    train: np.ndarray | None = None,
) -> dict[str, dict[str, float]]:
    """As many samples as pictures, uint8 (N, S, S, C): the distances between the two sets, and the
    samples' diversity over the pictures'. The same of training pictures: samples can be as good."""
    real = extractor(codecs.to_float(pictures))
    started = time.perf_counter()
    samples = model.sample(len(pictures), seed, truncation)
    seconds = (time.perf_counter() - started) / len(pictures)
    rows = {"samples": _compared(extractor(samples), real) | {"seconds": seconds}}
    if train is not None:
        some = train[gallery.spread(range(len(train)), len(pictures))]
        rows["training pictures"] = _compared(extractor(codecs.to_float(some)), real)
    return rows


def _compared(features: np.ndarray, real: np.ndarray) -> dict[str, float]:
    diversity = metrics.diversity(features) / metrics.diversity(real)
    return set_distances(features, real) | {"diversity_ratio": diversity}


# What is shown and written

COLUMNS = (
    Column("hole_psnr", "hole PSNR, dB", 2),
    Column("psnr", "PSNR, dB", 2),
    Column("ssim", "SSIM", 3),
    Column("seam", "seam", 2),
    Column("sharpness", "sharpness", 2),
    Column("identity_distance", "identity", 3),
    Column("frechet_distance", "Frechet x1000", 1, scale=1000),
    Column("kernel_distance", "kernel x1000", 2, scale=1000),
    Column("diversity_ratio", "diversity", 3),
    Column("seconds", "s a picture", 3),
)


def row(result: Result, people: Sequence[str]) -> dict:
    """The figures of a result: summaries over pictures, distances of sets, seconds."""
    summaries = {name: summary(values, people) for name, values in result.values.items()}
    return {**summaries, **result.distances, "seconds": result.seconds}


def completion_table(results: Sequence[Result], people: Sequence[str]) -> str:
    rows = {(result.mask, result.method): row(result, people) for result in results}
    return markdown(rows, ("mask", "method"), COLUMNS)


def samples_table(rows: dict[str, dict[str, float]], count: int, extractor: Extractor) -> str:
    """The table of sample_distances, and what its figures mean."""
    return markdown({(name,): row for name, row in rows.items()}, ("pictures",), COLUMNS) + (
        f"\n\n{count} of each, against as many true pictures, in features {extractor.name!r} "
        f"({extractor.dimensions} numbers).\nDiversity: mean distance between two pictures of a "
        "set, over that of true ones."
    )


def notes(truth: Truth) -> str:
    """What the table's figures mean, for below it."""
    people, extractor = truth.pictures.people, truth.extractor
    lines = [
        f"{len(people)} pictures of {len(set(people))} people. ± is half of the 95% interval, by "
        "bootstrap over people.",
        "PSNR and SSIM: of the hole where it says so, else of the whole picture. Seam: the jump "
        "across the hole's edge over the true one's, 1 at best. Sharpness: the energy of the "
        "gradient within the hole over the true one's, 1 at best, less for a blur.",
    ]
    meanings = {
        "same_person": "between two photographs of one person",
        "different_people": "between different people",
    }
    if yardsticks := truth.identity_yardsticks():
        parts = [
            f"{yardsticks[k]:.3f} {v}" for k, v in meanings.items() if np.isfinite(yardsticks[k])
        ]
        lines.append(
            "Identity: distance of face descriptors (dlib) of completed and true picture; "
            + ", ".join(["0 for the same picture", *parts, "in these pictures."])
        )
    lines.append(
        "Frechet and kernel distance: of completed from true pictures as sets, in features "
        f"{extractor.name!r} ({extractor.dimensions} numbers). Compare at equal counts; each has "
        "its true one among them, so kernel distances lie a little low, also below 0."
    )
    lines.append("Seconds: by the clock, with models loaded and baselines fitted.")
    return "\n".join(lines)


def report(truth: Truth, results: Sequence[Result]) -> dict:
    """Everything that was measured, for JSON; what is not finite is null."""
    people = truth.pictures.people
    return {
        "pictures": [str(path) for path in truth.pictures.paths],
        "people": people,
        "features": truth.extractor.name,
        "identity_yardsticks": {k: _plain(v) for k, v in truth.identity_yardsticks().items()},
        "rows": [
            {
                "mask": result.mask,
                "method": result.method,
                **row(result, people),
                "values": {k: list(map(_plain, v)) for k, v in result.values.items()},
            }
            for result in results
        ],
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

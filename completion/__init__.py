"""Completing pictures: the seam between what knows pictures and files, and what fills holes.

A Completer is what a model folder holds; it gets cases (completion/case.py) and gives Moments, and
knows nothing of files. Callers know this seam alone, never the class behind it. A Guide says what
to expect in a hole, for a completer that can take advice.
"""

from collections.abc import Callable, Collection, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from completion.case import Case
from completion.options import Options
from training import checkpoint

METHODS = {  # ways to complete -> the kind of model they need, as config.json names it
    "search": "dcgan",
    "network": "pix2pix",
    "both": "pix2pix",
}


@dataclass(frozen=True)
class Moment:
    """What a completion has come to. loss (N,) and latent (N, Z) are those of each picture, None
    where a way to complete has none; `generate` makes the pictures when they are asked for."""

    step: int
    loss: np.ndarray | None
    latent: np.ndarray | None
    generate: Callable[[], np.ndarray]

    @cached_property
    def generated(self) -> np.ndarray:
        """Whole pictures, float32 (N, S, S, C) in [-1, 1], of which the holes are of interest."""
        return self.generate()


class Completer(Protocol):
    """A model that completes squares of size x size pixels and so many channels.

    guides: those of options.GUIDES that it has, "none" among them; heeds: the names of the options
    (options.fields) that change what it does; draws: whether another draw
    gives another completion; path: of its folder, None if it was never saved.
    """

    kind: str
    size: int
    channels: int
    path: Path | None
    guides: Collection[str]
    heeds: Collection[str]
    draws: bool

    def fingerprint(self) -> str:
        """Tells it from any model that would complete otherwise."""

    def checked(self, options: Options) -> Options:
        """The options with what this model decides (guide "auto") filled in. Raises ValueError for
        what was asked for and it cannot do."""

    def describe(self, options: Options) -> str:
        """What it will do with checked options: a line for people."""

    def steps(self, options: Options) -> int:
        """The step of the last Moment, unless it settles earlier."""

    def ready(self) -> None:
        """Do now what is done once per model and takes its time."""

    def complete(self, cases: Sequence[Case], options: Options, draw: int = 0) -> Iterator[Moment]:
        """Complete all cases, each by itself: companions and their order change nothing. Yields
        what it comes to, the last Moment being the result. Later draws are alternatives."""

    def score(self, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """How real its discriminator finds completed squares (N, S, S, C) in [-1, 1] with masks
        (N, S, S, 1): (N,), more is more real."""


class Guide(Protocol):
    """What to expect in holes. Made for masks (N, S, S, 1), 1 = known; each picture by itself, from
    its known pixels alone: what is hidden may be anything. Later draws are alternatives; the seed
    decides them."""

    def expected(self, images: np.ndarray, draw: int = 0, seed: int = 0) -> np.ndarray:
        """The pictures to expect given the known pixels of (N, S, S, C) in [-1, 1]: float32."""

    def expected_differences(
        self, differences: np.ndarray, draw: int = 0, seed: int = 0
    ) -> np.ndarray:
        """The differences between two pictures each, (N, S, S, C), to expect where they are hidden,
        given those that are known: float32."""


def ranked(completer: Completer, case: Case, generated: Sequence[np.ndarray]) -> list[int]:
    """The order in which to show the draws of a case, each float32 (S, S, C): the first one, which
    so does not depend on how many there are, then the others, the most real first."""
    if len(generated) == 1:
        return [0]
    masks = np.stack([case.square_mask] * len(generated))
    squares = np.where(masks > 0, case.seen, np.stack(generated))
    scores = completer.score(squares, masks)
    return [0, *sorted(range(1, len(generated)), key=lambda draw: -scores[draw])]


def restore(
    folder: Path | str,
    method: str | None = None,
    warn: Callable[[str], None] = lambda message: None,
    kept: MutableMapping[Path, Completer] | None = None,
) -> Completer:
    """The completer that a model folder holds, ours or of TensorFlow 1.

    method: one of METHODS; default what the model is made for. Of a network, "search" takes the
    prior that its folder names, and "both" the network with alternatives that the prior finds. An
    export as ONNX completes by ONNX Runtime. kept: completers by their folders, whose networks are
    not restored twice; those restored now are added. Raises ValueError where there is none.
    TensorFlow is not imported before it is needed to complete.
    """
    kept = {} if kept is None else kept
    saved = checkpoint.load(folder, warn, exported="onnx")
    place = saved.path.resolve()
    if method not in (None, *METHODS):
        raise ValueError(f"method is {method!r}; choose from {', '.join(METHODS)}")
    if saved.kind == "dcgan":
        from completion.searching import Searching

        if method not in (None, "search"):
            raise ValueError(
                f"method is {method}, but {saved.path} holds a DCGAN, which searches; choose "
                "search, or a model that train-pix2pix.py has made"
            )
        if saved.exported:
            raise ValueError(f"{saved.path}: a search takes the model that this was exported from")
        return kept.setdefault(place, Searching.of_checkpoint(saved))
    if saved.kind == "pix2pix":
        if (damage := saved.config.get("damage", "hole")) != "hole":
            raise ValueError(
                f"{saved.path}: mends {damage}, which translate.py does; it fills no holes"
            )
        from completion.one_pass import OnePass

        network = kept.setdefault(place, OnePass.of_checkpoint(saved))
        if method not in ("search", "both"):
            return network
        prior = restore(_prior(saved, Path(folder), method), "search", kept=kept)
        return prior if method == "search" else network.advised(prior)
    raise ValueError(
        f"{saved.path}: a model of kind {saved.kind!r} completes no pictures; "
        f"choose one of kind {', '.join(dict.fromkeys(METHODS.values()))}"
    )


def _prior(saved: checkpoint.Checkpoint, folder: Path, method: str) -> Path:
    """The folder of the DCGAN that a network's folder names, relative to itself."""
    if not (name := saved.config.get("prior")):
        raise ValueError(
            f"method is {method}, but {saved.path} names no prior to search with "
            "(train-pix2pix.py --prior); choose network"
        )
    return folder / name

"""What a visitor has asked for: the values of the page's components."""

import math
from typing import NamedTuple

import numpy as np

from completion import Completer
from completion.options import PRESETS, Options, with_changes
from web.studio import Scene

FACES, WHOLE, POINTS = "Faces", "Centre square", "Points I click"
PLACES = (FACES, WHOLE, POINTS)
BRUSH, FILE, BUILT_IN = "Brush", "Mask file", "Built-in"
KINDS = (BRUSH, FILE, BUILT_IN)
EYE = "the inner corner of the {} eye"
CLICKS = (EYE.format("left"), EYE.format("right"), "the bottom lip")


class Wish(NamedTuple):
    """What the page's components say, in the order of its inputs."""

    scene: Scene | None
    place: str
    clicks: list[tuple[float, float]]
    kind: str
    mask: str | None
    built_in: str
    way: str
    preset: str
    fidelity: float
    steps: float | None
    lam: float | None
    blend: str | None
    alternatives: float | None
    seed: float | None
    editor: dict | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """What is yet to be clicked."""
        return CLICKS[len(self.clicks) :] if self.place == POINTS else ()

    @property
    def pixels(self) -> float:
        """A side of what is completed, which decides between the models that ship."""
        return min(self.scene.shape) if self.points is None else math.inf

    @property
    def points(self) -> np.ndarray | None:
        return points_of(self.scene, self.place, self.clicks)

    def options(self, completer: Completer) -> Options:
        return options_of(
            completer,
            self.preset if "steps" in completer.heeds else "best",  # a preset is of a search
            fidelity=self.fidelity,
            steps=self.steps,
            lam=self.lam,
            blend=self.blend,
            alternatives=self.alternatives,
            seed=self.seed,
        )


def points_of(scene: Scene | None, place: str, clicks: list) -> np.ndarray | None:
    """The points to align by, see studio.prepare; None to take the centre square."""
    if scene is None:
        raise ValueError("There is no picture yet: upload or paste one, or take an example")
    if place == POINTS:
        if len(clicks) < len(CLICKS):
            raise ValueError(f"Click {CLICKS[len(clicks)]} in the picture first")
        return np.array(clicks)
    return scene.faces if place == FACES else None


def options_of(completer: Completer, preset: str, **changes: float | str | None) -> Options:
    """The preset with what was given by hand, as far as this model heeds it; whole numbers come
    from the page as floats."""
    whole = {"steps", "alternatives", "seed"}
    given = {k: int(v) if k in whole else v for k, v in changes.items() if v is not None}
    heeded = {k: v for k, v in given.items() if k in completer.heeds}
    return with_changes(PRESETS[preset], heeded)

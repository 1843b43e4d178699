"""Pictures to try the page with: a photograph in the public domain, damaged in several ways."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pictures import codecs, damage, masks

PHOTOGRAPH = Path(__file__).parents[1] / "examples" / "astronaut.jpg"  # NASA: Eileen Collins
FACE = np.s_[60:190, 155:285]  # rows and columns of it
NOSE = np.s_[102:136, 208:242]
THUMBNAIL = np.s_[30:230, 125:325]


@dataclass(frozen=True)
class Example:
    """hole: bool (H, W), what is painted on it to begin with; None for nothing."""

    name: str
    picture: Path
    hole: np.ndarray | None
    thumbnail: Path


def write(folder: Path) -> list[Example]:
    """Write the examples into `folder`."""
    folder.mkdir(parents=True)
    colour = codecs.read(PHOTOGRAPH)
    photograph, old = Path(shutil.copy(PHOTOGRAPH, folder)), folder / "old.png"
    codecs.write(old, codecs.to_grey(colour)[..., None])
    nose = np.zeros(colour.shape[:2], bool)
    nose[NOSE] = True
    kinds = [
        ("A hole", photograph, nose),
        ("Scratches", old, _over_face(colour.shape, [damage.scratches])),
        ("Letters", photograph, _over_face(colour.shape, [damage.text])),
        ("Unpainted", photograph, None),
    ]
    examples = []
    for number, (name, picture, hole) in enumerate(kinds):
        pixels, thumbnail = codecs.read(picture, 3), folder / f"thumbnail-{number}.png"
        known = masks.from_hole(np.zeros(nose.shape, bool) if hole is None else hole)
        codecs.write(thumbnail, masks.overlay(pixels, known)[THUMBNAIL])
        examples.append(Example(name, picture, hole, thumbnail))
    return examples


def _over_face(shape: Sequence[int], kinds: Sequence) -> np.ndarray:
    hole = np.zeros(shape[:2], bool)
    size = hole[FACE].shape
    for draw in kinds:
        hole[FACE] |= draw(size, np.random.default_rng(3))
    return hole

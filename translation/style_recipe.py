"""How a network that paints is trained, apart from what it is; the flags of styles."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cli import flag, non_negative_float, positive_int
from networks.config import must_be_positive, pick
from networks.extractors import BLOCKS
from networks.style_config import STATISTICS, Objective, StyleConfig
from pictures import codecs, files

STYLE_PIXELS = 256  # of a style's shorter side, where no other number is asked for


@dataclass(frozen=True)
class StyleRecipe(Objective):
    """What is minimised, and how. style_size: the shorter side at which styles are read, in pixels:
    strokes are as large in what is painted. ema: half-life of the averaged network, in images.
    seed: of weights, order and draws.
    """

    style_size: int = STYLE_PIXELS
    ema: float = 400.0
    learning_rate: float = 0.002
    batch_size: int = 1
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        must_be_positive(self, "style_size", "batch_size")


def both(values: Mapping) -> tuple[StyleConfig, StyleRecipe]:
    """Configuration and recipe from their fields together, as config.json holds them."""
    return StyleConfig.from_dict(values), StyleRecipe(**pick(StyleRecipe, values))


def read_styles(paths: Sequence[Path], size: int) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """The names of pictures, or of those in folders, and their pixels, uint8 (h, w, 3), the shorter
    side resized to `size`. Raises ValueError, naming the file, for one that cannot be read."""
    names, styles, given = [], [], files.Names()
    for path in files.find(paths):
        pixels = codecs.read(path)
        factor = size / min(pixels.shape[:2])
        styles.append(codecs.resize(pixels, *(round(side * factor) for side in pixels.shape[:2])))
        names.append(given.give(path.stem))
    return tuple(names), styles


def add_objective_flags(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The flags of an Objective, which have its fields' names, and of the styles' size; returns
    their group."""
    group = parser.add_argument_group("objective")
    flag(group, "--extractor", choices=BLOCKS, help="network whose features are compared")
    flag(group, "--statistics", choices=STATISTICS, help="of the features that make the style")
    flag(group, "--content-blocks", nargs="+", metavar="BLOCK", help="that tell the content")
    flag(group, "--style-blocks", nargs="+", metavar="BLOCK", help="that tell the style")
    for name in ("content", "style", "variation"):
        help_ = f"({getattr(Objective, f'{name}_weight')})"
        flag(group, f"--{name}-weight", type=non_negative_float, help=help_)
    flag(
        group,
        "--style-size",
        type=positive_int,
        help=f"of the styles' shorter side in pixels: the larger, the larger the strokes "
        f"({STYLE_PIXELS})",
    )
    return group

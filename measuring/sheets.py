"""Completions to look at: many faces on one picture, a row for each method."""

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from measuring.evaluation import Pictures, Result
from pictures import codecs, grids

COLUMNS = 12  # pictures side by side; more go into further blocks of rows
LABEL_PIXELS = 110  # width of a row's name
LINE_PIXELS, LINE_LETTERS = 14, 20  # of a name


def sheet(
    pictures: Pictures, results: Sequence[Result], seed: int, count: int, enlarge: int = 1
) -> np.ndarray:
    """The first `count` pictures, uint8 (H, W, C), each pixel `enlarge` pixels wide and high.

    For each kind of hole: a row of the true pictures, one with the hole, and one for each method.
    """
    pictures, groups = pictures.first(count), []
    for kind in dict.fromkeys(result.mask for result in results):
        cases = pictures.cases(kind, seed)
        holes = np.stack([np.where(c.square_mask > 0, c.square, 1) for c in cases])
        parts = [("true", pictures.pixels), (kind, codecs.to_bytes(holes))]
        groups.append(parts + [(r.method, r.pixels[:count]) for r in results if r.mask == kind])
    return of_groups(groups, enlarge)


def of_groups(groups: Sequence[Sequence[tuple[str, np.ndarray]]], enlarge: int) -> np.ndarray:
    """Groups of rows, each a name and uint8 (N, S, S, C), in blocks of COLUMNS pictures."""
    rows: list[tuple[str, np.ndarray]] = []
    for group in groups:
        for first in range(0, len(group[0][1]), COLUMNS):
            rows += [(name, row[first : first + COLUMNS]) for name, row in group]
    columns = len(rows[0][1])
    return np.concatenate(
        [_labelled(name, row, columns=columns, enlarge=enlarge) for name, row in rows]
    )


def _labelled(name: str, row: np.ndarray, columns: int, enlarge: int) -> np.ndarray:
    """uint8 (N, S, S, C) in one row of `columns`, with a name to their left."""
    row = np.pad(row, [(0, columns - len(row)), (0, 0), (0, 0), (0, 0)], constant_values=255)
    strip = grids.grid(row, columns).repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    height = len(strip)
    label = Image.new("L", (LABEL_PIXELS, height), 255)
    font = ImageFont.load_default(size=11)
    lines = textwrap.wrap(name, LINE_LETTERS)[: max(height // LINE_PIXELS, 1)]
    text = "\n".join(lines)
    ImageDraw.Draw(label).text((4, height / 2), text, fill=0, font=font, anchor="lm")
    return np.concatenate(
        [np.asarray(label)[..., None].repeat(strip.shape[2], axis=2), strip], axis=1
    )

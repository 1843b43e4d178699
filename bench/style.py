#!/usr/bin/env python3
"""Pictures to learn styles by, all public domain or CC0; how near networks come to the search.

    bench/style.py make runs/style              photographs/, unseen/, styles/, more-styles/
    bench/style.py measure runs/style WAY ...   of runs/style/WAY/STYLE/results/

The photographs are parts of those in scikit-image (requirements-dev.txt) and drawn textures; the
styles are drawn, but for a brick wall. measure prints, of what stylize.py has painted of unseen/ in
each way and style, the mean style loss, in brackets its ratio to the first way's, and the content
loss, all unweighted; it writes sheet.jpg: pictures, styles, ways.
"""

import sys
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cli  # noqa: E402
from data.drawn import PAINTINGS, drawn_painting  # noqa: E402
from pictures import codecs, grids  # noqa: E402

SIZE = 256
BLOCKS = ("stem", "block1", "block2", "block3")  # of style
SHOWN = 160  # pixels of each picture on the sheet
SOURCES = (  # of photographs: see their docstrings in skimage.data for where each is from
    *("coffee", "rocket", "hubble_deep_field", "retina", "camera", "coins", "moon"),
    *("grass", "gravel", "brick"),
)
UNSEEN = {"astronaut": (0, 60, 400), "chelsea": (0, 100, 300)}  # top, left and side in pixels


def main() -> None:
    command, folder, *ways = sys.argv[1:] or [None, None]
    if command == "make":
        make(Path(folder))
    elif command == "measure":
        measure(Path(folder), ways)
    else:
        raise ValueError(f"{command!r} is no command; choose from make, measure")


def make(folder: Path) -> None:
    from skimage import data

    rng = np.random.default_rng(0)
    originals = [_colour(getattr(data, name)()) for name in SOURCES]
    for number in range(300):
        original = originals[number % len(originals)]
        if number % 6 == 5:
            original = drawn_painting(PAINTINGS[number % 2], SIZE, seed=1000 + number)
        side = int(rng.uniform(0.4, 1) * min(original.shape[:2]))
        top, left = (rng.integers(length - side + 1) for length in original.shape[:2])
        part = original[top : top + side, left : left + side]
        part = part[:, ::-1] if rng.uniform() < 0.5 else part
        codecs.write(folder / "photographs" / f"{number:03d}.png", codecs.resize(part, SIZE, SIZE))
    for name, (top, left, side) in UNSEEN.items():
        part = _colour(getattr(data, name)())[top : top + side, left : left + side]
        codecs.write(folder / "unseen" / f"{name}.png", codecs.resize(part, SIZE, SIZE))
    for kind, seed, size in (("strokes", 1, 2 * SIZE), ("glass", 7, SIZE)):
        painting = drawn_painting(kind, size, seed)[:SIZE, :SIZE]
        codecs.write(folder / "styles" / f"{kind}.png", painting)
    codecs.write(folder / "styles" / "brick.png", codecs.resize(_colour(data.brick()), SIZE, SIZE))
    for number in range(80):  # for AdaIN, to which all of styles/ are new
        size = SIZE * (1 + number // 2 % 2)
        painting = drawn_painting(PAINTINGS[number % 2], size, 100 + number)[:SIZE, :SIZE]
        codecs.write(folder / "more-styles" / f"{number:02d}.png", painting)


def _colour(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def measure(folder: Path, ways: list[str], style_size: int = 128) -> None:
    import tensorflow as tf

    from networks.style_config import Objective
    from translation.painting import Loss
    from translation.style_recipe import read_styles

    def floats(pixels: np.ndarray) -> tf.Tensor:
        return tf.constant(codecs.to_float(pixels)[None])

    loss, cells = Loss(Objective(content_blocks=("block3",), style_blocks=BLOCKS)), []
    print("| | " + " | ".join(ways) + " |\n|" + " --- |" * (1 + len(ways)))
    for name, style in zip(*read_styles([folder / "styles"], style_size), strict=True):
        wanted, found = [loss.style(floats(style))], {}
        for path in sorted((folder / "unseen").iterdir()):
            picture = codecs.read(path)
            cells += [picture, codecs.read(folder / "styles" / f"{name}.png")]
            for way in ways:
                painted = folder / way / name / "results" / path.name
                pixels = codecs.read(painted) if painted.exists() else np.full_like(picture, 255)
                cells.append(pixels)
                if painted.exists():
                    content = loss.content(floats(picture))
                    parts = loss.parts(floats(pixels), content, wanted, tf.ones((1, 1)))
                    found.setdefault(way, []).append([float(x[0]) for x in parts.values()])
        means = {way: np.mean(parts, axis=0) for way, parts in found.items()}
        row = [
            f"{means[way][1]:.3f} ({means[way][1] / means[ways[0]][1]:.2f}), {means[way][0]:.2f}"
            if way in means
            else ""
            for way in ways
        ]
        print(f"| {name} | {' | '.join(row)} |")
    cells = [codecs.resize(cell, SHOWN, SHOWN) for cell in cells]
    sheet = grids.grid(np.stack(cells), 2 + len(ways))
    codecs.write(folder / "sheet.jpg", sheet, quality=80)


if __name__ == "__main__":
    cli.run(main)

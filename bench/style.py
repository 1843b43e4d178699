#!/usr/bin/env python3
"""Pictures to learn styles by, all public domain or CC0; how near networks come to the search.

    bench/style.py make runs/style                photographs/, unseen/, styles/, more-styles/
    bench/style.py compare runs/style MODEL ...

The photographs are parts of those in scikit-image (requirements-dev.txt) and drawn textures; the
styles are drawn, but for a brick wall. compare paints what no network has seen, by 200 steps of the
search and by each network in the styles that it can, prints the losses of the first network's
objective, unweighted, and writes sheet.png: picture, style, search, networks.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cli  # noqa: E402
from data.drawn import PAINTINGS, drawn_painting  # noqa: E402
from pictures import codecs, grids  # noqa: E402

SIZE = 256
SOURCES = (  # of photographs: see their docstrings in skimage.data for where each is from
    *("coffee", "rocket", "hubble_deep_field", "retina", "camera", "coins", "moon"),
    *("grass", "gravel", "brick"),
)
UNSEEN = {"astronaut": (0, 60, 400), "chelsea": (0, 100, 300)}  # top, left and side in pixels


def main() -> None:
    command, folder, *models = sys.argv[1:] or [None, None]
    if command == "make":
        make(Path(folder))
    elif command == "compare":
        compare(Path(folder), list(map(Path, models)))
    else:
        raise ValueError(f"{command!r} is no command; choose from make, compare")


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
    for kind, seed in (("strokes", 1), ("glass", 7)):
        codecs.write(folder / "styles" / f"{kind}.png", drawn_painting(kind, SIZE, seed))
    codecs.write(folder / "styles" / "brick.png", codecs.resize(_colour(data.brick()), SIZE, SIZE))
    for number in range(40):  # for AdaIN, to which all of styles/ are new
        painting = drawn_painting(PAINTINGS[number % 2], SIZE, 100 + number)
        codecs.write(folder / "more-styles" / f"{number:02d}.png", painting)


def _colour(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def compare(folder: Path, models: list[Path]) -> None:
    import tensorflow as tf

    from training import checkpoint
    from translation.painting import Loss, Search
    from translation.style_recipe import read_styles
    from translation.style_transfer import StyleTransfer

    networks = {path.name: StyleTransfer.of_checkpoint(checkpoint.load(path)) for path in models}
    objective = next(iter(networks.values())).recipe
    search, loss = Search(objective, steps=200), Loss(objective)
    found, rows = defaultdict(list), []
    for picture in (codecs.read(path)[None] for path in sorted((folder / "unseen").iterdir())):
        content = loss.content(tf.constant(codecs.to_float(picture)))
        for name, style in zip(*read_styles([folder / "styles"], SIZE), strict=True):
            one = np.ones((1, 1))
            made = {"search": list(search.paint(picture, [style], one))[-1].pictures}
            for label, network in networks.items():
                known = network.config.styles
                if network.any_style:
                    made[label] = network.paint(picture, one, [style])
                elif name in known:
                    made[label] = network.paint(picture, np.eye(len(known))[[known.index(name)]])
            target = [loss.style(tf.constant(codecs.to_float(style[None])))]
            for label, painted in made.items():
                x = tf.constant(codecs.to_float(painted))
                parts = loss.parts(x, content, target, tf.ones((1, 1)))
                found[label, name].append([float(parts[part][0]) for part in ("content", "style")])
            blank = np.full_like(picture, 255)
            rows += [picture, style[None], *(made.get(n, blank) for n in ("search", *networks))]
    for (label, name), losses in found.items():
        print(f"{label:10} {name:10} content %.3f  style %.4f" % tuple(np.mean(losses, axis=0)))
    codecs.write(folder / "sheet.png", grids.grid(np.concatenate(rows), 3 + len(networks)))


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Paint pictures in the style of others: by search over their pixels, or in one pass by a network
that train-style.py has made."""

import argparse
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import cli  # before packages, of which it says which is missing
from cli import flag, fraction, non_negative_float, positive_int

# isort: split
import numpy as np
from tqdm import tqdm

FRAMES, FRAME_PIXELS = 24, 384  # of an animation: how many at most, and their longer side


def parser() -> argparse.ArgumentParser:
    from pictures import files
    from translation.style_recipe import add_objective_flags

    p = cli.Parser(description=__doc__)
    p.add_argument("imgs", nargs="+", type=Path, help="pictures, or folders of pictures")
    flag(p, "--style", nargs="+", type=Path, default=[], help="pictures whose style to take")
    flag(
        p, "--checkpointDir", type=Path, help="folder of a network (without --style: models/style)"
    )
    flag(p, "--style-number", type=positive_int, help="of those that a network knows (1)")
    flag(
        p,
        "--mix",
        nargs="+",
        type=non_negative_float,
        metavar="SHARE",
        help="of each style, in their order (default: alike)",
    )
    flag(p, "--alpha", type=fraction, help="of a network for any style: how far to go (1)")
    flag(p, "--keep-colour", action="store_true", help="take brightness alone from the painting")
    flag(p, "--outDir", type=Path, default=Path("stylizations"), help="(default: %(default)s)")
    flag(p, "--format", choices=files.WRITTEN, default="png", help="of results/ (%(default)s)")
    flag(
        p,
        "--size",
        type=positive_int,
        default=512,
        help="longer side in pixels at which is painted; larger results are enlarged (%(default)s)",
    )
    search = add_objective_flags(p)
    flag(search, "--nIter", type=positive_int, help="steps of the search (200)")
    flag(search, "--levels", type=positive_int, help="sizes of it, from coarse to fine (3)")
    return p


@dataclass(frozen=True)
class Painter:
    """What paints: described for people, and by all that decides what it does. make imports
    TensorFlow, and makes what takes uint8 (1, H, W, 3) and yields Moments."""

    what: str
    settings: dict
    steps: int
    make: Callable[[], Callable[[np.ndarray], Iterator]]

    @cached_property
    def paint(self) -> Callable[[np.ndarray], Iterator]:
        cli.import_tensorflow()
        return self.make()


def painted(
    pixels: np.ndarray, painter: Painter, size: int, keep_colour: bool, animation: Path
) -> tuple[np.ndarray, dict]:
    """uint8 (H, W, 1 or 3) painted, (H, W, 3), and what was measured; writes an animation of how it
    came about, if there are steps. With its own colours a grey picture stays grey."""
    from pictures import codecs, grids

    small = shrunk(pixels, size)
    shown = min(1, FRAME_PIXELS / max(small.shape))
    sides = [max(1, round(side * shown)) for side in small.shape[:2]]
    frames = [codecs.resize(small, *sides)]
    with tqdm(total=painter.steps, unit="step", leave=False) as bar:
        for moment in painter.paint(small[None]):
            bar.update(moment.step - bar.n)
            if moment.step * FRAMES >= (len(frames) - 1) * painter.steps:
                frames.append(codecs.resize(moment.pictures[0], *sides))
    result = enlarged(moment.pictures[0], pixels, keep_colour)
    if moment.loss is None:
        return result, {}
    grids.write_gif(animation, frames, seconds_per_frame=3 / len(frames))
    return result, {"last_loss": float(moment.loss[0])}


def shrunk(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W, 1 or 3) -> (h, w, 3), the longer side of at most `size` pixels."""
    from pictures import codecs

    height, width = pixels.shape[:2]
    whole = np.broadcast_to(pixels, (height, width, 3))
    factor = min(1, size / max(height, width))
    return codecs.resize(whole, *(max(1, round(side * factor)) for side in (height, width)))


def enlarged(made: np.ndarray, pixels: np.ndarray, keep_colour: bool) -> np.ndarray:
    """What was painted, uint8 (h, w, 3), at the size of the picture, (H, W, 1 or 3); keep_colour:
    in its colours."""
    from pictures import averages, codecs

    result = codecs.resize(made, *pixels.shape[:2])
    if not keep_colour:
        return result
    both = (codecs.to_float(picture) for picture in (pixels, result))
    return codecs.to_bytes(averages.with_brightness(*both))


def searching(arguments: argparse.Namespace) -> Painter:
    """By search."""
    from networks.config import pick
    from networks.extractors import must_be_there
    from networks.style_config import Objective
    from training.recipe import given
    from translation.style_recipe import STYLE_PIXELS, read_styles

    _refuse(arguments, "style_number", "alpha", why="without --checkpoint-dir")
    objective = Objective(**pick(Objective, given(arguments)))
    must_be_there(objective.extractor)
    names, styles = read_styles(arguments.style, arguments.style_size or STYLE_PIXELS)
    shares = _shares(arguments, names)
    steps, levels = arguments.n_iter or 200, arguments.levels or 3
    if steps < levels:
        raise ValueError(f"--n-iter is {steps}; {levels} sizes take at least as many")

    def make():
        from translation.painting import Search

        search = Search(objective, steps, levels)
        return lambda pictures: search.paint(pictures, styles, shares)

    return Painter(
        f"a search of {cli.counted(steps, 'step')}, in the style of {_listed(names, shares)}",
        settings={"steps": steps, "levels": levels, **asdict(objective)}
        | {"styles": _crc(styles), "shares": shares.tolist()},
        steps=steps,
        make=make,
    )


def network(arguments: argparse.Namespace) -> Painter:
    """By a network."""
    from networks.config import pick
    from networks.style_config import Objective
    from training import checkpoint
    from training.recipe import given
    from translation.style_recipe import both, read_styles

    folder = arguments.checkpoint_dir or checkpoint.PAINTING
    checkpoint.must_exist(folder, "train-style.py")
    saved = checkpoint.load(folder, warn=print)
    saved.must_be("style")
    config, recipe = both(saved.config)
    _refuse(arguments, *pick(Objective, given(arguments)), "n_iter", "levels", why=f"with {folder}")
    if config.network == "adain":
        _refuse(arguments, "style_number", why=f"with {folder}, which paints in any --style")
        if not arguments.style:
            raise ValueError(f"{folder}: paints in any style; give one with --style")
        names, styles = read_styles(arguments.style, arguments.style_size or recipe.style_size)
    else:
        why = f"with {folder}, which knows {', '.join(config.styles)}"
        _refuse(arguments, "style", "style_size", "alpha", why=why)
        names, styles = config.styles, []
    shares, alpha = _shares(arguments, names), 1.0 if arguments.alpha is None else arguments.alpha

    def make():
        from translation.painting import Moment
        from translation.style_transfer import StyleTransfer

        model = StyleTransfer.of_checkpoint(saved)

        def paint(pictures: np.ndarray) -> Iterator[Moment]:
            yield Moment(1, model.paint(pictures, shares, styles, alpha), None)

        return paint

    return Painter(
        f"{saved.path}, in the style of {_listed(names, shares)}",
        settings={"model": checkpoint.fingerprint(saved.weights), "alpha": alpha}
        | {"styles": _crc(styles), "shares": shares.tolist()},
        steps=1,
        make=make,
    )


def _refuse(arguments: argparse.Namespace, *names: str, why: str) -> None:
    """Raises ValueError for a flag that was given and would change nothing."""
    for name in names:
        if getattr(arguments, name) not in (None, []):
            raise ValueError(f"--{name.replace('_', '-')} has no effect {why}")


def _shares(arguments: argparse.Namespace, names: tuple[str, ...]) -> np.ndarray:
    """How much of each style: (1, styles), together 1."""
    number = arguments.style_number
    if number is None and not (arguments.mix or arguments.style):
        number = 1  # of a network
    if number:
        _refuse(arguments, "mix", why="with --style-number")
        if number > len(names):
            raise ValueError(f"--style-number is {number}; there are {_listed(names)}")
        return np.eye(len(names))[[number - 1]]
    mix = arguments.mix or [1.0] * len(names)
    if len(mix) != len(names) or not sum(mix):
        raise ValueError(
            f"--mix is {' '.join(map(str, mix))}; it takes a share of each of {_listed(names)}, "
            "not all of them 0"
        )
    return np.array([mix]) / sum(mix)


def _crc(styles: list[np.ndarray]) -> int:
    return zlib.crc32(b"".join(style.tobytes() for style in styles))


def _listed(names: tuple[str, ...], shares: np.ndarray | None = None) -> str:
    """With their numbers; those of no share are left out."""
    listed = (f"{number} {name}" for number, name in enumerate(names, 1))
    return ", ".join(n for k, n in enumerate(listed) if shares is None or shares[0, k])


def main() -> int:
    arguments = parser().parse_args()

    from completion import outputs, remaking
    from pictures import files

    out_dir = arguments.out_dir
    paths = outputs.inputs(arguments.imgs, out_dir)
    by_search = arguments.style and not arguments.checkpoint_dir
    painter = searching(arguments) if by_search else network(arguments)
    own = {"size": arguments.size, "keep_colour": arguments.keep_colour}

    def remake(path, picture, name):
        animation = out_dir / "animations" / f"{name}.gif"
        return painted(picture.pixels, painter, animation=animation, **own)

    job = remaking.Job(
        out_dir,
        arguments.format,
        settings=painter.settings | own,
        remake=remake,
        describe=lambda measured: f"{measured['seconds']:.1f} seconds",
    )
    print(painter.what)
    with files.locked(out_dir):
        done, before, bad = remaking.run(job, paths)
    print(f"{done} painted, {before} done before, {bad} passed over; see {out_dir}")
    return cli.status(bad, len(paths))


if __name__ == "__main__":
    cli.run(main)

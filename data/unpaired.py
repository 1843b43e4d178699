"""python -m data.unpaired FOLDER DAMAGE: damaged pictures of some people, whole ones of the others.

To learn without pairs where the truth is known: lfw-train-64 becomes lfw-train-64-old, damaged
pictures (pictures/damage.py) of the people whose number in data.split is even, and
lfw-train-64-whole, the pictures of the others. What is drawn depends on the seed and on a picture's
place in the folder.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import cli  # before packages, of which it says which is missing

# isort: split
import numpy as np

from data import split
from pictures import codecs, files
from pictures.damage import Damage


def part(
    folder: Path,
    damage: Damage,
    seed: int = 0,
    pass_over: Callable[[Exception], None] = cli.pass_over,
) -> dict[Path, int]:
    """Write both folders beside the given one; returns how many pictures each holds. What cannot be
    read goes to pass_over. Raises ValueError where the folder holds no pictures, or another process
    writes into a new one."""
    folder = Path(folder).absolute()
    paths = files.find([folder])
    name = damage.name.replace(":", "-")
    damaged, whole = (folder.with_name(f"{folder.name}-{end}") for end in (name, "whole"))
    counts = {damaged: 0, whole: 0}
    with ExitStack() as locks:
        for to in counts:
            locks.enter_context(files.locked(to))
        for place, (path, person) in enumerate(zip(paths, split.people(paths), strict=True)):
            to = damaged if split.number(person) % 2 == 0 else whole
            try:
                if to == whole:
                    split.link(files.real(path), to / path.relative_to(folder))
                else:
                    picture = codecs.to_float(codecs.read(path))
                    made = damage.of(picture, np.random.default_rng((seed, place)))
                    written = (to / path.relative_to(folder)).with_suffix(".png")
                    codecs.write(written, codecs.to_bytes(made))
            except (OSError, ValueError) as error:
                pass_over(error)
            else:
                counts[to] += 1
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    parser = cli.Parser(
        prog="python -m data.unpaired",
        description="Write damaged pictures of some people, and whole ones of the others, into "
        "FOLDER-DAMAGE and FOLDER-whole beside it, for train-cyclegan.py.",
        epilog=f"{split.RULE}. Damaged are the people whose number by data.split is even.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="of pictures")
    parser.add_argument("damage", metavar="DAMAGE", help="as of train-pix2pix.py, such as old")
    cli.flag(parser, "--seed", type=cli.non_negative_int, default=0, help="decides the draws (0)")
    options, bad = parser.parse_args(arguments), []

    def pass_over(error: Exception) -> None:
        cli.pass_over(error)
        bad.append(error)

    damage = Damage(options.damage)
    if options.damage in ("hole", "pairs"):
        raise ValueError(f"damage is {options.damage!r}, which is not drawn; choose another")
    found = part(options.folder, damage, options.seed, pass_over)
    for folder, count in found.items():
        print(f"{folder}: {count:,} pictures")
    return cli.status(len(bad), len(bad) + sum(found.values()))


if __name__ == "__main__":
    cli.run(main)

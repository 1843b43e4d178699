"""python -m data.split FOLDER: part aligned faces by person, into those to train on and others.

lfw-aligned-64 becomes lfw-train-64 and lfw-val-64 beside it: hard links, or copies where the disk
has none. Who belongs where depends on the person's name alone, so a face added later joins the
others of its person, and a second run changes nothing.
"""

import argparse
import filecmp
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import cli
from pictures import files

RULE = "a file NAME_0001.png shows the person NAME; any other name stands for a person of its own"
PARTS = ("test", "val", *["train"] * 8)  # by a person's number, see number


def people(paths: Sequence[Path]) -> list[str]:
    """Who each picture shows, by RULE: George_W_Bush_0001.png shows George_W_Bush.

    Where all of several names give one person (photo_0001.png, photo_0002.png), the numbers tell
    pictures, not photographs of somebody, and each picture stands for a person of its own.
    """
    names = [person(path) for path in paths]
    return names if len(set(names)) > 1 else [path.stem for path in paths]


def person(path: Path) -> str:
    """Who a picture shows by its name alone."""
    numbered = re.fullmatch(r"(.+)_\d+", path.stem)
    return numbered[1] if numbered else path.stem


def number(name: str) -> int:
    """The split, 0 to 9, that a person belongs to."""
    return int(sha256(os.fsencode(name)).hexdigest(), 16) % len(PARTS)


def split(
    folder: Path,
    with_test: bool = False,
    pass_over: Callable[[Exception], None] = cli.pass_over,
) -> dict[Path, list[str]]:
    """Part the pictures of a folder, which stay where they are; returns for each new folder whom
    its pictures show. What cannot be copied, as a link that leads nowhere, goes to pass_over.
    Raises ValueError where the folder holds none, or another process writes into a new one."""
    folder = Path(os.path.abspath(folder))
    parts = ("train", "val") + ("test",) * with_test
    shown = {_beside(folder, part): [] for part in parts}
    paths = files.find([folder])
    with ExitStack() as locks:
        for to in shown:
            locks.enter_context(files.locked(to))
        for path, name in zip(paths, people(paths), strict=True):
            to = _beside(folder, PARTS[number(name)])
            if to in shown:
                try:
                    link(files.real(path), to / path.relative_to(folder))
                except OSError as error:
                    pass_over(error)
                else:
                    shown[to].append(name)
    return shown


def _beside(folder: Path, part: str) -> Path:
    """lfw-aligned-64 -> lfw-train-64; faces -> faces-train."""
    aligned = "aligned" in folder.name
    name = folder.name.replace("aligned", part) if aligned else f"{folder.name}-{part}"
    return folder.with_name(name)


def link(path: Path, to: Path) -> None:
    """Have a file at another place too, by a hard link or, where that cannot be, a copy."""
    if to.exists() and filecmp.cmp(path, to):
        return
    with files.replacing(to) as temporary:
        try:
            temporary.hardlink_to(path)
        except OSError:  # another disk, or one without hard links
            shutil.copy2(path, temporary)


def parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m data.split",
        description="Part aligned faces by person: NAME-aligned-64 into NAME-train-64 and "
        "NAME-val-64 beside it.",
        epilog=f"{RULE}. A person's split is int(sha256(NAME).hexdigest(), 16) %% 10: 2 to 9 are "
        "to train on, 1 to choose by, 0 to test with, once.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="of aligned faces")
    cli.flag(parser, "--test", action="store_true", help="write NAME-test-64 too")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options, bad = parser().parse_args(arguments), []

    def pass_over(error: Exception) -> None:
        cli.pass_over(error)
        bad.append(error)

    found = split(options.folder, options.test, pass_over)
    for folder, names in found.items():
        print(f"{folder}: {len(names):,} pictures of {len(set(names)):,} people")
    return cli.status(len(bad), len(bad) + sum(map(len, found.values())))


if __name__ == "__main__":
    cli.run(main)

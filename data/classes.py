"""Which class each training picture is of: by sub-folder, or by a list of names."""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import tfrecord
from pictures import files


@dataclass(frozen=True)
class Classes:
    """names: of the classes, in order. of: the class of each picture, by its path in the folder."""

    names: tuple[str, ...]
    of: Mapping[str, str]

    def one_hot(self, pictures: Sequence[str]) -> np.ndarray:
        """float32 (N, K), 1 where a picture is of a class; pictures: paths in the folder."""
        numbers = [self.names.index(self.of[picture]) for picture in pictures]
        return np.eye(len(self.names), dtype=np.float32)[numbers]


def read(folder: Path | str, table: Path | str | None = None) -> Classes:
    """The classes of a folder of pictures, or of shards (data.prepare): the names of the folders
    that they lie in, or what a table says, a CSV file with lines of a picture's path in the folder,
    or its name, and its class.

    Raises ValueError for a picture without a class, and where there are fewer than two.
    """
    pictures = names_in(folder)
    if table is None:
        of = {picture: Path(picture).parent.name for picture in pictures}
    else:
        listed = _listed(Path(table))
        of = {p: listed.get(p) or listed.get(Path(p).name, "") for p in pictures}
    for picture, name in of.items():
        if not name:
            missing = f"not in {table}" if table else "in no sub-folder, which would be its class"
            raise ValueError(f"{Path(folder) / picture}: {missing}")
    names = tuple(sorted(set(of.values())))
    if len(names) < 2:
        raise ValueError(f"{table or folder}: one class, {names[0]}; there must be at least two")
    return Classes(names, of)


def names_in(folder: Path | str) -> list[str]:
    """The paths in a folder of its pictures, or of those that its shards were made of, in order."""
    if tfrecord.is_prepared(folder):
        return tfrecord.Shards(folder).names()
    return [os.path.relpath(file, folder) for file in files.find([folder], tell=lambda _: None)]


def _listed(table: Path) -> dict[str, str]:
    """The lines of a table; the first may be a heading, which names no picture."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table}: not a CSV file ({error})") from None
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise ValueError(f"{table}: line {number} has {len(row)} columns; name,class has two")
    return dict(rows)

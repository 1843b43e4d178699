"""Picture files: which there are, and how a file is written so that none is ever half-written."""

import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def find(paths: Iterable[Path | str]) -> list[Path]:
    """Picture files among `paths`; folders are searched to any depth. Sorted within each folder.

    A file named outright is taken whatever its suffix. Raises ValueError for a path that does not
    exist and for a folder that holds no picture.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = _pictures_below(path)
            if not inside:
                raise ValueError(f"{path}: no pictures in this folder ({', '.join(SUFFIXES)})")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise ValueError(f"{path}: no such file or folder")
    return list(found)


def _pictures_below(folder: Path) -> list[Path]:
    files = (
        Path(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    )
    return sorted(files)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, else remove it.

    Works for a file or a folder that the block creates. A folder in the way is removed last.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: libraries choose the format by it.
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        if error.strerror and not error.filename:
            error.filename = str(path)  # a full disk does not say what did not fit
        raise
    finally:
        _remove(temporary)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary paths that processes killed within `replacing` left in a folder. Only
    where no other process writes."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\..+\.[0-9a-f]{8}(\.[^.]*)?", path.name):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

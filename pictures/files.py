"""Files: which kinds of pictures there are and what each holds, which files a folder has, what they
are called, and how one is written so that none is ever half-written. Any of them may be Remote."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import unicodedata
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePath

import cli
from pictures.remote import Remote

MANIFEST = "manifest.jsonl"  # of align, beside its faces
NAME_BYTES = 255  # of a file's name, on every usual file system
NO_LOCK = (
    "warning: {} is on a file system without locks; see to it that no other process writes into it"
)
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EIO)


# Which kinds there are: the one list. Folders, files by name, masks, the page and every --format or
# --out go by it. Others that Pillow knows are left out: they run programs (EPS), or hold no picture
# (MPEG, HDF5).


@dataclass(frozen=True)
class Format:
    """name: Pillow's; suffixes: those of its files, the usual one first; written: whether it is
    written here, and then alpha: with transparency; deep: with 16 bits; longest: the longest side
    in pixels; keeps: which of Picture.keep; options: for Pillow's save.
    """

    name: str
    suffixes: tuple[str, ...]
    written: bool = False
    alpha: bool = False
    deep: bool = False
    longest: int = 2**31 - 1
    keeps: tuple[str, ...] = ()
    options: dict = field(default_factory=dict)


FORMATS = (
    Format(
        name="PNG",
        suffixes=(".png", ".apng"),
        written=True,
        alpha=True,
        deep=True,
        keeps=("exif", "icc_profile", "dpi", "xmp", "chunks"),
    ),
    Format(
        name="JPEG",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
        written=True,
        longest=65_500,
        keeps=("exif", "icc_profile", "dpi", "xmp"),
        options={"quality": 95, "subsampling": 0},
    ),
    Format(
        name="WEBP",
        suffixes=(".webp",),
        written=True,
        alpha=True,
        longest=16_383,
        keeps=("exif", "icc_profile", "xmp"),
        options={"lossless": True, "exact": True},
    ),
    Format(name="BMP", suffixes=(".bmp", ".dib"), written=True, keeps=("dpi",)),
    Format(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        written=True,
        alpha=True,
        keeps=("exif", "icc_profile", "dpi", "xmp"),
        options={"compression": "tiff_adobe_deflate"},
    ),
    Format("GIF", (".gif",)),
    Format("AVIF", (".avif", ".avifs")),
    Format("HEIF", (".heic", ".heif", ".hif")),  # with the package pillow-heif
    Format("JPEG2000", (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc")),
    Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm", ".pfm")),
    Format("TGA", (".tga",)),
    Format("PSD", (".psd",)),
    Format("ICO", (".ico",)),
    Format("ICNS", (".icns",)),
    Format("PCX", (".pcx",)),
    Format("SGI", (".sgi", ".rgb", ".rgba", ".bw")),
    Format("QOI", (".qoi",)),
    Format("DDS", (".dds",)),
    Format("XBM", (".xbm",)),
    Format("XPM", (".xpm",)),
)
SUFFIXES = tuple(suffix for known in FORMATS for suffix in known.suffixes)
HEIC = "HEIF"  # Pillow's name of what takes a package of its own
READ = (*(known.name for known in FORMATS if known.name != HEIC), "DIB")  # Pillow's names
USUAL = tuple(known.suffixes[0] for known in FORMATS)
WRITTEN = tuple(known.suffixes[0].removeprefix(".") for known in FORMATS if known.written)


def for_writing(path: Path | str) -> Format:
    """The format that a file of this name is written in. ValueError where there is none."""
    suffix = Path(path).suffix.lower()
    for known in FORMATS:
        if known.written and suffix in known.suffixes:
            return known
    wrong = f"pictures are not written as {suffix}" if suffix else "a picture's name has a suffix"
    raise ValueError(f"{path}: {wrong}; choose {', '.join(WRITTEN)}")


# Which there are


def path_of(name: PurePath | str) -> Path | Remote:
    """The file or folder of that name; one with :// is a URL."""
    if isinstance(name, PurePath):
        return name
    return Remote(name) if "://" in name else Path(name)


def find(paths: Iterable[Path | str], tell: Callable[[str], None] = cli.tell) -> list[Path]:
    """Picture files among `paths`; folders are searched to any depth. Sorted within each folder.

    Each file comes once, however often it is named or linked to. A file named outright is taken
    whatever its suffix; of a folder, the files with a picture's suffix, whether they can be read or
    not: links that lead nowhere and folders that cannot be searched are among them, and whoever
    reads them says why not. `tell` gets a sentence about other files that a folder holds. Raises
    ValueError for a path that does not exist and for a folder that holds no picture.
    """
    found: dict[str, Path] = {}
    for path in map(path_of, paths):
        if path.is_dir():
            inside, others = _below(path)
            if not inside:
                raise ValueError(f"{path}: no pictures in this folder ({', '.join(USUAL)})")
            if others:
                kinds = ", ".join(f"{n} {kind}" for kind, n in others.most_common())
                tell(f"{path}: left out what is no picture: {kinds}")
            for file, inner in inside.items():
                found.setdefault(file, inner)
        elif path.exists() or path.is_symlink():
            path = path.found() if isinstance(path, Remote) else path
            found.setdefault(str(real(path)), path)
        else:
            raise ValueError(f"{path}: no such file or folder")
    return list(found.values())


def _below(folder: Path) -> tuple[dict[str, Path], Counter]:
    """The pictures in a folder by their real paths, in order, and how many others of each suffix.
    Files come before links to them; a folder that links lead to again is not entered again."""
    if isinstance(folder, Remote):
        shown = [p for p in folder.below() if not p.name.startswith(".") and p.name != MANIFEST]
        inside = {str(path): path for path in sorted(shown) if _is_picture(path.name)}
        return inside, Counter(_kind(path) for path in shown if str(path) not in inside)
    found, others, unreadable, entered = [], Counter(), [], set()
    for parent, folders, names in os.walk(
        folder, followlinks=True, onerror=lambda error: unreadable.append(Path(error.filename))
    ):
        place = os.path.realpath(parent)
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        folders.sort()
        for name in names:
            path = Path(parent, name)
            if name.startswith(".") or name == MANIFEST:
                continue
            if _is_picture(name):
                linked = path.is_symlink()
                found.append((linked, path, str(real(path)) if linked else f"{place}/{name}"))
            else:
                others[_kind(path)] += 1
    once: dict[str, Path] = {}
    for _, path, file in sorted(found):
        once.setdefault(file, path)
    inside = sorted([*once.items(), *((str(p), p) for p in unreadable)], key=lambda pair: pair[1])
    return dict(inside), others


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _kind(path: PurePath) -> str:
    return path.suffix.lower() or "without a suffix"


def names_below(folder: Path | Remote) -> set[str]:
    """All files in a folder, to any depth, by their paths below it; none where it is not there."""
    if isinstance(folder, Remote):
        return {str(path.relative_to(folder)) for path in folder.below()}
    walked = ((Path(parent).relative_to(folder), names) for parent, _, names in os.walk(folder))
    return {str(place / name) for place, names in walked for name in names}


def real(path: Path | Remote | str) -> Path | Remote:
    """The path without links, but a link that leads nowhere is itself, and so is a URL. ValueError
    for a URL that fsspec does not take."""
    if isinstance(path, Remote):
        return path.known()
    if os.path.islink(path) and not os.path.exists(path):
        return Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return Path(os.path.realpath(path))


# What they are called


def same_name(name: str) -> str:
    """A name in the one form in which all its spellings are equal: some systems compose letters
    with their accents, and some take them apart."""
    return unicodedata.normalize("NFC", name)


class Namesakes:
    """The pictures of a folder, to be found by the names of others; a single file is everybody's.

    Raises ValueError as find does.
    """

    def __init__(self, folder: Path | Remote | str):
        self.place = path_of(folder)
        self._by_stem = defaultdict(list)
        found = find([self.place])
        self._alone = [] if self.place.is_dir() else found
        for path in found:
            self._by_stem[same_name(path.stem)].append(path)

    def of(self, path: Path, root: Path | None = None, but: Path | None = None) -> list[Path]:
        """Those of the same stem, whatever the suffix, except the file `but`. Of several, the one
        at the same place below its folder as path below root, or in a folder called alike."""
        if self._alone:
            return self._alone
        same = [p for p in self._by_stem[same_name(path.stem)] if but is None or real(p) != but]
        below = path.relative_to(root).parent if root else None
        for is_nearer in (
            lambda other: other.relative_to(self.place).parent == below,
            lambda other: real(other).parent.name == real(path).parent.name,
        ):
            nearer = [other for other in same if is_nearer(other)]
            if len(nearer) == 1:
                return nearer
        return same


class Names:
    """Names for files, each given once: whatever the case and the composition of their letters,
    and never too long. taken: names that are no longer free; room: bytes that a suffix needs."""

    def __init__(self, taken: Iterable[str] = (), room: int = 5):
        self._taken = {_folded(name) for name in taken}
        self._most = NAME_BYTES - room

    def is_free(self, name: str) -> bool:
        return _folded(name) not in self._taken

    def give(self, *candidates: str, numbered: str = "{}_{}") -> str:
        """The first candidate that is free, else the last one with a number, from 2 on."""
        candidates = [self._cut(name) for name in candidates]
        more = (self._cut(numbered.format(candidates[-1], n)) for n in count(2))
        given = next((name for name in candidates if self.is_free(name)), None) or next(
            name for name in more if self.is_free(name)
        )
        self._taken.add(_folded(given))
        return given

    def _cut(self, name: str) -> str:
        """The name, or of one that is too long its start and a checksum."""
        folder, _, last = name.rpartition("/")
        if len(os.fsencode(last)) > self._most:
            check = hashlib.sha256(os.fsencode(last)).hexdigest()[:8]
            last = f"{_start(last, self._most - 9)}-{check}"
        return f"{folder}/{last}" if folder else last


def _folded(name: str) -> str:
    return same_name(same_name(name).casefold())


def _start(name: str, most: int) -> str:
    """As many whole characters of a name as take at most so many bytes."""
    while len(os.fsencode(name)) > most:
        name = name[: max(most // 4, len(name) - 1)] if len(name) > most else name[:-1]
    return name


# How one is written


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, else remove it.

    Works for a file or a folder that the block creates. A folder in the way is removed last.
    """
    path = path_of(path)
    if isinstance(path, Remote):
        with path.written() as written:
            yield written
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    written = temporary(path)
    try:
        yield written
        if path.is_dir():
            shutil.rmtree(path)
        written.replace(path)
    except OSError as error:
        if error.strerror and not error.filename:
            error.filename = str(path)  # a full disk does not say what did not fit
        raise
    finally:
        _remove(written)


def temporary(path: Path) -> Path:
    """A path beside another that nothing has, and remove_leftovers knows."""
    # The suffix stays last: libraries choose the format by it.
    stem = _start(path.stem, NAME_BYTES - 10 - len(os.fsencode(path.suffix)))
    return path.with_name(f".{stem}.{uuid.uuid4().hex[:8]}{path.suffix}")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary paths that processes that were killed left in a folder. Only where no
    other process writes."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\..+\.[0-9a-f]{8}(\.[^.]*)?", path.name):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path | str, tell: Callable[[str], None] = cli.tell) -> Iterator[None]:
    """Hold a folder, made if need be, against other processes that would write into it.

    The lock is the folder's own and ends with the process, however it ends. ValueError if another
    process holds it. Where the file system has no locks, `tell` gets a warning, and work goes on.
    """
    folder = path_of(folder)
    if isinstance(folder, Remote):
        folder.must_take_files()
        tell(NO_LOCK.format(folder))
        yield
        return
    if folder.is_file():
        raise ValueError(f"{folder}: is a file, not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another process is writing into this folder") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            tell(NO_LOCK.format(folder))
        yield
    finally:
        os.close(descriptor)


def set_aside(folder: Path | str, but: Iterable[str] = ()) -> Path:
    """Move what a folder holds, `but` some names, to FOLDER-1 (or -2, ...) beside it; return that.

    The folder itself stays, as it may be a link, the current folder or another disk; to another
    disk files are copied, and removed when all are there.
    """
    folder = Path(folder)
    place = folder if folder.name else Path(os.path.abspath(folder))  # "." has no name
    aside = next(p for n in count(1) if not (p := place.with_name(f"{place.name}-{n}")).exists())
    aside.mkdir()
    for path in folder.iterdir():
        if path.name not in but:
            shutil.move(path, aside / path.name)
    return aside

"""Files behind URLs of object stores and web servers: s3://, gs://, http:// and whatever else
fsspec takes, by the part of pathlib that the program asks of a path."""

import contextlib
import errno
import fnmatch
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path, PurePosixPath

import cli

AT_ONCE = 16  # requests, where there are many
WEB = ("http", "https")


class Remote(PurePosixPath):
    """A URL that joins, compares and is asked like a Path.

    A file appears whole or not at all: it is put in one request. Folders are there as soon as
    something is in them. Whatever goes wrong is an OSError that names the URL, or a ValueError
    where fsspec does not know it or lacks a package; credentials are those it finds in the
    environment.
    """

    __slots__ = ("_found",)  # what was said of the file when it was found: nobody asks again

    def __str__(self) -> str:
        return re.sub(r"^([a-z][a-z0-9+.-]*):/", r"\1://", super().__str__())

    def __reduce__(self) -> tuple:
        return _as_found, (str(self), getattr(self, "_found", None))

    # Asking

    def stat(self) -> os.stat_result:
        """Kind, size and time of change, 0 where the store does not tell."""
        if found := getattr(self, "_found", None):
            return found
        with self._asking() as (store, path):
            return _status(store.info(path))

    def found(self) -> "Remote":
        """Itself, with what there is to say of it."""
        return _as_found(str(self), self.stat())

    def exists(self) -> bool:
        try:
            return bool(self.stat())
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        try:
            return stat.S_ISDIR(self.stat().st_mode)
        except FileNotFoundError:
            return False

    def is_symlink(self) -> bool:
        return False

    def iterdir(self) -> Iterator["Remote"]:
        with self._asking() as (store, path):
            names = store.ls(path, detail=False)
        return (self / name.rpartition("/")[2] for name in names)

    def glob(self, pattern: str) -> list["Remote"]:
        """What lies in this folder and is called so."""
        try:
            return [path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern)]
        except FileNotFoundError:
            return []

    def below(self) -> Iterator["Remote"]:
        """All files in this folder, to any depth."""
        try:
            with self._asking() as (store, path):
                found = store.find(path, detail=True)
        except FileNotFoundError:
            return
        for name, info in found.items():
            if name.startswith(path) and (inner := name.removeprefix(path).strip("/")):
                yield _as_found(f"{self}/{inner}", _status(info))

    # Reading and writing

    def read_bytes(self) -> bytes:
        with self._asking() as (store, path):
            return store.cat_file(path)

    def write_bytes(self, data: bytes) -> None:
        with self._asking() as (store, path):
            store.pipe_file(path, data)

    @contextlib.contextmanager
    def open(self, mode: str = "r") -> Iterator:
        """A local copy for the time being, put when it is closed without an error."""
        with self.written() as local:
            if mode[0] == "r" or (mode[0] == "a" and self.exists()):
                with self._asking() as (store, path):
                    store.get_file(path, str(local))
            with local.open(mode) as file:
                yield file
            if mode[0] == "r":
                local.unlink()

    @contextlib.contextmanager
    def written(self) -> Iterator[Path]:
        """A local path; the file that the block makes there is put."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, f"file{self.suffix}")
            yield local
            if local.exists():
                with self._asking() as (store, path):
                    store.put_file(str(local), path)

    def replace(self, target: "Remote") -> None:
        """Move it within its store."""
        with self._asking() as (store, path):
            store.cp_file(path, target._asked()[1])
            store.rm_file(path)

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with self._asking() as (store, path):
                store.rm_file(path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: the first file makes it."""

    def must_take_files(self) -> None:
        if self.parts[0].rstrip(":") in WEB:
            raise ValueError(f"{self}: files can be read there, not written")

    # The store

    def known(self) -> "Remote":
        """Itself. Raises ValueError where fsspec does not know the URL or lacks a package."""
        self._asked()
        return self

    def _asked(self) -> tuple:
        """The file system, and what the file is called there."""
        try:
            import fsspec

            if "::" in str(self) or len(self.parts) < 2:
                raise ValueError("a URL names one place: s3://bucket/folder")
            # Without caches: others write, too.
            return fsspec.url_to_fs(str(self), use_listings_cache=False)
        except ImportError as error:
            why = f"{cli.one_line(error)} (s3 and http: pip install -r requirements-remote.txt)"
            raise ValueError(f"{self}: {why}") from None
        except ValueError as error:
            raise ValueError(f"{self}: {cli.one_line(error)}") from None

    @contextlib.contextmanager
    def _asking(self) -> Iterator[tuple]:
        asked = self._asked()
        try:
            yield asked
        except FileNotFoundError:
            why = "no such file or folder"
            raise FileNotFoundError(errno.ENOENT, why, str(self)) from None
        except Exception as error:  # stores' packages have errors of their own, without a base
            why = cli.one_line(error) or type(error).__name__
            raise OSError(errno.EIO, why, str(self)) from None


def _as_found(url: str, found: os.stat_result | None) -> Remote:
    remote = Remote(url)
    if found:
        remote._found = found
    return remote


def _status(info: dict) -> os.stat_result:
    """What stores say of a file, each in words of its own."""
    page = info.get("mimetype", "").startswith("text/html")  # of a web server: a list of files
    kind = stat.S_IFDIR if info["type"] == "directory" or page else stat.S_IFREG
    named = ("LastModified", "mtime", "last_modified", "created")
    changed = next((info[name] for name in named if info.get(name)), 0)
    seconds = changed.timestamp() if isinstance(changed, datetime) else changed
    return os.stat_result((kind, 0, 0, 0, 0, 0, info.get("size") or 0, seconds, seconds, seconds))


def move_all(pairs: Iterable[tuple[Path | Remote, Path | Remote]]) -> None:
    """Move files, in their store many at once."""
    pairs = list(pairs)
    if len(pairs) > 1 and isinstance(pairs[0][0], Remote):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda pair: pair[0].replace(pair[1]), pairs))
    else:
        for file, target in pairs:
            file.replace(target)

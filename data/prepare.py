"""python -m data.prepare IN OUT: a folder of pictures into shards, for sets that exceed the memory.

Shards are made independently, each under a temporary name until it is whole, then its index, and
the manifest after all of them. So whatever is there is complete, and after any interruption the
same command makes what is missing. A shard that is there is made anew only if its pictures or the
settings have changed, or its SHA-256 differs.
"""

import argparse
import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cli  # before packages, of which it says which is missing

# isort: split
import numpy as np
from tqdm import tqdm

from data import tfrecord
from pictures import codecs
from pictures.files import find, locked


@dataclass(frozen=True)
class Settings:
    """What decides the pixels: the centre square of at most crop pixels, resized to image_size."""

    image_size: int
    channels: int = 3
    crop: int | None = None


def prepare(
    source: Path | str,
    out: Path | str,
    settings: Settings,
    images_per_shard: int = 2048,
    workers: int | None = None,
) -> tuple[dict, int]:
    """Write the pictures below `source` as shards into the folder `out`, in the order of their
    names.

    Returns the manifest, and how many shards were there already. The files do not depend on workers
    (default: all cores), nor does memory grow with the number of pictures, but for their names.
    Raises ValueError, one line, for a missing or empty source, one where nothing is readable, and
    an `out` that holds something else or that another process is preparing.
    """
    source, out = Path(source), Path(out)
    files = [str(file) for file in find([source])]
    with locked(out):
        _must_be_ours(out, settings)
        groups = [files[i : i + images_per_shard] for i in range(0, len(files), images_per_shard)]
        paths = [tfrecord.shard_path(out, i, len(groups)) for i in range(len(groups))]
        _remove_leftovers(out, paths)
        kept = _make_shards(
            source, paths, groups=groups, settings=settings, workers=workers or os.cpu_count()
        )
        manifest = _manifest(paths, settings)
        if not manifest["count"]:
            name, reason = manifest["skipped"][0]
            raise ValueError(f"{source}: none of {len(files)} files is readable; {name}: {reason}")
        tfrecord.write_json(out / tfrecord.MANIFEST, manifest)
    return manifest, kept


def _make_shards(
    source: Path, paths: list[Path], groups: list[list[str]], settings: Settings, workers: int
) -> int:
    """Make what is not there yet; returns how many shards were. A thread per shard: Pillow and
    TensorFlow's writer work without Python's lock, and a thread holds one picture at a time."""
    stop = threading.Event()
    kept = 0

    def ensure(path: Path, files: list[str]) -> tuple[int, bool]:
        inputs = _fingerprint(source, files, settings)
        done = _is_done(path, inputs)
        if not done:
            path.with_name(tfrecord.MANIFEST).unlink(missing_ok=True)
            _make_shard(path, source, files=files, settings=settings, inputs=inputs, stop=stop)
        return len(files), done

    bar = tqdm(total=sum(map(len, groups)), unit=" pictures", delay=1, leave=False)
    with ThreadPool(workers) as pool, bar:
        try:
            jobs = zip(paths, groups, strict=True)
            for count, done in pool.imap_unordered(lambda job: ensure(*job), jobs):
                bar.update(count)
                kept += done
        finally:
            # After a fault or Ctrl-C the threads end at their next picture and clean up.
            stop.set()
            pool.close()
            pool.join()
    return kept


def _make_shard(
    path: Path,
    source: Path,
    files: list[str],
    settings: Settings,
    inputs: str,
    stop: threading.Event,
) -> None:
    """Write a shard, then its index."""
    index: dict = {"inputs": inputs, "names": [], "labels": [], "skipped": []}

    def pictures() -> Iterator[np.ndarray]:
        for file in files:
            if stop.is_set():
                raise InterruptedError("preparing was interrupted")
            name = os.path.relpath(file, source)
            try:
                pixels = codecs.read(file, settings.channels)
            except ValueError as fault:
                index["skipped"].append([name, str(fault).removeprefix(f"{file}: ")])
                continue
            index["names"].append(name)
            index["labels"].append(Path(file).parent.name)
            yield codecs.fit(pixels, settings.image_size, settings.crop)

    length = tfrecord.record_bytes(settings.image_size, settings.channels)
    index |= tfrecord.write_shard(path, pictures(), length)
    tfrecord.write_json(tfrecord.index_path(path), index)


def _fingerprint(source: Path, files: list[str], settings: Settings) -> str:
    """SHA-256 over the settings and the name, size and time of change of every file of a shard."""
    digest = hashlib.sha256(json.dumps([tfrecord.FORMAT, asdict(settings)]).encode())
    for file in files:
        status = os.stat(file) if os.path.exists(file) else os.lstat(file)  # a link to nowhere
        name = os.path.relpath(file, source)
        digest.update(os.fsencode(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0"))
    return digest.hexdigest()


def _is_done(path: Path, inputs: str) -> bool:
    """Whether the shard is there, made from these inputs, and undamaged."""
    try:
        index = tfrecord.read_json(tfrecord.index_path(path))
    except ValueError:
        return False
    return (
        index.get("inputs") == inputs
        and path.is_file()
        and index.get("sha256") == tfrecord.sha256(path)
    )


def _manifest(paths: list[Path], settings: Settings) -> dict:
    """The sum of the shards' indices: counts, pictures per label, checksums, skipped files."""
    labels: Counter[str] = Counter()
    shards, skipped = [], []
    for path in paths:
        index = tfrecord.read_json(tfrecord.index_path(path))
        labels.update(index["labels"])
        skipped += index["skipped"]
        shards.append({"file": path.name} | {k: index[k] for k in ("count", "bytes", "sha256")})
    return {
        "format": tfrecord.FORMAT,
        **asdict(settings),
        "count": sum(shard["count"] for shard in shards),
        "shards": shards,
        "labels": dict(sorted(labels.items())),
        "skipped": skipped,
    }


def _must_be_ours(out: Path, settings: Settings) -> None:
    for path in sorted(out.iterdir()):
        if not tfrecord.OUR_FILE.fullmatch(path.name):
            raise ValueError(f"{path}: not a shard; choose an empty folder for the shards")
    if (out / tfrecord.MANIFEST).exists():
        held = tfrecord.read_json(out / tfrecord.MANIFEST)
        for name, wanted in asdict(settings).items():
            if held.get(name) != wanted:
                raise ValueError(
                    f"{out}: holds shards with {name} {held.get(name)}, not {wanted}; "
                    "choose another folder"
                )


def _remove_leftovers(out: Path, paths: list[Path]) -> None:
    """Delete shards of another division, and what a kill left under temporary names."""
    wanted = {out / tfrecord.MANIFEST, *paths, *map(tfrecord.index_path, paths)}
    for path in out.iterdir():
        if path not in wanted:
            path.unlink()


def parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m data.prepare",
        description="Write a folder of pictures as TFRecord shards for train-dcgan.py --dataset. "
        "Run the same command again after an interruption, or to check and repair the shards.",
    )
    parser.add_argument("source", metavar="IN", type=Path, help="folder of pictures, searched deep")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the shards")
    cli.flag(parser, "--size", type=cli.positive_int, default=64, help="pixels (%(default)s)")
    cli.flag(parser, "--crop", type=cli.positive_int, help="centre square before resizing, pixels")
    cli.flag(parser, "--channels", type=int, choices=(1, 3), default=3, help="1: grey, 3: colour")
    cli.flag(
        parser, "--images-per-shard", type=cli.positive_int, default=2048, help="(%(default)s)"
    )
    cli.flag(parser, "--workers", type=cli.positive_int, help="threads (all cores)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    settings = Settings(options.size, options.channels, options.crop)
    began = time.monotonic()
    manifest, kept = prepare(
        options.source,
        options.out,
        settings,
        images_per_shard=options.images_per_shard,
        workers=options.workers,
    )
    seconds = time.monotonic() - began
    for name, reason in manifest["skipped"]:
        cli.pass_over(f"{options.source / name}: {reason}")
    size = sum(shard["bytes"] for shard in manifest["shards"])
    print(
        f"{options.out}: {manifest['count']} pictures, {size / 1e6:.1f} MB, "
        f"{len(manifest['shards'])} shards ({kept} were there already); "
        f"{len(manifest['skipped'])} passed over (see {tfrecord.MANIFEST}); {seconds:.1f} seconds"
    )
    return cli.status(len(manifest["skipped"]), manifest["count"] + len(manifest["skipped"]))


if __name__ == "__main__":
    cli.run(main)

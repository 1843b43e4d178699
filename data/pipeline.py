"""Training data: a folder of pictures, or of shards (data/prepare.py), as batches.

The batches of an epoch are a pure function of (seed, epoch, list of pictures): whether pictures
come from memory, from files or from shards, on one process or several, after a resume or without
one.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from data import tfrecord
from data.classes import Classes
from pictures import codecs
from pictures.files import find

Load = Callable[[np.ndarray], np.ndarray]  # indices (N,) -> uint8 (N, S, S, C)
# Pictures float32 (B, S, S, C) in [-1, 1], their numbers in the run int64 (B,) -> (B, ...) each
Pairs = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
# A file, the side in pixels, channels, crop -> uint8 (S, S, C); ValueError if it cannot be read
Decode = Callable[[Path, int, int, int | None], np.ndarray]
Skipped = list[tuple[Path, str]]  # a file, and why it cannot be read

TOGETHER = 256  # pictures that some() holds at a time


@dataclass
class Data:
    """`count` pictures in batches of one size; made by open_dataset.

    skipped: each unreadable file and the reason. notes: sentences that a user should see once.
    pairs: makes of the pictures of a batch what a step takes, a tuple, as of clean pictures damaged
    ones. A picture's number is its own in the whole run, whatever the batch, the replica or the
    step at which a run resumes: what is drawn from (seed, number) is drawn again alike. views: how
    many pictures load gives as one, one after the other along its channels, for pairs to take
    apart. classes: float32 (count, K), 1 where a picture is of a class; a step then takes
    (pictures, classes).
    """

    load: Load
    count: int
    image_size: int
    channels: int
    batch_size: int
    seed: int
    in_memory: bool
    skipped: Skipped
    notes: list[str]
    pairs: Pairs | None = None
    views: int = 1
    classes: np.ndarray | None = None
    _fault: Exception | None = field(default=None, repr=False)

    @property
    def steps_per_epoch(self) -> int:
        return self.count // self.batch_size

    def order(self, epoch: int) -> np.ndarray:
        """Which pictures make up the batches of an epoch: int64 (steps_per_epoch, batch_size).

        The remainder that fills no batch is dropped. Every epoch shuffles anew, so that each drops
        other pictures.
        """
        shuffled = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        kept = self.steps_per_epoch * self.batch_size
        return shuffled[:kept].reshape(self.steps_per_epoch, self.batch_size)

    def epoch(
        self,
        epoch: int,
        start_step: int = 0,
        input_context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """The batches of an epoch from start_step on: float32 (B, S, S, C) in [-1, 1], or the
        tuples that `pairs` makes of them.

        With an input_context (strategy.distribute_datasets_from_function), B is batch_size divided
        by the replicas, and the dataset yields the shares of this worker's replicas in turn: all
        replicas together see the batches that one process sees.

        Iterate inside `with data.reading():`.
        """
        order = self.order(epoch)  # (steps, batch_size)
        numbers = epoch * order.size + np.arange(order.size).reshape(order.shape)
        both = order[start_step:], numbers[start_step:]
        if input_context is not None:  # (steps * local replicas, batch_size / replicas)
            both = tuple(_share(part, input_context) for part in both)

        # Shuffle first, as a permutation of numbers: it is perfect, holds no pictures, and a
        # resumed run starts in the middle without reading what came before. Then share among
        # workers, still numbers, so that nobody loads what another one uses. Then load, a batch per
        # call: calls for single pictures cost more than the pictures do, and their batch() copies
        # them once more. Several calls run at once, but deliver in order. Pictures stay bytes until
        # here, a quarter of their size as floats. Prefetch last, so that loading overlaps with
        # training. There is no cache(): pictures that fit into memory are there already, as bytes,
        # for all epochs.
        dataset = tf.data.Dataset.from_tensor_slices(both)
        dataset = dataset.map(self._batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _batch(self, indices: tf.Tensor, numbers: tf.Tensor):
        """int64 (B,) twice -> float32 (B, S, S, C), or what pairs makes of it."""
        # TensorFlow never lets go of the function: it must not hold anything of one epoch.
        made = tf.numpy_function(self._make, [indices, numbers], [tf.float32] * len(self._shapes))
        shaped = [
            tf.ensure_shape(part, (indices.shape[0], *shape))
            for part, shape in zip(made, self._shapes, strict=True)
        ]
        return tuple(shaped) if self.pairs or self.classes is not None else shaped[0]

    @cached_property
    def _shapes(self) -> list[tuple[int, ...]]:
        """Of what a step takes, without the number of pictures."""
        shape = (self.image_size, self.image_size, self.channels)
        if self.classes is not None:
            return [shape, self.classes.shape[1:]]
        if self.pairs is None:
            return [shape]
        shown = (1, *shape[:2], self.views * self.channels)
        made = self.pairs(np.zeros(shown, np.float32), np.zeros(1, np.int64))
        return [part.shape[1:] for part in made]

    def _make(self, indices: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
        try:
            pictures = codecs.to_float(self.load(indices))
            made = self.pairs(pictures, numbers) if self.pairs else [pictures]
            if self.classes is not None:
                made = [*made, self.classes[indices]]
            return [np.asarray(part, np.float32) for part in made]
        except (ValueError, OSError) as fault:
            self._fault = fault
            raise

    def some(self, most: int) -> Iterator[np.ndarray]:
        """At most `most` pictures, always the same ones, some at a time: uint8 (N, S, S, C), of
        several views the first."""
        chosen = np.sort(np.random.default_rng(0).permutation(self.count)[:most])
        for first in range(0, len(chosen), TOGETHER):
            yield self.load(chosen[first : first + TOGETHER])[..., : self.channels]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around a loop over epoch(): a fault in the data, which TensorFlow wraps into a page of
        text, becomes a ValueError of one line that names the file or the shard."""
        try:
            yield
        except tf.errors.OpError:
            if self._fault is None:
                raise
            raise ValueError(str(self._fault)) from None


def open_dataset(
    path: Path | str,
    image_size: int,
    channels: int = 3,
    crop: int | None = None,
    train_size: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    memory_limit_bytes: int | None = None,
    batch_multiple: int = 1,
    pairs: Pairs | None = None,
    decode: Decode | None = None,
    views: int = 1,
    classes: Classes | None = None,
) -> Data:
    """Open a folder of pictures, or of shards written by data.prepare.

    Pictures are cut to their centre square, of at most `crop` pixels, and resized to
    (image_size, image_size, channels). train_size takes the first so many in the order of their
    names. Pictures are decoded once if as bytes they fit into memory_limit_bytes (default: a
    quarter of the available memory), else anew every epoch. Fewer pictures than batch_size make one
    batch, of a multiple of batch_multiple. decode: what reads a file, default `decoded`. pairs,
    views: see Data. classes: those of this folder.

    Raises ValueError, one line, for a missing or empty folder, one where nothing is readable or too
    few for any batch, and shards that are damaged or were prepared in another way.
    """
    if decode is None and tfrecord.is_prepared(path):
        shards = tfrecord.Shards(path)
        shards.must_hold(image_size, channels, crop)
        source = _Source(shards.read, min(shards.count, train_size or shards.count))
        names = shards.names() if classes else []
    else:
        files = find([path])[:train_size]
        decode = partial(decode or decoded, image_size=image_size, channels=channels, crop=crop)
        shape = (len(files), image_size, image_size, views * channels)
        source = _decoding(files, decode=decode, shape=shape, limit_bytes=memory_limit_bytes)
        unread = {file for file, _ in source.skipped}
        names = [os.path.relpath(file, path) for file in files if file not in unread]
        if source.count == 0:
            file, reason = source.skipped[0]
            raise ValueError(f"{path}: none of {len(files)} pictures is readable; {file}: {reason}")
    held = _held(path, source.count, batch_size, batch_multiple)
    fewer = f"{source.count} pictures, fewer than a batch of {batch_size}: batches of {held}"
    return Data(
        load=source.load,
        count=source.count,
        image_size=image_size,
        channels=channels,
        batch_size=held,
        seed=seed,
        in_memory=source.in_memory,
        skipped=list(source.skipped),
        notes=[*source.notes, *([fewer] if held < batch_size else [])],
        pairs=pairs,
        views=views,
        classes=classes.one_hot(names[: source.count]) if classes else None,
    )


def _held(path: Path | str, count: int, batch_size: int, multiple: int) -> int:
    """The size of batches of so many pictures, a multiple where they are fewer than wanted."""
    held = batch_size if count >= batch_size else count - count % multiple
    if held == 0:
        raise ValueError(f"{path}: {count} pictures; a step takes at least {multiple}")
    return held


class _Source(NamedTuple):
    """Where pictures come from."""

    load: Load
    count: int
    in_memory: bool = False
    skipped: Sequence[tuple[Path, str]] = ()
    notes: Sequence[str] = ()


def _decoding(
    files: list[Path], decode: Callable, shape: tuple[int, ...], limit_bytes: int | None
) -> _Source:
    """Files, decoded once if as bytes of a shape (N, S, S, C) they are within the limit."""
    limit = available_bytes() // 4 if limit_bytes is None else limit_bytes
    need = math.prod(shape)
    if need <= limit:
        load, count, skipped = _from_memory(files, decode, shape)
        return _Source(load, count, in_memory=True, skipped=skipped)
    load, count, skipped = _from_files(files, decode)
    note = (
        f"{len(files)} pictures take {need / 1e6:.0f} MB, above the limit of {limit / 1e6:.0f} MB: "
        "each epoch decodes them anew (data.prepare makes it faster)"
    )
    return _Source(load, count, skipped=skipped, notes=[note])


def decoded(file: Path, image_size: int, channels: int, crop: int | None) -> np.ndarray:
    """A file as uint8 (image_size, image_size, channels). ValueError if it cannot be read."""
    return codecs.fit(codecs.read(file, channels), image_size, crop)


def available_bytes() -> int:
    """Memory that this process could still take: of the machine, or of its control group."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    meminfo, group = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    if (group / "memory.max").exists():
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            free = min(free, int(limit) - int((group / "memory.current").read_text()))
    return max(free, 0)


def _from_memory(
    files: list[Path], decode: Callable, shape: tuple[int, ...]
) -> tuple[Load, int, Skipped]:
    """Decode every file once into one array. It stays outside TensorFlow: no graph carries it, and
    no device gets a copy."""
    pictures = np.empty(shape, np.uint8)
    skipped: Skipped = []
    count = 0
    for file, picture in _on_all_cores(decode, files):
        if isinstance(picture, ValueError):
            skipped.append((file, _reason(file, picture)))
        else:
            pictures[count] = picture
            count += 1
    return pictures[:count].__getitem__, count, skipped


def _from_files(files: list[Path], decode: Callable) -> tuple[Load, int, Skipped]:
    """Decode each file now, only to learn which can be read, and again whenever it is needed.

    Skipping bad files on the way would save this pass, but nobody would know the number of steps,
    and the batches after a bad file would depend on where a run was resumed. Headers alone would
    not show a truncated file. Who starts often on a set this large prepares shards.
    """
    skipped: Skipped = []
    readable: list[Path] = []
    for file, picture in _on_all_cores(decode, files):
        if isinstance(picture, ValueError):
            skipped.append((file, _reason(file, picture)))
        else:
            readable.append(file)

    def load(indices: np.ndarray) -> np.ndarray:
        return np.stack([decode(readable[i]) for i in indices])

    return load, len(readable), skipped


def _on_all_cores(decode: Callable, files: list[Path]) -> Iterator[tuple[Path, object]]:
    """(file, its pixels or the ValueError) in order. Threads do: Pillow decodes and resizes without
    Python's lock. A progress bar shows when it takes more than a second."""

    def attempt(file: Path) -> np.ndarray | ValueError:
        try:
            return decode(file)
        except ValueError as fault:
            return fault

    with ThreadPool(os.cpu_count()) as pool:
        results = pool.imap(attempt, files)
        bar = tqdm(results, "reading pictures", len(files), delay=1, leave=False, unit=" pictures")
        yield from zip(files, bar, strict=True)


def _reason(file: Path, fault: ValueError) -> str:
    return str(fault).removeprefix(f"{file}: ")


def _share(order: np.ndarray, context: tf.distribute.InputContext) -> np.ndarray:
    """The rows of one worker's replicas, in the order in which they take them.

    Each batch is divided by element, from shards too: every picture is a read of its own, so a
    worker reads its own pictures and no others. Whole shards per worker would spare nothing, and
    make the batches depend on the number of workers.
    """
    replicas, workers = context.num_replicas_in_sync, context.num_input_pipelines
    steps, batch_size = order.shape
    if batch_size % replicas:
        raise ValueError(f"a batch of {batch_size} cannot be divided among {replicas} replicas")
    local = replicas // workers
    first = context.input_pipeline_id * local
    shares = order.reshape(steps, replicas, batch_size // replicas)
    return shares[:, first : first + local].reshape(steps * local, batch_size // replicas)

"""Training data: a folder of pictures, or of shards (data/prepare.py), as batches that never surprise.

The batches of an epoch are a pure function of (seed, epoch, list of pictures): whether the pictures come
from memory, from files or from shards, on one process or several, after a resume or without one.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

import images
from data import tfrecord

Skipped = list[tuple[Path, str]]


@dataclass
class Data:
    """Pictures in batches of one size. Made by open_dataset.

    load_pictures: integer indices (N,) -> uint8 (N, S, S, C). skipped: (path, reason) of each unreadable
    file. notes: sentences that a user should see once.
    """

    load_pictures: Callable[[np.ndarray], np.ndarray]
    count: int
    image_size: int
    channels: int
    batch_size: int
    seed: int = 0
    in_memory: bool = False
    skipped: Skipped = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _fault: Exception | None = field(default=None, repr=False)

    @property
    def steps_per_epoch(self) -> int:
        return self.count // self.batch_size

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the pictures of each batch of an epoch, int64 (steps_per_epoch, batch_size).

        The remainder that fills no batch is dropped; the shuffle is new every epoch, so each epoch drops
        others and nothing is lost for good.
        """
        shuffled = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        kept = self.steps_per_epoch * self.batch_size
        return shuffled[:kept].reshape(self.steps_per_epoch, self.batch_size)

    def epoch(
        self,
        epoch: int,
        start_step: int = 0,
        input_context: "tf.distribute.InputContext | None" = None,
    ) -> tf.data.Dataset:
        """The batches of an epoch from start_step on: float32 (B, S, S, C) in [-1, 1].

        With input_context (strategy.distribute_datasets_from_function) it yields the batches of this
        worker's replicas, in turn: B is batch_size / replicas, and the replicas of all workers together
        see the batches that one process sees. Iterate inside `with data.reading():`.
        """
        order = self.order(epoch)[start_step:]  # (steps, batch_size)
        if input_context is not None:
            order = _share(order, input_context)  # (steps * local replicas, batch_size / replicas)

        def load(row: np.ndarray) -> np.ndarray:
            try:
                return images.to_float(self.load_pictures(order[row]))
            except (ValueError, OSError) as fault:
                self._fault = fault
                raise

        def batch(row: tf.Tensor) -> tf.Tensor:
            pixels = tf.numpy_function(load, [row], tf.float32)
            side = self.image_size
            return tf.ensure_shape(pixels, (order.shape[1], side, side, self.channels))

        # Shuffle first, as a permutation of numbers: it is perfect, costs no memory for pictures, and a
        # resumed run starts in the middle without reading what came before. Then share among workers,
        # still numbers, so that nobody decodes what another one uses. Then load: one call per batch
        # rather than per picture spares the overhead and a batch() that copies; several calls run at
        # once, but deliver in order. Pictures stay bytes until here: floats are four times as many.
        # Prefetch last, so that loading overlaps with training. There is no cache(): pictures that fit
        # into memory are in load_pictures already, as bytes, and are shared by all epochs.
        dataset = tf.data.Dataset.range(len(order))
        dataset = dataset.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return dataset.prefetch(tf.data.AUTOTUNE)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around a loop over epoch(): what TensorFlow wraps into pages of text becomes a ValueError of one
        line that names the file or the shard."""
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
) -> Data:
    """Open a folder of pictures, or of shards written by data.prepare (it holds a manifest.json).

    Pictures are cropped to the centre square of `crop` pixels (default: the largest) and resized to
    (image_size, image_size, channels); train_size takes the first so many in the order of their names.
    Decoded pictures are kept in memory if they fit into memory_limit_bytes (default: a quarter of the
    memory available), else decoded anew every epoch. Fewer pictures than batch_size make one batch.
    Raises ValueError, one line, for a missing or empty folder, nothing readable, or unfitting shards.
    """
    if tfrecord.is_prepared(path):
        shards = tfrecord.Shards(path)
        shards.must_hold(image_size, channels, crop)
        count = min(shards.count, train_size or shards.count)
        data = Data(shards.read, count, image_size, channels, batch_size, seed)
    else:
        files = images.find([path])[:train_size]
        limit = available_bytes() // 4 if memory_limit_bytes is None else memory_limit_bytes
        need = len(files) * image_size * image_size * channels
        open_files = _in_memory if need <= limit else _streamed
        data = open_files(files, image_size, channels, crop, batch_size, seed)
        if not data.in_memory:
            data.notes.append(
                f"{len(files)} pictures take {need / 1e6:.0f} MB, the limit is {limit / 1e6:.0f} MB: "
                "decoding them anew every epoch (shards made by data.prepare are faster)"
            )
        _must_be_readable(path, data)
    if data.count < batch_size:
        data.notes.append(
            f"{data.count} pictures are fewer than a batch of {batch_size}: "
            f"training with batches of {data.count}"
        )
        data.batch_size = data.count
    return data


def available_bytes() -> int:
    """Memory this process could still take: the system's, or the rest of its control group's limit."""
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


def _in_memory(files, image_size, channels, crop, batch_size, seed) -> Data:
    """Decode every file once into an array, which lives outside TensorFlow's graphs (2 GB limit)."""
    pictures = np.empty((len(files), image_size, image_size, channels), np.uint8)
    skipped: Skipped = []
    count = 0
    for file, picture in _decoded(files, lambda f: decode(f, image_size, channels, crop)):
        if isinstance(picture, ValueError):
            skipped.append((file, _reason(file, picture)))
        else:
            pictures[count] = picture
            count += 1
    load = pictures[:count].__getitem__
    return Data(load, count, image_size, channels, batch_size, seed, True, skipped)


def _streamed(files, image_size, channels, crop, batch_size, seed) -> Data:
    """Decode each file once now, only to know which can be read, and again whenever it is needed.

    Skipping bad files on the way instead would save this pass, but the number of steps would be unknown
    and the batches after a bad file would depend on where a run was resumed. Reading headers alone would
    miss truncated files. Whoever starts often on a set this large prepares shards.
    """
    readable, skipped = [], []
    for file, shape in _decoded(files, lambda f: images.read(f, channels).shape):
        if isinstance(shape, ValueError):
            skipped.append((file, _reason(file, shape)))
        else:
            readable.append(file)

    def load(indices: np.ndarray) -> np.ndarray:
        return np.stack([decode(readable[i], image_size, channels, crop) for i in indices])

    return Data(load, len(readable), image_size, channels, batch_size, seed, False, skipped)


def decode(file: Path, image_size: int, channels: int, crop: int | None) -> np.ndarray:
    """A file as uint8 (image_size, image_size, channels). ValueError if it cannot be read."""
    return images.fit(images.read(file, channels), image_size, crop)


def _decoded(files, function) -> Iterator[tuple[Path, object]]:
    """(file, function(file) or the ValueError it raised) in order, on all cores: Pillow decodes and
    resizes without Python's lock. A progress bar shows when it takes more than a second."""

    def attempt(file: Path):
        try:
            return function(file)
        except ValueError as fault:
            return fault

    with ThreadPool(os.cpu_count()) as pool:
        results = pool.imap(attempt, files)
        bar = tqdm(results, "reading pictures", len(files), unit="", delay=1, leave=False)
        yield from zip(files, bar, strict=True)


def _reason(file: Path, fault: ValueError) -> str:
    return str(fault).removeprefix(f"{file}: ")


def _must_be_readable(path: Path | str, data: Data) -> None:
    if data.count == 0:
        file, reason = data.skipped[0]
        raise ValueError(
            f"{path}: none of {len(data.skipped)} pictures can be read; the first: {file}: {reason}"
        )


def _share(order: np.ndarray, context: "tf.distribute.InputContext") -> np.ndarray:
    """The rows for the replicas of one worker, in the order in which they take them.

    Always by element: loading is random access, also in shards, so a worker reads its own pictures and no
    others. Whole shards per worker would save no reading, and make batches depend on their number.
    """
    replicas, workers = context.num_replicas_in_sync, context.num_input_pipelines
    steps, batch_size = order.shape
    if batch_size % replicas:
        raise ValueError(f"a batch of {batch_size} cannot be divided among {replicas} replicas")
    local = replicas // workers
    first = context.input_pipeline_id * local
    shares = order.reshape(steps, replicas, batch_size // replicas)
    return shares[:, first : first + local].reshape(steps * local, batch_size // replicas)

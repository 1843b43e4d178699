#!/usr/bin/env python3
"""Train a one-pass network on Keras' JAX backend, for GPUs that TensorFlow cannot use.

    jax_train.py --data faces.npz --recipe '{"perceptual": 1}' --minutes 9 --cut
    jax_train.py --join

Data: an .npz whose one array is uint8 (N, S, S, C). A run that is started again goes on; batches
and masks are those that train-pix2pix.py draws of the same pictures in the same order. --cut cuts
what is larger than 15 MB in a checkpoint into pieces, for ways to carry files that want it; --join,
and every start, puts them together again.
"""

import argparse
import dataclasses
import json
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
from jax_pix2pix import Trainer  # first: it chooses Keras' backend

from cli import run
from networks.unet_config import UNetConfig
from pictures import codecs
from pictures.damage import make_pairs
from pictures.files import replacing
from search import linear
from search.linear import LinearModel
from training import checkpoint
from translation.recipe import PRESETS, Recipe, both

PIECE = 15_000_000  # bytes
AHEAD = 8  # batches made ready while the device works


# Pieces


def cut(folder: Path, piece: int = PIECE) -> None:
    """Cut the larger files of a folder into name.piece-00, name.piece-01, ..."""
    for path in [p for p in folder.iterdir() if p.stat().st_size > piece]:
        content = path.read_bytes()
        for number, first in enumerate(range(0, len(content), piece)):
            part = path.with_name(f"{path.name}.piece-{number:02d}")
            part.write_bytes(content[first : first + piece])
        path.unlink()


def join(folder: Path) -> None:
    """Put the pieces in a folder, and in those within it, together again."""
    for first in Path(folder).rglob("*.piece-00"):
        whole = first.with_suffix("")
        pieces = sorted(whole.parent.glob(f"{whole.name}.piece-*"))
        if not whole.exists():  # else a cut or a join was interrupted
            with replacing(whole) as temporary, temporary.open("wb") as file:
                for piece in pieces:
                    file.write(piece.read_bytes())
        for piece in reversed(pieces):
            piece.unlink()


# Training


def batches(trainer: Trainer, pictures: np.ndarray, epochs: int) -> Iterator[tuple]:
    """Pairs from the trainer's position on, as data.pipeline orders pictures; made ahead."""
    recipe, position = trainer.recipe, trainer.position
    steps = len(pictures) // recipe.batch_size
    if position["batches_per_epoch"] not in (0, steps):
        position["batch"] = 0
    position["batches_per_epoch"] = steps

    def places() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        first = position["batch"]
        for epoch in range(position["epoch"], epochs):
            order = np.random.default_rng([recipe.seed, epoch]).permutation(len(pictures))
            order = order[: steps * recipe.batch_size].reshape(steps, recipe.batch_size)
            numbers = epoch * order.size + np.arange(order.size).reshape(order.shape)
            yield from zip(order[first:], numbers[first:], strict=True)
            first = 0

    def make(rows: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return make_pairs(codecs.to_float(pictures[rows]), numbers, recipe.seed)

    with ThreadPoolExecutor(4) as pool:
        waiting: deque = deque()
        for place in places():
            waiting.append(pool.submit(make, *place))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def train(trainer: Trainer, pictures: np.ndarray, options: argparse.Namespace) -> None:
    """To the end of the epochs or of the minutes; checkpoints on the way and at the end."""
    position = trainer.position
    started = saved = time.monotonic()
    for pair in batches(trainer, pictures, options.epoch):
        measured = trainer.step(*pair)
        if position["step"] % options.say_every == 0:
            say(position["step"], measured, since=started)
        now = time.monotonic()
        if now - started > 60 * options.minutes:
            break
        if now - saved > 60 * options.save_minutes:
            save(trainer, options)
            saved = now
    save(trainer, options)


def say(step: int, measured: dict, since: float) -> None:
    """Print what a step measured. Raises ValueError where that is not finite."""
    values = {name: float(value) for name, value in measured.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(
                f"{name} is {value} at step {step}; earlier checkpoints are as they were"
            )
    shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    print(f"step {step}, {time.monotonic() - since:.0f} s: {shown}", flush=True)


def save(trainer: Trainer, options: argparse.Namespace) -> None:
    path = checkpoint.step_path(options.checkpoint_dir, trainer.position["step"])
    if path.exists():
        return
    trainer.save(path)
    if options.cut:
        cut(path)
    checkpoint.remove_old(options.checkpoint_dir, options.keep)
    print(f"saved {path}", flush=True)


# Flags


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--checkpoint-dir", type=Path, default=Path("checkpoint-pix2pix"))
    parser.add_argument("--init-from", type=Path, help="start from the weights of this model")
    parser.add_argument("--preset", choices=PRESETS, default="best")
    parser.add_argument("--recipe", default="{}", help="JSON: fields of UNetConfig and Recipe")
    parser.add_argument("--epoch", type=int, default=25, help="in total (%(default)s)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then save and stop")
    parser.add_argument("--save-minutes", type=float, default=3, help="(%(default)s)")
    parser.add_argument("--say-every", type=int, default=50, help="steps (%(default)s)")
    parser.add_argument("--keep", type=int, default=3, help="checkpoints (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="products in the GPU's lower precision")
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("--join", action="store_true")
    return parser


def read_pictures(path: Path) -> np.ndarray:
    """uint8 (N, S, S, C). Raises ValueError for what is none."""
    try:
        with np.load(path) as archive:
            pictures = archive[archive.files[0]]
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: not a readable .npz ({error})") from None
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1] != pictures.shape[2]:
        raise ValueError(
            f"{path}: holds {pictures.dtype} {pictures.shape}; it must be uint8 (N, S, S, C)"
        )
    return pictures


def configured(options: argparse.Namespace, pictures: np.ndarray) -> tuple[UNetConfig, Recipe]:
    try:
        given = json.loads(options.recipe)
    except ValueError as error:
        raise ValueError(f"--recipe {options.recipe}: not JSON ({error})") from None
    known = {field.name for part in (UNetConfig, Recipe) for field in dataclasses.fields(part)}
    if unknown := given.keys() - known:
        raise ValueError(f"--recipe: no field {', '.join(sorted(unknown))}")
    own = {"image_size": pictures.shape[1], "channels": pictures.shape[3]}
    return both(PRESETS[options.preset] | own | given)


def main() -> int:
    options = parser().parse_args()
    join(options.checkpoint_dir)
    if options.join:
        return 0
    if options.data is None:
        raise ValueError("--data names no pictures")
    pictures = read_pictures(options.data)
    jax.config.update("jax_default_matmul_precision", "default" if options.fast else "highest")
    trainer = Trainer(*configured(options, pictures))
    if checkpoint.exists(options.checkpoint_dir):
        trainer.load(options.checkpoint_dir)
        print(f"goes on from step {trainer.position['step']}")
    elif options.init_from:
        trainer.load(options.init_from, training=False)
    if trainer.linear is None:
        chosen = np.sort(np.random.default_rng(0).permutation(len(pictures))[: linear.PICTURES])
        parts = (chosen[first : first + 256] for first in range(0, len(chosen), 256))
        some = (codecs.to_float(pictures[part]) for part in parts)
        trainer.learn(LinearModel.of_training(some, mirrored=True))
    print(f"{len(pictures):,} pictures on {jax.devices()[0]}", flush=True)
    train(trainer, pictures, options)
    return 0


if __name__ == "__main__":
    run(main)

"""The training loop: batches in, steps, and what a run shows and keeps."""

import dataclasses
import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cli import StopRequest
from pictures import codecs
from training import checkpoint, devices
from training.journal import Journal
from training.state import State

_STOPPING = "stopping once this step is done and saved; Ctrl-C once more stops without saving"
_STOPPED = "training stopped, earlier checkpoints are as they were"


class Preview(NamedTuple):
    """What a run shows of a model at a step, by name: pictures, uint8 (H, W, C), of which the first
    is also written to the sample folder, and histograms, arrays of any shape."""

    pictures: Mapping[str, np.ndarray]
    histograms: Mapping[str, np.ndarray]


class Trainable(Protocol):
    """A model as the loop sees it. shown: which of a step's scalars the progress bar shows."""

    state: State
    shown: tuple[str, ...]

    def step(self, batch, step: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Train on a batch of data/pipeline; step, int32, decides every draw. Returns what it
        measured, scalars by name; nothing else needs to travel from the device."""

    def traced_step(self, batch) -> tf.types.experimental.ConcreteFunction:
        """The graph of the step for such batches, which then needs no other tracing."""

    def preview(self) -> Preview:
        """After a step, what there is to see."""


Evaluate = Callable[[Trainable], Mapping[str, float]]


@dataclass(frozen=True)
class Run:
    """Where a run writes, and how often, in steps. epochs: in total, resumed ones included."""

    epochs: int = 25
    checkpoint_dir: Path = Path("checkpoint")
    sample_dir: Path = Path("samples")
    log_dir: Path = Path("logs")
    sample_every: int = 100
    save_every: int = 500
    eval_every: int = 500
    keep: int = 5


def start(
    model: Trainable, data, run: Run, no_resume: bool = False, init_from: Path | None = None
) -> None:
    """Give a fresh model the weights to begin with, by these rules, in this order; says on standard
    output which one applied. Writes nothing.

    1. The checkpoint folder holds a checkpoint, and not no_resume: its weights, optimisers and
       counters are taken.
    2. init_from: the weights of that model, with fresh optimisers and counters.
    3. Else the fresh weights stay.

    Raises ValueError where several workers would not start from the same.
    """
    state = model.state
    if checkpoint.exists(run.checkpoint_dir) and not no_resume:
        path = state.resume(run.checkpoint_dir, warn=print)
        print(f"resumed {path}: epoch {state.position.epoch}, step {state.position.step}")
        if state.position.epoch >= run.epochs:
            print(f"all {run.epochs} epochs are done; a larger --epoch goes on")
    elif init_from:
        state.init_from(init_from)
        print(f"started from the weights of {init_from}")
    devices.must_agree(state.strategy, _beginning(state, data, run))


def _beginning(state: State, data, run: Run) -> dict[str, int]:
    """Where a run begins, in numbers by which workers tell whether they begin alike."""
    course = dataclasses.replace(run, checkpoint_dir=None, sample_dir=None, log_dir=None)
    weights = b"".join(value.tobytes() for value in state.weights().values())
    return {
        "the number of pictures": data.count,
        "the step": state.position.step,
        "the checksum of the flags": zlib.crc32(
            repr((state.config, state.recipe, course)).encode()
        ),
        "the checksum of the weights": zlib.crc32(weights),
    }


def train(model: Trainable, data, run: Run, evaluate: Evaluate | None = None) -> None:
    """Train to the end of `run.epochs`, from where the model's position stands.

    data: what data/pipeline opens, with as many pictures a batch as a step takes. evaluate gives
    figures by name; the model of which the first one is lowest is kept as checkpoint_dir/best.
    Ctrl-C, on any of several workers, saves a checkpoint, then raises KeyboardInterrupt on all; a
    run that ends so, or by itself, before its first samples are due shows them then. A scalar that
    is not finite raises ValueError; what was saved before stays.
    """
    position, strategy = model.state.position, model.state.strategy
    if position.batches_per_epoch not in (0, data.steps_per_epoch):
        position.batch = 0  # the data changed, and with it their order: the epoch starts anew
    position.batches_per_epoch = data.steps_per_epoch
    checkpoint.tidy(run.checkpoint_dir, position.step)
    journal = Journal(run.log_dir, Path(run.checkpoint_dir) / "metrics.jsonl", position.step)
    stopped, began = False, position.step
    with StopRequest(_STOPPING) as stop, data.reading(), _progress(position, data, run) as bar:
        for epoch, batch in _batches(model.state, data, run.epochs):
            if position.step == 0:
                journal.graph(model.traced_step(batch).graph)
            scalars = _take_step(model, batch, epoch=epoch, batch_size=data.batch_size)
            step = position.step

            # Report.
            journal.scalars(step, scalars, epoch=epoch)
            bar.set_description(f"epoch {epoch}", refresh=False)
            shown = (*model.shown, "images_per_second")
            bar.set_postfix({name: f"{scalars[name]:.3g}" for name in shown}, refresh=False)
            bar.update()

            # Look, measure, keep.
            if step % run.sample_every == 0:
                _show(model, run.sample_dir, journal=journal, epoch=epoch)
            if evaluate and step % run.eval_every == 0:
                _evaluate(model, evaluate, run=run, journal=journal, epoch=epoch)
            if step % run.save_every == 0:
                _save(model.state, run, journal)
            if stopped := devices.anywhere(strategy, stop.requested):
                break
        _save(model.state, run, journal)
        if began < position.step < run.sample_every:
            _show(model, run.sample_dir, journal=journal, epoch=epoch)  # else it shows nothing
        journal.close()
    if stopped:
        raise KeyboardInterrupt


def _progress(position, data, run: Run) -> tqdm:
    done = position.epoch * data.steps_per_epoch + position.batch
    total = max(done, run.epochs * data.steps_per_epoch)
    return tqdm(total=total, initial=done, unit="step", dynamic_ncols=True)


def _batches(state: State, data, epochs: int) -> Iterator[tuple[int, object]]:
    """(epoch, batch) from the position to the end of the last epoch."""
    first = state.position.batch
    for epoch in range(state.position.epoch, epochs):
        for batch in _epoch(state.strategy, data, epoch=epoch, first=first):
            yield epoch, batch
        first = 0


def _epoch(strategy: tf.distribute.Strategy, data, epoch: int, first: int):
    """The rest of an epoch, each batch divided among the replicas where there are several."""
    if strategy.num_replicas_in_sync == 1:
        return data.epoch(epoch, first)
    return strategy.distribute_datasets_from_function(
        lambda context: data.epoch(epoch, first, context)
    )


def _take_step(model: Trainable, batch, epoch: int, batch_size: int) -> dict[str, float]:
    """What a step measured, and how fast it was."""
    position = model.state.position
    started = time.perf_counter()
    measured = model.step(batch, tf.constant(position.step, tf.int32))
    scalars = {name: float(value) for name, value in measured.items()}
    position.advance()
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise ValueError(
                f"{name} is {value} at step {position.step} (epoch {epoch}); {_STOPPED}"
            )
    return scalars | {"images_per_second": batch_size / (time.perf_counter() - started)}


def _show(model: Trainable, folder: Path, journal: Journal, epoch: int) -> None:
    step = model.state.position.step
    pictures, histograms = model.preview()
    codecs.write(Path(folder) / f"train_{epoch:02d}_{step:04d}.png", next(iter(pictures.values())))
    journal.images(step, {name: picture[None] for name, picture in pictures.items()})
    journal.histograms(step, histograms)


def _evaluate(model: Trainable, evaluate: Evaluate, run: Run, journal: Journal, epoch: int) -> None:
    position = model.state.position
    try:
        figures = evaluate(model)
    except Exception as error:  # whatever a metric does, training goes on
        tqdm.write(f"warning: no evaluation at step {position.step} ({error})")
        return
    journal.scalars(position.step, figures, group="quality", epoch=epoch)
    tqdm.write(f"step {position.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    first = next(iter(figures.values()), math.inf)
    if first < position.best:
        position.best = first
        model.state.save(Path(run.checkpoint_dir) / "best")


def _save(state: State, run: Run, journal: Journal) -> None:
    step = state.position.step
    if checkpoint.step_path(run.checkpoint_dir, step).exists():
        return  # the same: to replace it would mean a moment without it
    for name, value in state.weights().items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} is not finite after step {step}; {_STOPPED}")
    journal.flush()  # first: a run that resumes here must find its own lines
    state.save_training(run.checkpoint_dir)
    checkpoint.remove_old(run.checkpoint_dir, run.keep)

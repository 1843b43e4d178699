"""The training loop: batches in, steps, and what a run shows and keeps."""

import dataclasses
import math
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cli import StopRequest
from model import DCGAN
from networks.config import Config
from pictures import codecs, grids
from training import checkpoint, devices
from training.journal import Journal

Evaluate = Callable[[DCGAN], dict[str, float]]

_STOPPED = "training stopped, earlier checkpoints are as they were"


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
    config: Config,
    data,
    run: Run,
    no_resume: bool = False,
    init_from: Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> DCGAN:
    """The model to train, by these rules, in this order; says on standard output which one applied.
    Writes nothing.

    1. The checkpoint folder holds a checkpoint, and not no_resume: its weights, optimisers and
       counters are taken.
    2. init_from: the weights of that model, with fresh optimisers and counters.
    3. Else fresh weights from config.seed.

    Raises ValueError where several workers would not start from the same.
    """
    batch_size = data.batch_size // config.d_steps
    model = DCGAN(dataclasses.replace(config, batch_size=batch_size), strategy)
    if checkpoint.exists(run.checkpoint_dir) and not no_resume:
        path = model.resume(run.checkpoint_dir, warn=print)
        position = model.position
        print(f"resumed {path}: epoch {position.epoch}, step {position.step}")
        if position.epoch >= run.epochs:
            print(f"all {run.epochs} epochs are done; a larger --epoch goes on")
    elif init_from:
        model.init_from(init_from)
        print(f"started from the weights of {init_from}")
    devices.must_agree(model.strategy, _beginning(model, data, run))
    return model


def _beginning(model: DCGAN, data, run: Run) -> dict[str, int]:
    """Where a run begins, in numbers by which workers tell whether they begin alike."""
    course = dataclasses.replace(run, checkpoint_dir=None, sample_dir=None, log_dir=None)
    weights = b"".join(value.tobytes() for value in model.weights().values())
    return {
        "the number of pictures": data.count,
        "the step": model.position.step,
        "the checksum of the flags": zlib.crc32(repr((model.config, course)).encode()),
        "the checksum of the weights": zlib.crc32(weights),
    }


def train(model: DCGAN, data, run: Run, evaluate: Evaluate | None = None) -> None:
    """Train to the end of `run.epochs`, from where the model's counters stand.

    data: what data/pipeline opens with config.d_steps * config.batch_size images a batch. evaluate
    gives named figures of a model; the lowest "frechet_distance" is kept as checkpoint_dir/best.
    Ctrl-C, on any of several workers, saves a checkpoint, then raises KeyboardInterrupt on all. A
    loss that is not finite raises ValueError; what was saved before stays.
    """
    if model.position.batches_per_epoch not in (0, data.steps_per_epoch):
        model.position.batch = 0  # the data changed, and with it their order: the epoch starts anew
    model.position.batches_per_epoch = data.steps_per_epoch
    checkpoint.tidy(run.checkpoint_dir, model.position.step)
    journal = Journal(run.log_dir, Path(run.checkpoint_dir) / "metrics.jsonl", model.position.step)
    stopped = False
    with StopRequest() as stop, data.reading(), _progress(model, data, run) as bar:
        for real in _batches(model, data, run.epochs):
            if model.position.step == 0:
                journal.graph(model.traced_step(real).graph)
            started = time.perf_counter()
            measured = _take_step(model, real)
            seconds = time.perf_counter() - started
            step = model.position.step

            # Report.
            scalars = {name: float(value) for name, value in measured.items() if value.ndim == 0}
            scalars["images_per_second"] = data.batch_size / seconds
            journal.scalars(step, scalars, epoch=model.position.epoch)
            bar.set_description(f"epoch {model.position.epoch}", refresh=False)
            shown = ("d_loss", "g_loss", "images_per_second")
            bar.set_postfix({name: f"{scalars[name]:.3g}" for name in shown}, refresh=False)
            bar.update()

            # Look, measure, keep.
            if step % run.sample_every == 0:
                _show(model, run.sample_dir, journal, real, measured)
            if evaluate and step % run.eval_every == 0:
                _evaluate(model, evaluate, run, journal, bar)
            if step % run.save_every == 0:
                _save(model, run, journal)
            if stopped := devices.anywhere(model.strategy, stop.requested):
                break
        _save(model, run, journal)
        journal.close()
    if stopped:
        raise KeyboardInterrupt


def _progress(model: DCGAN, data, run: Run) -> tqdm:
    done = model.position.epoch * data.steps_per_epoch + model.position.batch
    total = max(done, run.epochs * data.steps_per_epoch)
    return tqdm(total=total, initial=done, unit="step", dynamic_ncols=True)


def _batches(model: DCGAN, data, epochs: int) -> Iterator[tf.Tensor]:
    """Batches to the end of the last epoch; each is counted as it is handed out."""
    position = model.position
    while (epoch := position.epoch) < epochs:
        for real in _epoch(model.strategy, data, epoch, position.batch):
            position.batch += 1
            yield real
        position.epoch, position.batch = epoch + 1, 0


def _epoch(strategy: tf.distribute.Strategy, data, epoch: int, batch: int):
    """The rest of an epoch, each batch divided among the replicas where there are several."""
    if strategy.num_replicas_in_sync == 1:
        return data.epoch(epoch, batch)
    return strategy.distribute_datasets_from_function(
        lambda context: data.epoch(epoch, batch, context)
    )


def _take_step(model: DCGAN, real: tf.Tensor) -> dict[str, np.ndarray]:
    measured = model.train_step(real, tf.constant(model.position.step, tf.int32))
    model.position.step += 1
    measured = {name: _local(value) for name, value in measured.items()}
    for name, value in measured.items():
        if value.ndim == 0 and not math.isfinite(value):
            raise ValueError(
                f"{name} is {value} at step {model.position.step} (epoch {model.position.epoch}); "
                f"{_STOPPED}"
            )
    return measured


def _show(model: DCGAN, folder: Path, journal: Journal, real: tf.Tensor, measured: dict) -> None:
    """A grid of 64 samples, the same z's every time, and TensorBoard's pictures and histograms."""
    position = model.position
    samples = grids.grid(codecs.to_bytes(model.sample(64, model.config.seed)))
    codecs.write(Path(folder) / f"train_{position.epoch:02d}_{position.step:04d}.png", samples)
    batch = grids.grid(codecs.to_bytes(_local(real)[:64]))
    journal.images(position.step, {"G": samples[None], "real": batch[None]})
    logits = {"d": measured["real_logits"], "d_": measured["fake_logits"]}
    probabilities = {name: tf.sigmoid(value) for name, value in logits.items()}
    journal.histograms(position.step, {"z": measured["z"], **probabilities})


def _evaluate(model: DCGAN, evaluate: Evaluate, run: Run, journal: Journal, bar: tqdm) -> None:
    step = model.position.step
    try:
        figures = evaluate(model)
    except Exception as error:  # whatever a metric does, training goes on
        bar.write(f"warning: no evaluation at step {step} ({error})")
        return
    journal.scalars(step, figures, epoch=model.position.epoch)
    bar.write(f"step {step}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    distance = figures.get("frechet_distance", math.inf)
    if distance < model.position.best:
        model.position.best = distance
        model.save(Path(run.checkpoint_dir) / "best")


def _save(model: DCGAN, run: Run, journal: Journal) -> None:
    position = model.position
    if checkpoint.step_path(run.checkpoint_dir, position.step).exists():
        return  # the same: to replace it would mean a moment without it
    if position.batch == position.batches_per_epoch:
        position.epoch, position.batch = position.epoch + 1, 0
    for name, value in model.weights().items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} is not finite after step {position.step}; {_STOPPED}")
    journal.flush()  # first: a run that resumes here must find its own lines
    model.save_training(run.checkpoint_dir)
    checkpoint.remove_old(run.checkpoint_dir, run.keep)


def _local(value) -> np.ndarray:
    """A tensor, or this process's part of a distributed one, as an array."""
    parts = value.values if isinstance(value, tf.distribute.DistributedValues) else [value]
    return np.concatenate([p.numpy() for p in parts]) if len(parts) > 1 else parts[0].numpy()

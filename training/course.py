"""What every training script does around the loop: flags, devices, data, the rules of starting."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cli
from cli import counted, flag, import_tensorflow, non_negative_int, positive_int
from data.classes import Classes
from pictures import files
from training import checkpoint

STRATEGIES = ("none", "mirrored", "multiworker")


@dataclass(frozen=True)
class Training:
    """What a script brings to the course.

    build(batch_size, strategy) makes the fresh model, a training.loop.Trainable; batch_size is
    smaller than the one here where there are fewer pictures. A step takes batches_per_step batches
    at once; parts: in how many each replica computes its share of a batch. classes, pairs,
    decode, views: see data.pipeline. mirrored: whether a mirrored picture is as good as it is;
    linear: whether the model keeps a linear model of the pictures, for completions. watch(data,
    validation, crop), if flags ask for it, makes what the loop evaluates by. remark(linear): what
    to say of that model once fitted, or "". use: the command that does something with the model,
    said in the end with its --checkpoint-dir.
    """

    image_size: int
    channels: int
    batch_size: int
    seed: int
    build: Callable
    watch: Callable
    batches_per_step: int = 1
    parts: int = 1
    classes: Classes | None = None
    pairs: Callable | None = None
    decode: Callable | None = None
    views: int = 1
    mirrored: bool = False
    linear: bool = True
    remark: Callable = lambda linear: ""
    use: str = ""


def add_data_flags(parser: argparse.ArgumentParser, dataset: str) -> argparse._ArgumentGroup:
    """The flags that say which pictures; dataset: the default. Returns their group."""
    data = parser.add_argument_group("data")
    flag(
        data,
        "--dataset",
        default=dataset,
        help="folder of pictures or of shards; also looked for in data/ (default: %(default)s)",
    )
    flag(data, "--train_size", type=positive_int, help="use the first N pictures (default: all)")
    flag(data, "--crop", type=positive_int, help="cut out the centre, N pixels wide, then resize")
    return data


def add_course_flags(
    parser: argparse.ArgumentParser, checkpoint_dir: str, log_dir: str, epochs: int
) -> None:
    """The flags that say how long, where to and how often; the others: defaults. log_dir lies
    deeper than checkpoint_dir: a folder `checkpoint` beside it is one that TensorBoard warns of."""
    course = parser.add_argument_group("course")
    default = "(default: %(default)s)"
    steps = f"steps {default}"
    flag(course, "--epoch", type=non_negative_int, default=epochs, help=f"in total {default}")
    flag(course, "--checkpoint_dir", type=Path, default=checkpoint_dir, help=default)
    flag(course, "--sample_dir", type=Path, default="samples", help=default)
    flag(
        course, "--log-dir", type=Path, default=_events(log_dir), help=f"for TensorBoard {default}"
    )
    flag(course, "--sample-every", type=positive_int, default=100, help=steps)
    flag(course, "--save-every", type=positive_int, default=500, help=steps)
    flag(
        course,
        "--validation",
        type=Path,
        help="folder of pictures that are not in --dataset, to measure by; the best model so far "
        "is kept as best/",
    )
    flag(
        course,
        "--eval-every",
        type=positive_int,
        help="steps (default: 500 with --validation, else never; without it, training pictures are "
        "what is compared with)",
    )
    flag(course, "--keep", type=positive_int, default=5, help=f"checkpoints {default}")
    flag(
        course, "--no-resume", action="store_true", help="start anew; what is there is moved aside"
    )
    flag(course, "--init-from", type=Path, help="start from this model's weights (fine-tuning)")
    flag(
        course,
        "--strategy",
        choices=STRATEGIES,
        default="none",
        help=f"devices: one, all of this machine, or those of TF_CONFIG {default}",
    )
    flag(course, "--dry-run", action="store_true", help="check everything, print the plan, stop")


def _events(log_dir: str) -> Path:
    """log_dir, or the folder around it where events are: a run that goes on keeps its curves."""
    path = Path(log_dir)
    return path.parent if any(path.parent.glob("events.out.tfevents.*")) else path


def follow(arguments: argparse.Namespace, training: Training, plan: Mapping[str, object]) -> int:
    """Train as the flags of add_data_flags and add_course_flags say, or with --dry-run only check
    them and print the plan, dataclasses by what they are about. Imports TensorFlow. Raises
    ValueError for what a user can get wrong."""
    dataset = find_dataset(arguments)
    import_tensorflow()
    import tensorflow as tf

    from training import devices, loop

    tf.config.experimental.enable_op_determinism()
    strategy = devices.strategy(arguments.strategy)
    chief = devices.is_chief(strategy)
    data = _open(arguments, dataset, training=training, strategy=strategy)
    run = loop.Run(
        epochs=arguments.epoch,
        checkpoint_dir=arguments.checkpoint_dir,
        sample_dir=arguments.sample_dir,
        log_dir=arguments.log_dir,
        sample_every=arguments.sample_every,
        save_every=arguments.save_every,
        eval_every=arguments.eval_every or 500,
        keep=arguments.keep,
    )
    evaluate = None
    if chief and (arguments.validation or arguments.eval_every):
        evaluate = training.watch(data, arguments.validation, arguments.crop)

    def begin():
        model = training.build(data.batch_size // training.batches_per_step, strategy)
        loop.start(model, data, run, no_resume=arguments.no_resume, init_from=arguments.init_from)
        return model

    if arguments.dry_run:
        begin()
        for name, part in plan.items():
            print(f"{name}: {described(part)}")
        return 0
    with ExitStack() as stack:
        if chief:
            for folder in (run.checkpoint_dir, run.sample_dir, run.log_dir):
                stack.enter_context(files.locked(folder))
        stack.enter_context(devices.watching_workers(strategy))
        own = stack.enter_context(devices.writing(run, strategy))
        model = begin()
        if chief and arguments.no_resume and checkpoint.exists(run.checkpoint_dir):
            aside = files.set_aside(run.checkpoint_dir)
            print(f"moved the earlier checkpoints to {aside}")
        if training.linear and model.state.linear is None:
            print("fitting a linear model to the pictures, for completions", flush=True)
            model.state.learn(fit_linear(data, training.mirrored))
            if chief and (remark := training.remark(model.state.linear)):
                print(remark, flush=True)
        if chief:
            stack.enter_context(_saying_where(run.checkpoint_dir, training.use))
        loop.train(model, data, run=own, evaluate=evaluate)
    if data.skipped:
        print(f"{counted(len(data.skipped), 'picture')} passed over")
    return cli.status(len(data.skipped), len(data.skipped) + data.count)


def described(part: object) -> str:
    """The fields of a dataclass for people: name value, name value; those without one left out."""
    values = dataclasses.asdict(part).items()
    words = ((k, ",".join(v) if isinstance(v, tuple | list) else v) for k, v in values)
    return ", ".join(f"{k} {v}" for k, v in words if v not in (None, ""))


@contextmanager
def _saying_where(folder: Path, use: str) -> Iterator[None]:
    """Say in the end, and after Ctrl-C, where the model is and what to do next."""
    try:
        yield
    except KeyboardInterrupt:
        _say_where(folder, use)
        print("or the same command again, which goes on with the training", flush=True)
        raise
    _say_where(folder, use)


def _say_where(folder: Path, use: str) -> None:
    if checkpoint.exists(folder):
        print(f"the model is in {folder}", flush=True)
        if use:
            print(f"next: {use} --checkpoint-dir {shlex.quote(str(folder))}", flush=True)


def find_dataset(arguments: argparse.Namespace) -> Path:
    """The folder of the dataset: itself, else as the original does the one of that name in data/.
    Raises ValueError where a folder that flags name is not there; they are looked for before
    TensorFlow is imported, which takes seconds."""
    beside = Path("data") / arguments.dataset
    dataset = Path(arguments.dataset)
    dataset = beside if not dataset.exists() and beside.exists() else dataset
    for path in filter(None, (dataset, arguments.validation)):
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
    for path in (arguments.checkpoint_dir, arguments.sample_dir, arguments.log_dir):
        if Path(path).exists() and not Path(path).is_dir():
            raise ValueError(f"{path}: is a file, not a folder")
    if arguments.init_from and not _resumes(arguments):
        checkpoint.must_exist(arguments.init_from, Path(sys.argv[0]).name)
    return dataset


def _resumes(arguments: argparse.Namespace) -> bool:
    return checkpoint.exists(arguments.checkpoint_dir) and not arguments.no_resume


def _open(arguments, dataset: Path, training: Training, strategy):
    """The data, and what a user should know of it on standard output."""
    from data.pipeline import open_dataset
    from training import devices

    replicas = strategy.num_replicas_in_sync
    if training.batch_size % (replicas * training.parts):
        parts = f", each in {training.parts} parts" if training.parts > 1 else ""
        raise ValueError(
            f"--batch-size is {training.batch_size}, which {replicas} replicas cannot share "
            f"equally{parts}"
        )
    data = open_dataset(
        dataset,
        training.image_size,
        training.channels,
        crop=arguments.crop,
        train_size=arguments.train_size,
        batch_size=training.batch_size * training.batches_per_step,
        seed=training.seed,
        batch_multiple=training.batches_per_step * replicas * training.parts,
        pairs=training.pairs,
        classes=training.classes,
        decode=training.decode,
        views=training.views,
    )
    for path, reason in data.skipped:
        cli.pass_over(f"{path}: {reason}")
    for note in data.notes:
        print(note)
    print(f"devices: {devices.describe(strategy)}")
    steps = counted(data.steps_per_epoch, "step")
    print(f"{counted(data.count, 'image')}, {steps} of {data.batch_size} an epoch")
    return data


def fit_linear(data, mirrored: bool):
    """The linear model of a run's pictures; mirrored: and of their mirror images."""
    from pictures import codecs
    from search import linear

    some = (codecs.to_float(pixels) for pixels in data.some(linear.PICTURES))
    return linear.LinearModel.of_training(some, mirrored)

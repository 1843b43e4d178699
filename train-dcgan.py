#!/usr/bin/env python3
"""Train a DCGAN on a folder of images; run again to resume."""

import argparse
from contextlib import nullcontext
from pathlib import Path

from cli import (
    flag,
    fraction,
    import_tensorflow,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    run,
)


def parser() -> argparse.ArgumentParser:
    from networks.config import D_NORMS, G_NORMS, LOSSES, PRECISIONS, PRESETS, describe_presets
    from training.devices import STRATEGIES

    p = argparse.ArgumentParser(
        description=__doc__,
        epilog=describe_presets(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = p.add_argument_group("data")
    flag(
        data,
        "--dataset",
        default="lfw-aligned-64",
        help="folder of pictures or of shards; also looked for in data/ (default: %(default)s)",
    )
    flag(data, "--train_size", type=positive_int, help="use the first N pictures (default: all)")
    flag(data, "--crop", type=positive_int, help="cut out the centre, N pixels wide, then resize")
    flag(data, "--image_size", type=int, help="side in pixels: 16, 32, 64, 128 or 256")
    flag(data, "--channels", type=int, help="1 (grey) or 3")

    recipe = p.add_argument_group("recipe (flags win over the preset)")
    flag(recipe, "--preset", choices=PRESETS, default="best", help="(default: %(default)s)")
    flag(recipe, "--learning_rate", type=positive_float, help="of Adam, for both networks")
    flag(recipe, "--g-lr", type=positive_float, help="the generator's")
    flag(recipe, "--d-lr", type=positive_float, help="the discriminator's")
    flag(recipe, "--beta1", type=fraction, help="momentum of Adam")
    flag(recipe, "--batch_size", type=positive_int, help="images a step (all devices together)")
    flag(recipe, "--loss", choices=LOSSES)
    flag(recipe, "--d-norm", choices=D_NORMS)
    flag(recipe, "--g-norm", choices=G_NORMS)
    flag(
        recipe, "--r1", type=non_negative_float, help="gamma of the gradient penalty on real images"
    )
    flag(recipe, "--g-steps", type=positive_int, help="generator steps after each step of D's")
    flag(recipe, "--d-steps", type=positive_int, help="discriminator steps, each on its own batch")
    flag(
        recipe,
        "--augment",
        type=_policies,
        help="flip,color,translation,cutout, or none: differentiable augmentation",
    )
    flag(
        recipe,
        "--ema",
        type=non_negative_float,
        help="half-life in images of the averaged generator",
    )
    flag(recipe, "--z-dim", type=positive_int)
    flag(recipe, "--gf-dim", type=positive_int, help="generator filters next to the image")
    flag(recipe, "--df-dim", type=positive_int, help="discriminator filters next to the image")
    flag(recipe, "--precision", choices=PRECISIONS, help="bfloat16 is for GPUs")
    flag(recipe, "--seed", type=non_negative_int, help="decides weights, order and draws")

    course = p.add_argument_group("course")
    flag(
        course, "--epoch", type=non_negative_int, default=25, help="in total (default: %(default)s)"
    )
    flag(course, "--checkpoint_dir", type=Path, default="checkpoint", help="(default: %(default)s)")
    flag(course, "--sample_dir", type=Path, default="samples", help="(default: %(default)s)")
    flag(
        course,
        "--log-dir",
        type=Path,
        default="logs",
        help="for TensorBoard (default: %(default)s)",
    )
    flag(
        course,
        "--sample-every",
        type=positive_int,
        default=100,
        help="steps (default: %(default)s)",
    )
    flag(
        course, "--save-every", type=positive_int, default=500, help="steps (default: %(default)s)"
    )
    flag(
        course,
        "--validation",
        type=Path,
        help="folder of pictures that are not in --dataset, to "
        "measure samples and overfitting by; the best model so far is kept as best/",
    )
    flag(
        course,
        "--eval-every",
        type=positive_int,
        help="steps (default: 500 with --validation, "
        "else never; without it samples are measured by training pictures)",
    )
    flag(course, "--keep", type=positive_int, default=5, help="checkpoints (default: %(default)s)")
    flag(
        course, "--no-resume", action="store_true", help="start anew; what is there is moved aside"
    )
    flag(course, "--init-from", type=Path, help="start from this model's weights (fine-tuning)")
    flag(
        course,
        "--strategy",
        choices=STRATEGIES,
        default="none",
        help="devices: one, all of this machine, or those of TF_CONFIG (default: %(default)s)",
    )
    flag(course, "--dry-run", action="store_true", help="check everything, print the plan, stop")
    return p


def _policies(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(text.split(","))


def main() -> int:
    import_tensorflow()
    arguments = parser().parse_args()
    import tensorflow as tf

    from data.pipeline import open_dataset
    from networks.config import from_flags
    from pictures import codecs
    from search import linear
    from training import checkpoint, devices
    from training.loop import Run, start, train
    from training.watching import watch

    tf.config.experimental.enable_op_determinism()
    strategy = devices.strategy(arguments.strategy)
    config = from_flags(arguments)
    if config.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"--batch-size is {config.batch_size}, which {strategy.num_replicas_in_sync} replicas "
            "cannot share equally"
        )
    course = Run(
        arguments.epoch,
        arguments.checkpoint_dir,
        arguments.sample_dir,
        arguments.log_dir,
        arguments.sample_every,
        arguments.save_every,
        arguments.eval_every or 500,
        arguments.keep,
    )
    data = open_dataset(
        _dataset(arguments.dataset),
        config.image_size,
        config.channels,
        arguments.crop,
        arguments.train_size,
        config.batch_size * config.d_steps,
        config.seed,
        batch_multiple=config.d_steps * strategy.num_replicas_in_sync,
    )
    for note in data.notes:
        print(note)
    print(f"devices: {devices.describe(strategy)}")
    print(f"{data.count:,} images, {data.steps_per_epoch} steps of {data.batch_size} an epoch")
    chief, evaluate = devices.is_chief(strategy), None
    if chief and (arguments.validation or arguments.eval_every):
        evaluate = watch(config, data, arguments.validation, arguments.crop)
    if arguments.dry_run:
        print(config)
        return 0
    lock = checkpoint.locked(course.checkpoint_dir) if chief else nullcontext()
    with lock, devices.watching_workers(strategy), devices.writing(course, strategy) as own:
        model = start(config, data, course, arguments.no_resume, arguments.init_from, strategy)
        if chief and arguments.no_resume and checkpoint.exists(course.checkpoint_dir):
            aside = checkpoint.set_aside(course.checkpoint_dir)
            print(f"moved the earlier checkpoints to {aside}")
        if chief and model.linear is None:
            print("fitting a linear model to the pictures, for completions", flush=True)
            some = (codecs.to_float(pixels) for pixels in data.some(linear.PICTURES))
            model.linear = linear.LinearModel.of_training(some, "flip" in config.augment)
        train(model, data, own, evaluate)
    for path, reason in data.skipped[:10]:
        print(f"skipped {path}: {reason}")
    if data.skipped:
        print(f"{len(data.skipped)} unreadable files skipped")
    return 0


def _dataset(name: str) -> Path:
    """The folder itself, else as the original does: the one of that name in data/."""
    beside = Path("data") / name
    return beside if not Path(name).exists() and beside.exists() else Path(name)


if __name__ == "__main__":
    run(main)

#!/usr/bin/env python3
"""Train networks that make pictures of one kind into such of another and back, without pairs; run
again to resume."""

import argparse
import dataclasses
from functools import cache
from pathlib import Path

import cli
from cli import flag, non_negative_float, non_negative_int, positive_float, positive_int, run
from training import course


def parser() -> argparse.ArgumentParser:
    from translation.cycle_recipe import LOSSES, PRESETS, describe_presets

    p = cli.Parser(
        description=__doc__,
        epilog=describe_presets(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = course.add_data_flags(p, dataset="A")
    flag(data, "--target", type=Path, required=True, help="folder of pictures of the other kind")
    flag(data, "--image_size", type=int, help="side in pixels: 16, 32, 64, 128 or 256")
    flag(data, "--channels", type=int, help="1 (grey) or 3")

    recipe = p.add_argument_group("recipe (flags win over the preset)")
    flag(recipe, "--preset", choices=PRESETS, default="best", help="(default: %(default)s)")
    flag(recipe, "--filters", type=positive_int, help="of the generators next to the picture")
    flag(recipe, "--d-filters", type=positive_int, help="of the discriminators, likewise")
    flag(recipe, "--blocks", type=positive_int, help="of the generators")
    flag(recipe, "--loss", choices=LOSSES)
    flag(recipe, "--cycle", type=non_negative_float, help="weight of there and back")
    flag(
        recipe,
        "--identity",
        type=non_negative_float,
        help="share of that for what shall stay; 0 as DiscoGAN and DualGAN",
    )
    flag(recipe, "--pool", type=non_negative_int, help="pictures that discriminators see again")
    flag(recipe, "--ema", type=non_negative_float, help="half-life of averages, in images")
    flag(recipe, "--learning_rate", type=positive_float, help="of Adam, for all networks")
    flag(recipe, "--g-lr", type=positive_float, help="the generators'")
    flag(recipe, "--d-lr", type=positive_float, help="the discriminators'")
    flag(recipe, "--batch_size", type=positive_int, help="images of each kind a step")
    flag(recipe, "--seed", type=non_negative_int, help="decides weights, order and draws")

    course.add_course_flags(
        p, checkpoint_dir="checkpoint-cyclegan", log_dir="logs/cyclegan", epochs=25
    )
    return p


def main() -> int:
    arguments = parser().parse_args()
    from translation.cycle_recipe import from_flags

    config, recipe = from_flags(arguments)
    if not arguments.target.exists():
        raise ValueError(f"{arguments.target}: no such file or folder")

    @cache
    def target():
        from data.pipeline import open_dataset

        size, channels = config.image_size, config.channels
        data = open_dataset(arguments.target, size, channels, crop=arguments.crop, batch_size=1)
        for path, reason in data.skipped:
            cli.pass_over(f"{path}: {reason}")
        return data

    def build(batch_size, strategy):
        from translation.cyclegan import CycleGAN

        return CycleGAN(config, dataclasses.replace(recipe, batch_size=batch_size), strategy)

    def pairs(pictures, numbers):
        from data.paired import any_with_any

        return any_with_any(pictures, numbers, target(), recipe.seed)

    def watch(data, validation, crop):
        from measuring.watching import watch_translations

        return watch_translations(config, data, target(), validation, crop)

    training = course.Training(
        image_size=config.image_size,
        channels=config.channels,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        build=build,
        watch=watch,
        pairs=pairs,
        linear=False,
        use="./translate.py PICTURES --direction A-B",
    )
    return course.follow(arguments, training, plan={"networks": config, "recipe": recipe})


if __name__ == "__main__":
    run(main)

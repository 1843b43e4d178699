#!/usr/bin/env python3
"""Train a network that completes or mends pictures in one pass; run again to resume."""

import argparse
import dataclasses
from pathlib import Path

from cli import (
    Parser,
    flag,
    import_tensorflow,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    run,
)
from training import course


def parser() -> argparse.ArgumentParser:
    from networks.unet_config import GUIDES, KINDS
    from translation.recipe import LOSSES, PRESETS, describe_presets

    p = Parser(
        description=__doc__,
        epilog=describe_presets(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = course.add_data_flags(p, dataset="lfw-aligned-64")
    flag(data, "--image_size", type=int, help="side in pixels: 16, 32, 64, 128 or 256")
    flag(data, "--channels", type=int, help="1 (grey) or 3")
    _add_damage(data)

    recipe = p.add_argument_group("recipe (flags win over the preset)")
    flag(recipe, "--preset", choices=PRESETS, default="best", help="(default: %(default)s)")
    flag(
        recipe,
        "--network",
        choices=KINDS,
        help="a U-Net, this refined at twice the size, residual blocks, or the paper's U-Net",
    )
    flag(recipe, "--guide", choices=GUIDES, help="what fills the hole before the network does")
    flag(recipe, "--filters", type=positive_int, help="of the generator next to the picture")
    flag(recipe, "--d-filters", type=positive_int, help="of the discriminator, likewise")
    flag(recipe, "--components", type=positive_int, help="of the linear guide")
    flag(recipe, "--blocks", type=positive_int, help="of resnet")
    flag(recipe, "--loss", choices=LOSSES)
    flag(recipe, "--l1", type=non_negative_float, help="weight of the distance to the truth")
    flag(recipe, "--known", type=non_negative_float, help="weight of known pixels in that")
    flag(recipe, "--adversarial", type=non_negative_float, help="weight of the generator's loss")
    flag(recipe, "--adversarial-from", type=non_negative_int, help="step; before, l1 alone")
    flag(recipe, "--feature-matching", type=non_negative_float, help="weight, in D's features")
    flag(
        recipe,
        "--perceptual",
        type=non_negative_float,
        help="weight, in ImageNet features, which need requirements-features.txt",
    )
    flag(recipe, "--r1", type=non_negative_float, help="gamma of D's gradient penalty")
    flag(recipe, "--smooth", type=non_negative_float, help="share trained for --fidelity 1")
    flag(recipe, "--ema", type=non_negative_float, help="half-life of the average, in images")
    flag(
        recipe,
        "--freeze",
        type=non_negative_int,
        help="layers at 1 / 2^FREEZE of the size and below keep what --init-from has (0: none)",
    )
    flag(recipe, "--learning_rate", type=positive_float, help="of Adam, for both networks")
    flag(recipe, "--g-lr", type=positive_float, help="the generator's")
    flag(recipe, "--d-lr", type=positive_float, help="the discriminator's")
    flag(recipe, "--batch_size", type=positive_int, help="images a step (all devices together)")
    flag(recipe, "--prior", help="folder of a DCGAN, relative to the model's, for --method search")
    flag(recipe, "--seed", type=non_negative_int, help="decides weights, order and draws")

    course.add_course_flags(
        p, checkpoint_dir="checkpoint-pix2pix", log_dir="logs/pix2pix", epochs=25
    )
    return p


def _add_damage(data) -> None:
    from pictures.damage import CHOICES

    damage = data.add_mutually_exclusive_group()
    flag(
        damage,
        "--damage",
        metavar="NAME",
        help=f"what is learned to be undone: {', '.join(CHOICES)}, or several joined by + (hole)",
    )
    flag(
        damage,
        "--pairs",
        type=Path,
        help="instead of --dataset: folder of ready pairs, damaged and whole, either side by side "
        "in one file or of one name in its folders A and B",
    )


def main() -> int:
    arguments = parser().parse_args()
    from pictures.damage import PAIRS
    from translation.recipe import from_flags

    if arguments.pairs:
        arguments.dataset, arguments.damage = arguments.pairs, PAIRS
        if arguments.validation or arguments.eval_every:
            raise ValueError("--validation and --eval-every draw the damage, not so with --pairs")
    elif arguments.damage == PAIRS:
        raise ValueError(f"--damage {PAIRS} takes a folder of them: --pairs DIR")
    config, recipe = from_flags(arguments)
    if config.network == "refined" and not arguments.init_from:
        raise ValueError(
            "--network refined begins with a network of half the size; name one with --init-from"
        )
    if recipe.freeze and not (arguments.init_from and config.network == "residual"):
        raise ValueError(
            f"--freeze {recipe.freeze} keeps layers of another U-Net; name one with --init-from"
        )

    def build(batch_size, strategy):
        from translation.pix2pix import Pix2Pix

        model = Pix2Pix(config, dataclasses.replace(recipe, batch_size=batch_size), strategy)
        model.ready_to_train()  # what is missing is said before anything is written
        return model

    def pairs(pictures, numbers):
        from pictures.damage import make_pairs

        return make_pairs(pictures, numbers, recipe.seed, config.damage)

    def watch(data, validation, crop):
        from measuring.watching import watch_completions

        return watch_completions(config, data, validation, crop)

    training = course.Training(
        image_size=config.image_size,
        channels=config.channels,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        build=build,
        watch=watch,
        pairs=pairs,
        mirrored=True,
        use="./complete.py PICTURES" if config.damage == "hole" else "./translate.py PICTURES",
    )
    if arguments.pairs:
        training = dataclasses.replace(training, **_paired(arguments))
    return course.follow(arguments, training, plan={"networks": config, "recipe": recipe})


def _paired(arguments: argparse.Namespace) -> dict:
    """What reads ready pairs; it also says where their pictures are."""
    if not arguments.pairs.is_dir():
        raise ValueError(f"{arguments.pairs}: no such folder")
    import_tensorflow()
    from data import paired

    arguments.dataset, decode = paired.reader(arguments.pairs)
    return {"decode": decode, "views": 2}


if __name__ == "__main__":
    run(main)

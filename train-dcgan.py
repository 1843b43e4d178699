#!/usr/bin/env python3
"""Train a DCGAN on a folder of images; run again to resume."""

import argparse
import dataclasses

from cli import (
    Parser,
    decay,
    flag,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    run,
)
from training import course

WELL_EXPLAINED = 0.9  # of aligned faces .96 is, by 200 components; of textures, .8


def parser() -> argparse.ArgumentParser:
    from networks.config import ARCHITECTURES, CONDITIONS, D_NORMS, G_NORMS, PRECISIONS
    from training.recipe import LOSSES, PRESETS, describe_presets

    p = Parser(
        description=__doc__,
        epilog=describe_presets(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = course.add_data_flags(p, dataset="lfw-aligned-64")
    flag(data, "--image_size", type=int, help="side in pixels: 16, 32, 64, 128 or 256")
    flag(data, "--channels", type=int, help="1 (grey) or 3")
    flag(
        data,
        "--classes",
        nargs="?",
        const="",
        metavar="CSV",
        help="pictures have classes: the sub-folders they lie in, or those of lines name,class",
    )

    recipe = p.add_argument_group("recipe (flags win over the preset)")
    flag(recipe, "--preset", choices=PRESETS, default="best", help="(default: %(default)s)")
    flag(recipe, "--architecture", choices=ARCHITECTURES, help="style: a style-based generator")
    flag(recipe, "--learning_rate", type=positive_float, help="of Adam, for both networks")
    flag(recipe, "--g-lr", type=positive_float, help="the generator's")
    flag(recipe, "--d-lr", type=positive_float, help="the discriminator's")
    flag(recipe, "--beta1", type=decay, help="momentum of Adam")
    flag(recipe, "--batch_size", type=positive_int, help="images a step (all devices together)")
    flag(
        recipe,
        "--accumulate",
        type=positive_int,
        help="parts in which a batch is computed: large batches in little memory",
    )
    flag(recipe, "--loss", choices=LOSSES)
    flag(recipe, "--d-norm", choices=D_NORMS)
    flag(recipe, "--g-norm", choices=G_NORMS)
    flag(
        recipe, "--r1", type=non_negative_float, help="gamma of the gradient penalty on real images"
    )
    flag(recipe, "--r1-every", type=positive_int, help="steps from one penalty to the next")
    flag(
        recipe,
        "--anchor",
        type=non_negative_float,
        help="weight of showing training pictures from their own z's, by a linear model",
    )
    flag(
        recipe,
        "--perceptual",
        type=non_negative_float,
        help="with --anchor: weight of ImageNet features in that (requirements-features.txt)",
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
    flag(
        recipe,
        "--attention",
        type=non_negative_int,
        metavar="SIDE",
        help="self-attention in both networks where maps have this side in pixels, 32 for example",
    )
    flag(
        recipe,
        "--condition",
        choices=CONDITIONS[1:],
        help="with --classes: joined to z and to the image, or by norms and projection (norm)",
    )
    flag(
        recipe,
        "--coupled",
        type=positive_int,
        metavar="N",
        help="instead of --condition: the last N layers of the generator and the first N of the "
        "discriminator are each class's own",
    )
    flag(recipe, "--precision", choices=PRECISIONS, help="bfloat16 is for GPUs")
    flag(recipe, "--seed", type=non_negative_int, help="decides weights, order and draws")

    course.add_course_flags(p, checkpoint_dir="checkpoint", log_dir="logs/dcgan", epochs=25)
    return p


def _policies(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(text.split(","))


def main() -> int:
    arguments = parser().parse_args()
    from data import classes
    from training.recipe import from_flags

    known = None
    if arguments.classes is not None:
        known = classes.read(course.find_dataset(arguments), arguments.classes or None)
        arguments.classes = known.names
    config, recipe = from_flags(arguments)

    def build(batch_size, strategy):
        from model import DCGAN

        model = DCGAN(config, dataclasses.replace(recipe, batch_size=batch_size), strategy)
        model.ready_to_train()  # what is missing is said before anything is written
        return model

    def watch(data, validation, crop):
        from measuring.watching import watch

        return watch(config, data, validation, crop)

    def remark(linear):
        share = linear.explained(config.z_dim)
        if not recipe.anchor or len(linear.variances) < config.z_dim or share > WELL_EXPLAINED:
            return ""
        return (
            f"{config.z_dim} linear components explain {share:.0%} of these pictures (of aligned "
            "faces 200 explain 96%): if what they show has no fixed places, --preset unaligned "
            "suits better"
        )

    training = course.Training(
        image_size=config.image_size,
        channels=config.channels,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        build=build,
        watch=watch,
        batches_per_step=recipe.d_steps,
        parts=recipe.accumulate,
        classes=known,
        mirrored="flip" in recipe.augment,
        remark=remark,
        use="./complete.py PICTURES",
    )
    return course.follow(arguments, training, plan={"networks": config, "recipe": recipe})


if __name__ == "__main__":
    run(main)

#!/usr/bin/env python3
"""Train a network that paints pictures in the style of others, in one pass; run again to resume."""

import argparse
import dataclasses
from pathlib import Path

import cli
from cli import flag, non_negative_int, positive_float, positive_int
from training import course


def parser() -> argparse.ArgumentParser:
    from networks.style_config import NETWORKS, NORMS
    from translation.style_recipe import add_objective_flags

    p = cli.Parser(description=__doc__)
    data = course.add_data_flags(p, dataset="photographs")
    flag(data, "--image_size", type=int, help="of training: 16, 32, 64, 128, 256 or 512 pixels")
    flag(
        data,
        "--style",
        nargs="+",
        type=Path,
        required=True,
        help="pictures, or folders of them, whose styles are learned",
    )
    network = p.add_argument_group("network")
    flag(
        network,
        "--network",
        choices=NETWORKS,
        help="transformation: knows the styles given here; adain: any style, also later ones",
    )
    flag(network, "--norm", choices=NORMS, help="batch: for one style (instance)")
    flag(network, "--filters", type=positive_int, help="next to the picture")
    flag(network, "--residual", type=positive_int, help="blocks of the transformation network")
    flag(network, "--encoder-blocks", nargs="+", metavar="BLOCK", help="that adain decodes")
    add_objective_flags(p)
    recipe = p.add_argument_group("recipe")
    flag(recipe, "--learning_rate", type=positive_float, help="of Adam")
    flag(recipe, "--batch_size", type=positive_int, help="images a step (all devices together)")
    flag(recipe, "--seed", type=non_negative_int, help="decides weights, order and draws")
    course.add_course_flags(p, checkpoint_dir="checkpoint-style", log_dir="logs/style", epochs=2)
    return p


def main() -> int:
    arguments = parser().parse_args()
    from networks.config import pick
    from networks.extractors import must_be_there
    from networks.style_config import StyleConfig
    from training.recipe import given
    from translation.style_recipe import StyleRecipe, read_styles

    config = StyleConfig(**pick(StyleConfig, given(arguments)))
    recipe = StyleRecipe(**pick(StyleRecipe, given(arguments)))
    must_be_there(recipe.extractor)
    names, styles = read_styles(arguments.style, recipe.style_size)
    if config.network == "transformation":
        config = dataclasses.replace(config, styles=names)
    elif recipe.style_size < config.image_size:
        raise ValueError(
            f"--style-size is {recipe.style_size}, smaller than --image-size {config.image_size}, "
            "whose parts of styles adain is trained by"
        )

    def build(batch_size, strategy):
        from translation.style_transfer import StyleTransfer

        sized = dataclasses.replace(recipe, batch_size=batch_size)
        model = StyleTransfer(config, sized, strategy, styles)
        model.ready_to_train()  # what is missing is said before anything is written
        return model

    def pairs(pictures, numbers):
        from translation.style_transfer import make_batch

        return make_batch(config, recipe.seed, styles, pictures, numbers)

    def watch(data, validation, crop):
        from measuring.watching import watch_styles

        return watch_styles(config, pairs, data, validation, crop)

    training = course.Training(
        image_size=config.image_size,
        channels=3,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        build=build,
        watch=watch,
        pairs=pairs,
        linear=False,
        use="./stylize.py PICTURES",
    )
    return course.follow(arguments, training, plan={"network": config, "recipe": recipe})


if __name__ == "__main__":
    cli.run(main)

"""Tiny one-pass models, and the pairs that they are trained on."""

from functools import cache

import numpy as np

from data.drawn import drawn_faces
from pictures import codecs
from pictures.damage import make_pairs
from search.linear import LinearModel
from translation.pix2pix import Pix2Pix
from translation.recipe import PRESETS, both

TINY = {
    "image_size": 16,
    "filters": 2,
    "d_filters": 2,
    "components": 8,
    "batch_size": 8,
    "adversarial_from": 0,
}
ORIGINAL = PRESETS["original"] | {"image_size": 16, "filters": 2, "batch_size": 2}


def pix2pix(**values) -> Pix2Pix:
    """A model of few filters; its linear model, where it has one, is of drawn faces."""
    config, recipe = both(TINY | values)
    model = Pix2Pix(config, recipe)
    if config.guide == "linear":
        model.state.learn(linear_model(config.image_size, config.channels))
    return model


@cache
def linear_model(size: int, channels: int) -> LinearModel:
    faces = codecs.to_float(drawn_faces(60, size))[..., :channels]
    return LinearModel.of_training([faces], mirrored=True)


def shaken(model: Pix2Pix, seed: int = 0) -> Pix2Pix:
    """With weights in place of those that start at zero, as a trained model has."""
    rng = np.random.default_rng(seed)
    for network in filter(None, (model.generator, model.average)):
        for variable in network.trainable_variables:
            noise = rng.normal(0, 0.1, variable.shape)
            variable.assign(variable + noise.astype(np.float32))
    model.state.changed()
    return model


@cache
def _faces(count: int, size: int) -> np.ndarray:
    return drawn_faces(count, size, seed=7)


def pairs(model: Pix2Pix, number: int = 0) -> tuple[np.ndarray, ...]:
    """A batch, as the data would give it at a step."""
    config, count = model.config, model.recipe.batch_size
    pictures = codecs.to_float(_faces(count, config.image_size))
    numbers = number * count + np.arange(count)
    pictures = pictures[..., : config.channels]
    return make_pairs(pictures, numbers, model.recipe.seed, config.damage)

"""Every recipe takes two finite steps: each pair of choices, and under `slow` every combination."""

from itertools import combinations, product

import numpy as np
import pytest
import tensorflow as tf

from model import DCGAN
from networks.config import D_NORMS, G_NORMS
from search.linear import LinearModel
from training.recipe import LOSSES, PRESETS, both

CHOICES = {
    "loss": LOSSES,
    "d_norm": D_NORMS,
    "g_norm": G_NORMS,
    "attention": (0, 8),
    "image_size": (16, 64),
    "channels": (1, 3),
}


def refused(recipe: dict) -> bool:
    return recipe["loss"] == "wgan-gp" and recipe["d_norm"] in ("batch", "spectral")


EVERY = [
    recipe
    for values in product(*CHOICES.values())
    if not refused(recipe := dict(zip(CHOICES, values, strict=True)))
]


def pairs_of(recipe: dict) -> set:
    return set(combinations(recipe.items(), 2))


def pairwise() -> list[dict]:
    """Few recipes that hold every pair of choices: always the one with most pairs still missing."""
    missing = set().union(*map(pairs_of, EVERY))
    chosen = []
    while missing:
        chosen.append(max(EVERY, key=lambda recipe: len(pairs_of(recipe) & missing)))
        missing -= pairs_of(chosen[-1])
    return chosen


def name(recipe: dict) -> str:
    return "-".join(map(str, recipe.values()))


def assert_takes_two_finite_steps(**recipe):
    values = {"gf_dim": 2, "df_dim": 2, "z_dim": 4, "batch_size": 3} | recipe
    model = DCGAN(*both(values))
    config = model.config
    before = model.weights()
    shape = (model.recipe.d_steps * 3, config.image_size, config.image_size, config.channels)
    real = tf.random.stateless_uniform(shape, (1, 2), -1, 1)
    if model.recipe.anchor:
        noise = np.random.default_rng(0).uniform(-1, 1, (40, *shape[1:]))
        model.state.learn(LinearModel.of_training([noise], mirrored=False))
    for step in range(2):
        measured = model.train_step(real, tf.constant(step))
        for key, value in measured.items():
            assert np.isfinite(value).all(), key
    after = model.weights()
    faint = "none" in (config.g_norm, config.d_norm)  # features near 0 are what attention sees
    for key, value in after.items():
        assert np.isfinite(value).all(), key
        if key.endswith("/kernel") and not (faint and "attention_" in key):
            assert (value != before[key]).any(), key
    assert model.sample(2).shape == (2, *shape[1:])


@pytest.fixture(autouse=True)
def eagerly():
    """Without tf.function: tracing costs more than two steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_the_matrix_holds_every_pair():
    chosen = pairwise()
    assert set().union(*map(pairs_of, chosen)) == set().union(*map(pairs_of, EVERY))
    assert len(chosen) <= 18
    assert len(EVERY) == (len(LOSSES) * len(D_NORMS) - 2) * len(G_NORMS) * 2 * 2 * 2


@pytest.mark.parametrize("recipe", pairwise(), ids=name)
def test_every_pair_of_choices(recipe):
    assert_takes_two_finite_steps(**recipe)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", EVERY, ids=name)
def test_every_combination(recipe):
    assert_takes_two_finite_steps(
        **recipe, augment=("flip", "color", "translation", "cutout"), ema=20.0, d_steps=2, r1=0.5
    )


@pytest.mark.slow
@pytest.mark.parametrize("recipe", pairwise(), ids=name)
def test_every_pair_of_choices_in_one_traced_step(recipe):
    tf.config.run_functions_eagerly(False)
    assert_takes_two_finite_steps(**recipe)


@pytest.mark.parametrize(
    "recipe",
    [
        r
        for r in (dict(zip(CHOICES, values, strict=True)) for values in product(*CHOICES.values()))
        if refused(r) and (r["image_size"], r["channels"], r["attention"]) == (16, 1, 0)
    ],
    ids=name,
)
def test_what_does_not_go_together_is_refused(recipe):
    with pytest.raises(ValueError, match="with loss wgan-gp, whose penalty"):
        DCGAN(*both(recipe))


@pytest.mark.parametrize(
    "extra",
    [
        {"r1": 1.0},
        {
            "augment": ("flip", "color", "translation", "cutout"),
            "ema": 20.0,
            "d_steps": 2,
            "g_steps": 1,
        },
        {"loss": "wgan-gp", "d_norm": "layer", "d_steps": 2, "augment": ("color",)},
        {"precision": "bfloat16", "d_norm": "spectral"},
    ],
    ids=["r1", "everything", "wgan-gp", "bfloat16"],
)
def test_what_comes_on_top(extra):
    assert_takes_two_finite_steps(image_size=16, **extra)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset):
    assert_takes_two_finite_steps(image_size=16, **PRESETS[preset] | {"batch_size": 3})

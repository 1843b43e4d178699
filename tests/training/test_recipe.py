"""The recipe: checked, saved and read back beside the configuration; presets and flags."""

import dataclasses
import json
import re
import runpy
from argparse import Namespace
from pathlib import Path

import pytest

from networks.config import Config
from training.recipe import PRESETS, Recipe, both, describe_presets, from_flags

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": "ragan"}, "loss is 'ragan'; choose from gan, hinge, wgan-gp, lsgan"),
        ({"accumulate": 5}, "accumulate is 5, into which batch_size 64 cannot be divided equally"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"g_steps": -1}, "g_steps is -1; it must be at least 1"),
        ({"augment": ("flip", "zoom", "blur")}, "augment is blur, zoom; choose from flip, color, "),
    ],
)
def test_what_is_wrong_is_refused_with_the_value_and_the_choices(wrong, message):
    with pytest.raises(ValueError) as error:
        Recipe(**wrong)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_recipe_that_does_not_suit_the_networks_is_refused():
    for d_norm in ("batch", "spectral"):
        with pytest.raises(ValueError, match=f"d_norm is '{d_norm}' with loss wgan-gp"):
            Recipe(loss="wgan-gp").must_suit(Config(d_norm=d_norm))
    Recipe(loss="wgan-gp").must_suit(Config(d_norm="layer"))


def test_the_original_recipe_is_the_default():
    config, recipe = both({})
    assert (recipe.g_lr, recipe.d_lr, recipe.beta1, recipe.batch_size) == (2e-4, 2e-4, 0.5, 64)
    assert (recipe.loss, config.g_norm, config.d_norm) == ("gan", "batch", "batch")
    assert (recipe.g_steps, recipe.d_steps, config.z_dim) == (2, 1, 100)
    assert (recipe.r1, recipe.augment, recipe.ema) == (0, (), 0)
    assert both(PRESETS["original"]) == (config, recipe)


def test_json_and_back():
    parts = Config(g_widths=(5, 4, 3, 2)), Recipe(augment=("flip", "color"), ema=1000.0)
    together = dataclasses.asdict(parts[0]) | dataclasses.asdict(parts[1])
    assert both(json.loads(json.dumps(together))) == parts
    assert both({"image_size": 32, "ema": 3.0, "unheard_of": 1}) == (Config(32), Recipe(ema=3.0))


def flags(**given) -> Namespace:
    fields = dataclasses.fields(Config) + dataclasses.fields(Recipe)
    nothing = {field.name: None for field in fields}
    return Namespace(**(nothing | {"preset": "original", "learning_rate": None} | given))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_it_says(preset):
    assert from_flags(flags(preset=preset)) == both(PRESETS[preset])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_flag_given_by_hand_wins_over_the_preset(preset):
    given = flags(preset=preset, g_steps=7, augment=(), ema=0.0, seed=0, image_size=32)
    config, recipe = from_flags(given)
    assert (recipe.g_steps, recipe.augment, recipe.ema, recipe.seed) == (7, (), 0, 0)
    assert config.image_size == 32


def test_a_style_based_network_has_a_recipe_of_its_own():
    config, recipe = from_flags(flags(preset="best", architecture="style", gf_dim=8))
    assert (config.g_norm, config.d_norm, config.gf_dim) == ("none", "none", 8)
    assert (recipe.r1_every, recipe.g_steps, recipe.batch_size) == (16, 1, 32)
    with pytest.raises(ValueError, match="g_norm is 'batch' with architecture style"):
        from_flags(flags(architecture="style", g_norm="batch"))


def test_classes_are_learned_by_norms_unless_told_otherwise():
    for more, way in (({}, ("norm", 0)), ({"coupled": 2}, ("none", 2))):
        config, _ = from_flags(flags(classes=("a", "b"), **more))
        assert (config.condition, config.coupled) == way


def test_learning_rate_sets_both_and_each_one_wins_over_it():
    _, both_rates = from_flags(flags(learning_rate=0.01))
    assert (both_rates.g_lr, both_rates.d_lr) == (0.01, 0.01)
    _, one = from_flags(flags(learning_rate=0.01, d_lr=0.02))
    assert (one.g_lr, one.d_lr) == (0.01, 0.02)


def test_the_flags_of_the_family_are_flags():
    """Those of docs/gan-family.md, row by row, go together."""
    parser = runpy.run_path(str(ROOT / "train-dcgan.py"))["parser"]()
    rows = re.findall(r"^\|[^|]+\| `(--[^`]+)`", (ROOT / "docs/gan-family.md").read_text(), re.M)
    assert len(rows) >= 10
    for row in rows:
        arguments = parser.parse_args(row.split())
        if arguments.classes is not None:
            arguments.classes = ("a", "b")
        config, recipe = from_flags(arguments)
        assert bool(config.classes) == ("--classes" in row)


def test_help_describes_every_preset():
    *lines, style = describe_presets().splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == list(PRESETS)
    assert style.startswith("--architecture style changes of any: g_norm none, d_norm none")
    assert "loss gan, g_norm batch, d_norm batch, g_lr 0.0002" in lines[1]

"""The configuration: checked, saved and read back; presets and flags."""

import dataclasses
import json
from argparse import Namespace

import pytest

from networks.config import PRESETS, Config, describe_presets, from_flags


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_size": 48}, "image_size is 48; choose from 16, 32, 64, 128, 256"),
        ({"image_size": 512}, "image_size is 512; choose from 16, 32, 64, 128, 256"),
        ({"image_size": 0}, "image_size is 0; choose from 16, 32, 64, 128, 256"),
        ({"channels": 4}, "channels is 4; choose from 1, 3"),
        ({"loss": "lsgan"}, "loss is 'lsgan'; choose from gan, hinge, wgan-gp"),
        ({"g_norm": "layer"}, "g_norm is 'layer'; choose from batch, none"),
        ({"d_norm": "group"}, "d_norm is 'group'; choose from batch, none, layer, spectral"),
        ({"precision": "float16"}, "precision is 'float16'; choose from float32, bfloat16"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"g_steps": -1}, "g_steps is -1; it must be at least 1"),
        ({"z_dim": 0}, "z_dim is 0; it must be at least 1"),
        ({"augment": ("flip", "zoom", "blur")}, "augment is blur, zoom; choose from flip, color, "),
        ({"loss": "wgan-gp"}, "d_norm is 'batch' with loss wgan-gp"),
        ({"loss": "wgan-gp", "d_norm": "spectral"}, "d_norm is 'spectral' with loss wgan-gp"),
    ],
)
def test_what_is_wrong_is_refused_with_the_value_and_the_choices(wrong, message):
    with pytest.raises(ValueError) as error:
        Config(**wrong)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_the_original_recipe_is_the_default():
    config = Config()
    assert (config.g_lr, config.d_lr, config.beta1, config.batch_size) == (2e-4, 2e-4, 0.5, 64)
    assert (config.loss, config.g_norm, config.d_norm) == ("gan", "batch", "batch")
    assert (config.g_steps, config.d_steps, config.z_dim) == (2, 1, 100)
    assert (config.r1, config.augment, config.ema) == (0, (), 0)
    assert Config(**PRESETS["original"]) == config


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (16, (64, 128)),
        (32, (64, 128, 256)),
        (64, (64, 128, 256, 512)),
        (128, (64, 128, 256, 512, 512)),
        (256, (64, 128, 256, 512, 512, 512)),
    ],
)
def test_widths_at_every_size(size, widths):
    config = Config(image_size=size)
    assert config.discriminator_widths == widths
    assert config.generator_widths == widths[::-1]


def test_json_and_back():
    config = Config(augment=("flip", "color"), g_widths=(5, 4, 3, 2), ema=1000.0, image_size=64)
    stored = json.loads(json.dumps(dataclasses.asdict(config)))
    assert Config.from_dict(stored) == config
    assert Config.from_dict({"image_size": 32, "unheard_of": 1}) == Config(image_size=32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_size": 32}, "image_size is 32, here it is 64"),
        ({"channels": 1}, "channels is 1, here it is 3"),
        ({"z_dim": 8}, "z_dim is 8, here it is 100"),
        ({"d_norm": "layer"}, "d_norm is layer, here it is batch"),
        ({"gf_dim": 32}, "gf_dim gives widths (256, 128, 64, 32), here (512, 256, 128, 64)"),
        ({"df_dim": 32}, "df_dim gives widths (32, 64, 128, 256), here (64, 128, 256, 512)"),
    ],
)
def test_the_first_difference_between_networks_is_named(change, words):
    assert Config(**change).difference(Config()) == words


def test_recipes_do_not_make_networks_differ():
    other = Config(g_lr=1.0, batch_size=1, seed=5, ema=10.0, loss="hinge", augment=("flip",))
    assert Config().difference(other) is None
    assert Config(g_widths=(512, 256, 128, 64)).difference(Config()) is None


def flags(**given) -> Namespace:
    nothing = {field.name: None for field in dataclasses.fields(Config)}
    return Namespace(**(nothing | {"preset": "original", "learning_rate": None} | given))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_it_says(preset):
    assert from_flags(flags(preset=preset)) == Config(**PRESETS[preset])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_flag_given_by_hand_wins_over_the_preset(preset):
    config = from_flags(flags(preset=preset, g_steps=7, augment=(), ema=0.0, seed=0))
    assert (config.g_steps, config.augment, config.ema, config.seed) == (7, (), 0, 0)


def test_learning_rate_sets_both_and_each_one_wins_over_it():
    both = from_flags(flags(learning_rate=0.01))
    assert (both.g_lr, both.d_lr) == (0.01, 0.01)
    one = from_flags(flags(learning_rate=0.01, d_lr=0.02))
    assert (one.g_lr, one.d_lr) == (0.01, 0.02)


def test_help_describes_every_preset():
    lines = describe_presets().splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == list(PRESETS)
    assert "loss gan, g_norm batch, d_norm batch, g_lr 0.0002" in lines[1]

"""The configuration of the networks: checked, saved and read back."""

import dataclasses
import json

import pytest

from networks.config import Config


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_size": 48}, "image_size is 48; choose from 16, 32, 64, 128, 256"),
        ({"image_size": 512}, "image_size is 512; choose from 16, 32, 64, 128, 256"),
        ({"image_size": 0}, "image_size is 0; choose from 16, 32, 64, 128, 256"),
        ({"channels": 4}, "channels is 4; choose from 1, 3"),
        ({"g_norm": "layer"}, "g_norm is 'layer'; choose from batch, none, spectral"),
        ({"attention": 64}, "attention is 64; choose from 0, 8, 16, 32"),
        ({"d_norm": "group"}, "d_norm is 'group'; choose from batch, none, layer, spectral"),
        ({"precision": "float16"}, "precision is 'float16'; choose from float32, bfloat16"),
        ({"architecture": "vae"}, "architecture is 'vae'; choose from dcgan, style"),
        ({"architecture": "style"}, "g_norm is 'batch' with architecture style, which has its own"),
        ({"classes": ("a", "a"), "coupled": 1}, "classes are a, a; there must be two, or more"),
        (
            {"classes": ("a", "b")},
            "condition is 'none' and coupled 0; of classes the networks learn",
        ),
        ({"coupled": 1}, "condition and coupled are about classes; there are none"),
        ({"classes": ("a", "b"), "coupled": 4}, "coupled is 4; choose from 0, 1, 2, 3"),
        ({"z_dim": 0}, "z_dim is 0; it must be at least 1"),
    ],
)
def test_what_is_wrong_is_refused_with_the_value_and_the_choices(wrong, message):
    with pytest.raises(ValueError) as error:
        Config(**wrong)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


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
    config = Config(g_widths=(5, 4, 3, 2), image_size=64)
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
        ({"attention": 32}, "attention is 32, here it is 0"),
        ({"gf_dim": 32}, "gf_dim gives widths (256, 128, 64, 32), here (512, 256, 128, 64)"),
        ({"df_dim": 32}, "df_dim gives widths (32, 64, 128, 256), here (64, 128, 256, 512)"),
    ],
)
def test_the_first_difference_between_networks_is_named(change, words):
    assert Config(**change).difference(Config()) == words


def test_widths_are_compared_wherever_they_come_from():
    assert Config(g_widths=(512, 256, 128, 64)).difference(Config()) is None

"""Networks that build upon another, refining it or with layers of it frozen, and their folders."""

import shutil

import numpy as np
import pytest
from one_pass import TINY, pairs, pix2pix, shaken

from completion import restore
from data.drawn import drawn_faces
from networks.unet_config import UNetConfig
from pictures import codecs, masks
from training import checkpoint
from translation.pix2pix import Pix2Pix
from translation.recipe import both

REFINED = {"network": "refined", "image_size": 64, "batch_size": 4}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of a network, and of one that begins with it and names it."""
    folder = tmp_path_factory.mktemp("models")
    small = shaken(pix2pix(image_size=32))
    small.state.save(folder / "small", half=True)
    refined = Pix2Pix(*both(TINY | REFINED))
    refined.state.init_from(folder / "small")
    _shake_what_trains(refined)
    refined.state.save(folder / "refined", base="../small")
    return folder


def _shake_what_trains(model: Pix2Pix) -> None:
    rng = np.random.default_rng(2)
    for network in (model.generator, model.average, model.discriminator):
        for variable in network.trainable_variables:
            noise = rng.normal(0, 0.1, variable.shape)
            variable.assign(variable + noise.astype(np.float32))
    model.state.changed()


def faces(size: int) -> tuple[np.ndarray, np.ndarray]:
    kinds = ("center", "left", "strokes", "pattern")
    holes = np.stack([masks.make(kinds[i % 4], (size, size), seed=i) for i in range(6)])
    return codecs.to_float(drawn_faces(6, size)), holes


def complete(model: Pix2Pix, pictures, holes, **more) -> np.ndarray:
    return model.complete(pictures, holes, fidelity=0.0, width=len(pictures), **more)


def test_untrained_it_enlarges_what_the_smaller_network_makes(tmp_path):
    small = shaken(pix2pix(image_size=32))
    small.state.save(tmp_path / "small")
    refined = pix2pix(**REFINED)
    refined.state.init_from(tmp_path / "small")
    pictures, holes = faces(32)
    large = [np.repeat(np.repeat(part, 2, axis=1), 2, axis=2) for part in (pictures, holes)]
    made = complete(refined, *large)
    np.testing.assert_allclose(np.where(large[1] > 0, made, 0), large[0] * large[1], atol=1e-6)
    means = made.reshape(6, 32, 2, 32, 2, 3).mean((2, 4))
    wanted = complete(small, pictures, holes)
    inside = np.broadcast_to(holes == 0, wanted.shape)
    apart = np.abs(means - wanted)[inside]
    # Enlarging smooths a little; what it enlarges varies by far more.
    assert apart.mean() < 0.2 * np.abs(wanted - wanted.mean((1, 2), keepdims=True))[inside].mean()


def test_the_smaller_network_stays_as_it_is():
    model = pix2pix(**REFINED)
    before = {v.path: np.array(v) for v in model.generator.weights}
    model.step(pairs(model), 0)
    changed = {v.path for v in model.generator.weights if not np.array_equal(v, before[v.path])}
    assert changed and all(path.startswith("refine_") for path in changed)


def test_hidden_pixels_companions_and_position_change_no_bit(folders):
    model = Pix2Pix.restore(folders / "refined")
    pictures, holes = faces(64)
    made = complete(model, pictures, holes)
    hidden = np.where(holes > 0, pictures, np.nan).astype(np.float32)
    np.testing.assert_array_equal(complete(model, hidden, holes), made)
    order = [5, 0, 3, 2, 2, 1]
    np.testing.assert_array_equal(complete(model, pictures[order], holes[order]), made[order])
    hinted = complete(model, pictures, holes, hints=pictures[::-1])
    assert np.abs(hinted - made).max() > 1e-3


def test_a_folder_does_not_repeat_the_weights_of_the_one_it_names(folders):
    with np.load(folders / "refined" / "weights.npz") as own:
        names = set(own.files)
    assert {n.split("/")[1][:7] for n in names if n.startswith("generator/")} == {"refine_"}
    assert any(name.startswith("discriminator/") for name in names)
    assert not (folders / "refined" / "linear.npz").exists()
    model = Pix2Pix.restore(folders / "refined")
    model.state.save(folders / "whole")
    whole, parts = (checkpoint.load(folders / name) for name in ("whole", "refined"))
    assert whole.weights.keys() == parts.weights.keys() and parts.linear.keys()
    for name, value in whole.weights.items():
        np.testing.assert_array_equal(parts.weights[name], value, err_msg=name)
    prints = [restore(folders / name).fingerprint() for name in ("whole", "refined")]
    assert prints[0] == prints[1] != restore(folders / "small").fingerprint()


def test_frozen_layers_stay_and_are_not_repeated(folders, tmp_path):
    model = pix2pix(image_size=32, damage="grey", whole=True, hinted=0.0, freeze=2)
    shutil.copytree(folders / "small", tmp_path / "small")
    model.state.init_from(tmp_path / "small")
    before = {v.path: np.array(v) for v in model.generator.weights}
    model.step(pairs(model), 1)
    changed = {v.path for v in model.generator.weights if not np.array_equal(v, before[v.path])}
    stay = ("down2", "down3", "up2", "expectation")
    assert changed == {path for path in before if not path.startswith(stay)}
    model.state.save(tmp_path / "frozen", half=True, base="../small")
    with np.load(tmp_path / "frozen" / "weights.npz") as own:
        names = {name.partition("/")[2] for name in own.files if name.startswith("generator/")}
    assert names == changed
    assert not (tmp_path / "frozen" / "linear.npz").exists()
    back = Pix2Pix.restore(tmp_path / "frozen")
    for mine, wanted in zip(back.generator.weights, model.average.weights, strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-3, err_msg=wanted.path)


def test_a_folder_whose_base_is_missing_says_which(folders, tmp_path):
    shutil.copytree(folders / "refined", tmp_path / "refined")
    with pytest.raises(ValueError, match="small: no such checkpoint folder"):
        checkpoint.load(tmp_path / "refined")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"filters": 3}, "filters is 2, here it is 3"),
        ({"image_size": 128}, "image_size is 32, here it is 64"),
    ],
)
def test_what_is_no_half_of_it_is_refused(folders, values, words):
    with pytest.raises(ValueError, match=words):
        pix2pix(**REFINED | values).state.init_from(folders / "small")


def test_a_refined_network_has_64_pixels_or_more():
    with pytest.raises(ValueError, match="image_size is 32, but a refined network has 64"):
        UNetConfig(image_size=32, network="refined")

"""The models that ship: they load, are whole and small, no run writes there; each completes."""

from collections import deque
from pathlib import Path

import numpy as np
import pytest

from completion import Completer, mending, restore
from completion.case import Hole, prepare
from completion.finish import finish
from completion.options import PRESETS
from completion.searching import Searching
from measuring import metrics
from model import DCGAN
from pictures import codecs
from training import checkpoint

ROOT = Path(__file__).parents[2]
FACES64, PIX2PIX = ROOT / "models" / "faces64", ROOT / "models" / "faces-pix2pix"
PHOTOGRAPH = ROOT / "examples" / "astronaut.jpg"


@pytest.fixture(scope="module")
def model():
    return DCGAN.restore(FACES64)


def test_it_is_both_networks_and_what_searches_start_from_in_24_mb():
    files = {path.name: path.stat().st_size for path in FACES64.iterdir()}
    assert files.keys() == {"config.json", "linear.npz", "starts.npz", "weights.npz"}
    assert sum(files.values()) < 24e6
    assert_both_networks_in_half_precision(FACES64)


def test_its_starts_are_its_own_so_that_no_run_fits_them_anew(model):
    with np.load(model.path / "starts.npz") as arrays:
        assert arrays["fingerprint"].item() == model.fingerprint()


def test_samples_are_pictures_that_differ(model):
    samples = model.sample(16)
    assert samples.shape == (16, 64, 64, 3) and np.abs(samples).max() <= 1
    assert samples.std(axis=0).mean() > 0.1


def test_it_completes_the_face_of_a_photograph(model):
    assert hole_psnr(Searching.of(model)) > 17


def test_the_network_is_all_that_training_goes_on_from_in_40_mb():
    files = {path.name: path.stat().st_size for path in PIX2PIX.iterdir()}
    assert files.keys() == {"config.json", "linear.npz", "weights.npz"}
    assert sum(files.values()) < 40e6
    assert_both_networks_in_half_precision(PIX2PIX)


def assert_both_networks_in_half_precision(folder: Path):
    with np.load(folder / "weights.npz") as weights:
        assert {name.split("/")[0] for name in weights.files} == {"generator", "discriminator"}
        assert all(weights[name].dtype == np.float16 for name in weights.files)


def test_the_network_completes_the_face_of_a_photograph():
    assert hole_psnr(restore(PIX2PIX)) > 19


def test_the_network_searches_with_the_other_model():
    assert restore(PIX2PIX, "search").path.resolve() == FACES64


@pytest.fixture(scope="module")
def face():
    """The photograph's, as networks see it: float32 (128, 128, 3)."""
    case = prepare(PHOTOGRAPH, 128, 3, Hole(), fit="face")
    return case.whole()


def test_networks_that_mend_lean_on_the_one_that_completes_and_take_30_mb():
    sizes = []
    for folder in checkpoint.MENDING:
        assert {path.name for path in folder.iterdir()} == {"config.json", "weights.npz"}
        assert checkpoint.load(folder).linear
        sizes += [path.stat().st_size for path in folder.iterdir()]
    assert sum(sizes) < 30e6


@pytest.mark.parametrize("folder", checkpoint.MENDING, ids=lambda folder: folder.name)
def test_a_network_that_mends_comes_nearer_to_the_photograph(folder, face):
    mender = mending.Mender.of(folder)
    given = mender.damage.enlarged(mender.damage.of(face, np.random.default_rng(1)))
    made = mender.network(given[None], 1.0)
    before, after = (metrics.psnr(x, face[None]).item() for x in (given[None], made))
    assert after > before + 1.5  # dB


def hole_psnr(completer: Completer) -> float:
    """In dB. What is asked of it tells a face from a smear; it is no measure of quality."""
    case = prepare(PHOTOGRAPH, 64, 3, Hole(), fit="face")
    options = completer.checked(PRESETS["best"])
    generated = deque(completer.complete([case], options), maxlen=1)[0].generated
    completed = finish(case, generated[0], options.blend)
    true = codecs.to_float(case.picture.pixels)
    return metrics.psnr(codecs.to_float(completed)[None], true[None], case.mask[None]).item()

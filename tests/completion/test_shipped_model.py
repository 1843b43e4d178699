"""models/faces64: it loads, it is whole and small, no run writes there, and it completes a face."""

from collections import deque
from pathlib import Path

import numpy as np
import pytest

from completion.case import Hole, prepare
from completion.finish import finish
from completion.options import PRESETS
from completion.searching import Searching
from measuring import metrics
from model import DCGAN
from pictures import codecs

ROOT = Path(__file__).parents[2]
FACES64 = ROOT / "models" / "faces64"
PHOTOGRAPH = ROOT / "examples" / "astronaut.jpg"


@pytest.fixture(scope="module")
def model():
    return DCGAN.restore(FACES64)


def test_it_is_the_networks_and_what_searches_start_from_in_45_mb():
    files = {path.name: path.stat().st_size for path in FACES64.iterdir()}
    assert files.keys() == {"config.json", "linear.npz", "starts.npz", "weights.npz"}
    assert sum(files.values()) < 45e6


def test_its_starts_are_its_own_so_that_no_run_fits_them_anew(model):
    with np.load(FACES64 / "starts.npz") as arrays:
        assert arrays["fingerprint"].item() == model.fingerprint()


def test_samples_are_pictures_that_differ(model):
    samples = model.sample(16)
    assert samples.shape == (16, 64, 64, 3) and np.abs(samples).max() <= 1
    assert samples.std(axis=0).mean() > 0.1


def test_it_completes_the_face_of_a_photograph(model):
    """The bound tells a face from a smear; it is no measure of quality."""
    case = prepare(PHOTOGRAPH, 64, 3, Hole(), fit="face")
    options = PRESETS["best"]
    generated = deque(Searching.of(model).complete([case], options), maxlen=1)[0].generated
    completed = finish(case, generated[0], options.blend)
    true = codecs.to_float(case.picture.pixels)
    psnr = metrics.psnr(codecs.to_float(completed)[None], true[None], case.mask[None])
    assert psnr.item() > 17

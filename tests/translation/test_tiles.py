"""Pictures of any size by tiles: nothing of the tiles shows, what is known stays true."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from one_pass import pix2pix, shaken

from data.drawn import drawn_faces
from pictures import codecs
from pictures.damage import Damage
from translation import tiles

ROOT = Path(__file__).resolve().parents[2]
NOISE = Damage("noise")


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth noise, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 215, (height // 6 + 2, width // 6 + 2, 3)).astype(np.float32)
    return np.uint8(np.clip(cv2.resize(coarse, (width, height)), 0, 255))


def mended(given, mend, size=32, damage=NOISE):
    return np.concatenate(list(tiles.mended(given, mend, size, damage)))


def nothing(squares):
    return squares


@pytest.mark.parametrize("shape", [(32, 32, 3), (5, 7, 1), (33, 100, 3), (90, 31, 1)])
@pytest.mark.parametrize("name", ["noise", "grey", "mosaic:8"])
def test_an_unchanged_picture_comes_back_bit_for_bit(name, shape):
    if name == "grey" and shape[2] == 1:
        return
    given = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    made = mended(given, nothing, damage=Damage(name))
    assert made.dtype == np.float32
    np.testing.assert_array_equal(codecs.to_bytes(made), given)


def test_a_smaller_picture_is_enlarged_and_known():
    given = np.random.default_rng(0).integers(0, 256, (37, 22, 3), np.uint8)
    damage = Damage("lowres:4")
    rng = np.random.default_rng(1)
    made = mended(given, lambda x: rng.uniform(-1, 1, x.shape).astype(np.float32), damage=damage)
    assert made.shape == (148, 88, 3)
    written = codecs.to_float(codecs.to_bytes(made))
    assert damage.miss(written, codecs.to_float(given)) <= 1


def blurred(squares):
    """What tiles do not see beyond their edges, it takes to be black."""
    return np.stack([cv2.GaussianBlur(s, (5, 5), 0, borderType=0) for s in squares])


def test_tiles_of_a_filter_are_the_filter_of_the_whole():
    given = texture(100, 150)
    made, whole = mended(given, blurred), blurred(codecs.to_float(given)[None])[0]
    inside = np.s_[8:-8, 8:-8]
    # The outermost pixels of a tile, which see black, weigh a percent.
    assert np.abs(made - whole)[inside].max() < 0.02
    assert np.abs(made - whole)[inside].mean() < 0.002


def seams(made: np.ndarray, *edges: range) -> float:
    """The mean gradient across columns where tiles begin or end over that elsewhere."""
    gradients = np.abs(np.diff(made, axis=1)).mean(axis=(0, 2))
    at_edge = np.isin(np.arange(1, len(gradients) + 1), np.concatenate(edges))
    return gradients[at_edge].mean() / gradients[~at_edge].mean()


@pytest.fixture(scope="module")
def network():
    """Of 64 pixels, trained on crops: residual blocks, as they are after a few steps."""
    model = pix2pix(network="resnet", guide="none", image_size=64, blocks=1, damage="noise")
    shaken(model)

    def mend(squares):
        known = np.ones_like(squares[..., :1])
        made = model.complete(squares, known, fidelity=0.0, width=4)
        return squares + 0.1 * (made - squares)  # untrained, it would drown the picture

    return mend


def test_no_tile_shows_in_what_a_network_makes(network):
    given = texture(150, 400)
    made = mended(given, network, size=64)
    assert np.abs(made - codecs.to_float(given)).mean() > 0.01
    assert seams(made, range(48, 352, 48), range(64, 352, 48)) == pytest.approx(1, abs=0.15)
    apart = np.split(codecs.to_float(given[:, :384]), 6, axis=1)
    beside = np.concatenate([blurred(part[None])[0] for part in apart], axis=1)
    assert seams(beside, range(64, 384, 64)) > 1.25  # as without overlap


def test_a_flat_picture_stays_flat(network):
    """But for the pattern of 4 pixels that a network of pixel shuffles lays over all of it."""
    made = mended(np.full((150, 250, 3), 90, np.uint8), network, size=64)
    means = cv2.resize(made[3:147, 1:249], (62, 36), interpolation=cv2.INTER_AREA)
    assert np.ptp(means[3:-3, 3:-3], axis=(0, 1)).max() < 2 / 127.5


LARGE = """
import sys
sys.path[:0] = ["tests", "."]
import numpy as np
from one_pass import pix2pix, shaken
from translation import tiles
from pictures import codecs
from pictures.damage import Damage
model = shaken(pix2pix(network="resnet", guide="none", image_size=256, blocks=1, damage="noise"))
mend = lambda x: model.complete(x, np.ones_like(x[..., :1]), fidelity=0.0, width=8)
given = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8)
result = np.empty_like(given)
top = 0
for band in tiles.mended(given, mend, 256, Damage("noise")):
    result[top : top + len(band)] = codecs.to_bytes(band)
    top += len(band)
assert top == 3000
# Of this process alone: ru_maxrss begins with what its parent had.
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.slow
def test_a_scan_of_12_megapixels_takes_less_than_2_gigabytes():
    done = subprocess.run([sys.executable, "-c", LARGE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2_000_000  # kB


def test_companions_of_a_tile_change_nothing():
    """What a tile becomes depends on it alone: the left half of a picture, mended by itself."""
    given = np.concatenate([codecs.to_bytes(codecs.to_float(f)) for f in drawn_faces(3, 64)], 1)
    made, half = mended(given, blurred), mended(given[:, :128], blurred)
    np.testing.assert_allclose(made[:, :100], half[:, :100], atol=1e-6)

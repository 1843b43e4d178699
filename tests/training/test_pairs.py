"""Trained on drawn faces with and without glasses, networks show one z as one face in both ways."""

import numpy as np
import pytest
import tensorflow as tf

from data.drawn import drawn_faces
from model import DCGAN
from pictures import codecs
from training.recipe import both

pytestmark = pytest.mark.slow

COUNT, SIZE, STEPS = 256, 32, 600
SMALL = {"image_size": SIZE, "gf_dim": 8, "df_dim": 8, "z_dim": 16, "batch_size": 16, "g_steps": 1}
SMALL |= {"classes": ("bare", "glasses"), "ema": 1000.0, "g_lr": 4e-4, "d_lr": 4e-4}
EYES = slice(SIZE * 5 // 16, SIZE * 9 // 16)


@pytest.mark.parametrize("way", [{"condition": "norm"}, {"coupled": 1}], ids=["norm", "coupled"])
def test_pairs_correspond(way):
    faces = [drawn_faces(COUNT, SIZE, seed=i, glasses=bool(i)) for i in (0, 1)]  # other people's
    real, labels = codecs.to_float(np.concatenate(faces)), np.eye(2, dtype=np.float32)
    model, random = DCGAN(*both(SMALL | way)), np.random.default_rng(0)
    for step in range(STEPS):
        rows = random.integers(len(real), size=16)
        batch = tf.constant(real[rows]), tf.constant(labels[rows // COUNT])
        model.train_step(batch, tf.constant(step))
    z = model.each()[0].draw(64, seed=1)
    bare, glasses = (given.generate(z) for given in model.each())
    drawn = [codecs.to_float(drawn_faces(64, SIZE, glasses=worn)) for worn in (False, True)]
    frames = (drawn[0] - drawn[1]).mean(axis=(0, 3))
    frames -= frames.mean()
    assert np.vdot(frames, (bare - glasses).mean(axis=(0, 3))) > 0.2 * np.vdot(frames, frames)

    def apart(pictures):
        return np.abs(np.delete(bare - pictures, EYES, axis=1)).mean()  # but for the eyes

    assert apart(glasses) < 0.6 * apart(np.roll(glasses, 1, axis=0))

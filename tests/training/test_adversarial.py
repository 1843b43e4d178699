"""A step of the two networks: what its options change, and what they must not."""

import numpy as np
import pytest
import tensorflow as tf

from data.drawn import drawn_faces
from model import DCGAN
from pictures import codecs
from training.recipe import both

SMALL = {"image_size": 16, "gf_dim": 4, "df_dim": 4, "z_dim": 8, "batch_size": 8}
PLAIN = SMALL | {"g_norm": "none", "d_norm": "none"}
REAL = tf.constant(codecs.to_float(drawn_faces(16, 16)))


@pytest.fixture
def eagerly():
    """Without tf.function: tracing costs more than a few steps do."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def dcgan(**values) -> DCGAN:
    return DCGAN(*both(values))


@pytest.mark.parametrize("extra", [{"r1": 1.0}, {"d_steps": 2, "g_steps": 1, "loss": "hinge"}])
def test_parts_add_up_to_the_whole_batch(eagerly, extra):
    ends = []
    for accumulate in (1, 4):
        model = dcgan(**PLAIN | extra, accumulate=accumulate)
        before = model.weights()
        real = REAL[: 8 * model.recipe.d_steps]
        measured = [model.train_step(real, tf.constant(i)) for i in range(2)][-1]
        ends.append((model.weights(), {k: v.numpy() for k, v in measured.items()}))
        for name, value in ends[-1][0].items():
            assert (before[name] != value).any() or not name.endswith("kernel"), name
    for found, expected in zip(*ends, strict=True):
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def test_parts_are_computed_one_after_another():
    """A gradient of the second part waits for those of the first."""
    model = dcgan(**PLAIN, accumulate=2)
    graph = model.traced_step(REAL[:8]).graph
    waiting = [op for op in graph.get_operations() if op.type == "Identity" and op.control_inputs]
    assert len(waiting) >= 2 * 3  # real, z and seed, of D's step and of G's

"""Tiny models whose pictures differ from z to z, as those of trained ones do."""

from functools import cache
from pathlib import Path

import numpy as np

from completion.searching import Searching
from data.drawn import drawn_faces
from model import DCGAN
from networks.config import Config
from search.linear import LinearModel
from search.starts import Starts
from training.checkpoint import cached

SIZE, Z = 16, 8
FEW = {"samples": 256, "components": 32}  # for starts


@cache
def lively(channels: int = 3, size: int = SIZE, gf_dim: int = 8) -> DCGAN:
    """A model of larger weights than a fresh one; its linear model is fitted to few drawn faces."""
    config = Config(image_size=size, channels=channels, gf_dim=gf_dim, df_dim=4, z_dim=Z)
    model = DCGAN(config)
    for network in (model.generator, model.discriminator):
        for variable in network.weights:
            if variable.path.endswith("kernel"):
                variable.assign(variable * (40 if "h0_lin" in variable.path else 6))
    faces = drawn_faces(60, size)[..., :channels] / np.float32(127.5) - 1
    model.state.linear = LinearModel.of_training([faces], mirrored=True)
    return model


@cache
def searching(channels: int = 3, size: int = SIZE) -> Searching:
    """A Completer by that model; its starts are fitted to few pictures."""
    return with_starts(lively(channels, size))


def with_starts(model: DCGAN, **few: int) -> Searching:
    """A Completer by a model, with starts fitted to few pictures."""
    completer = Searching.of(model)
    fitted = Starts.fit(model.generate, model.space, **(few or FEW))
    completer._starts[None] = model.fingerprint(), fitted
    return completer


def _starts(model: DCGAN) -> dict[str, np.ndarray]:
    return Starts.fit(model.generate, model.space, **FEW).to_arrays()


def saved(folder: Path, model: DCGAN) -> Path:
    """Save a model with its fitted starts, so that no test waits for those of thousands."""
    model.save(folder)
    cached(folder, "starts", DCGAN.restore(folder).fingerprint(), lambda: _starts(model))
    return folder

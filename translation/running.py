"""Running a one-pass network, whatever computes it. Nothing here needs TensorFlow."""

import os
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL, DISCRIMINATOR = "model.onnx", "discriminator.onnx"


def in_chunks(
    forward: Callable[..., np.ndarray],
    pictures: np.ndarray,
    masks: np.ndarray,
    fidelity: float,
    width: int,
    hints: np.ndarray | None = None,
) -> np.ndarray:
    """As Pix2Pix.complete, by `forward`, which maps arrays as unet.generator does, `width` pictures
    at a time."""
    count = len(pictures)
    around = ((0, -count % width), (0, 0), (0, 0), (0, 0))
    known = np.where(masks > 0, pictures, 0)
    parts = [known, masks, np.zeros_like(known) if hints is None else hints]
    padded = [np.pad(part.astype(np.float32), around) for part in parts]
    fidelity, trust = (np.full((width, 1), x, np.float32) for x in (fidelity, hints is not None))
    results = []
    for first in range(0, count, width):
        known, masks, hints = (part[first : first + width] for part in padded)
        results.append(forward(known, masks, fidelity, hints, trust))
    return np.concatenate(results)[:count]


class Exported:
    """The networks of a folder that export.py has written, by ONNX Runtime: what they make is what
    Pix2Pix makes, but for rounding. Raises ValueError where they cannot be read."""

    def __init__(self, folder: Path):
        self._completing = _session(folder / MODEL)
        self._folder = folder

    @cached_property
    def _scoring(self) -> "InferenceSession":
        return _session(self._folder / DISCRIMINATOR)

    def complete(
        self,
        pictures: np.ndarray,
        masks: np.ndarray,
        fidelity: float,
        width: int,
        hints: np.ndarray | None = None,
    ) -> np.ndarray:
        """As Pix2Pix.complete."""
        completed = partial(_run, self._completing, 0)
        return in_chunks(completed, pictures, masks, fidelity, width, hints)

    def expected(self, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """As Pix2Pix.expected."""
        expected = partial(_run, self._completing, 1)
        return in_chunks(expected, pictures, masks, fidelity=0, width=1)

    def score(self, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """As Pix2Pix.score."""
        parts = [np.split(np.float32(part), len(pictures)) for part in (pictures, masks)]
        return np.concatenate([_run(self._scoring, 0, *pair) for pair in zip(*parts, strict=True)])[
            :, 0
        ]


def _session(path: Path) -> "InferenceSession":
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise ValueError(
            f"{path} takes ONNX Runtime, not installed yet: pip install -r requirements-run.txt"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))  # 0: one for each core
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it burns processors
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise ValueError(f"{path}: cannot be read by ONNX Runtime ({error})") from None


def _run(session: "InferenceSession", output: int, *inputs: np.ndarray) -> np.ndarray:
    """One output of a network, and no more computed than it takes."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True
    names = [given.name for given in session.get_inputs()]
    feed = dict(zip(names, inputs, strict=True))
    return session.run([session.get_outputs()[output].name], feed, options)[0]

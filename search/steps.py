"""What all approaches of a search share: the step, sums row by row, and when images settle."""

from typing import NamedTuple

import numpy as np


class Step(NamedTuple):
    """One moment of a search: loss (N,) is that at z (N, Z), float64."""

    step: int
    z: np.ndarray
    loss: np.ndarray


def better(a: Step, b: Step) -> Step:
    first = a.loss < b.loss
    return Step(a.step, np.where(first[:, None], a.z, b.z), np.where(first, a.loss, b.loss))


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row; a matrix product would round differently for different numbers of rows."""
    return (a * b).sum(axis=1)


def check_finite(loss: np.ndarray, step: int) -> None:
    bad = np.flatnonzero(~np.isfinite(loss))
    if bad.size:
        raise ValueError(f"completion loss is {loss[bad[0]]} at step {step}, image {bad[0]}")


class Settling:
    """Which images have settled; holds those at the best z they have seen."""

    def __init__(self, count: int, tolerance: float, patience: int) -> None:
        self.tolerance, self.patience = tolerance, patience
        self.settled = np.zeros(count, bool)
        self.waited = np.zeros(count, int)
        self.reference = None  # the loss that has to be undercut

    def hold(self, step: Step) -> Step:
        """The step, with settled images at their best z; a step 0 is what others compare with."""
        if not self.tolerance:
            return step
        if self.reference is None:
            self.best, self.reference = step, step.loss
            return step
        going = step._replace(loss=np.where(self.settled, np.inf, step.loss))
        self.best = better(going, self.best)
        fallen = step.loss < self.reference - self.tolerance * np.abs(self.reference)
        self.reference = np.where(fallen, step.loss, self.reference)
        self.waited = np.where(fallen, 0, self.waited + 1)
        self.settled |= self.waited >= self.patience
        return Step(
            step.step,
            np.where(self.settled[:, None], self.best.z, step.z),
            np.where(self.settled, self.best.loss, step.loss),
        )

#!/usr/bin/env python3
"""Draw the blog post's pictures of distributions: what sampling means, before a network does it.

Writes normal-pdf.png, normal-samples.png, normal-2d.png, normal-2d-max.png and inverse-cdf.png.
"""

from collections.abc import Sequence
from pathlib import Path

import cli  # before packages, of which it says which is missing

# isort: split
import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from scipy import integrate
from scipy.stats import multivariate_normal, norm

from pictures import files

BLUE, RED, GREY = "#2b6ca3", "#c0392b", "#8a8a8a"
COVARIANCE = np.array([[1.0, 0.7], [0.7, 1.0]])  # of the picture that completes x by y


def conditional_normal(x: np.ndarray | float, covariance: np.ndarray) -> tuple:
    """Mean and variance of y given x in a 2-D normal of mean 0 (Bishop 2006, equations 2.81, 2.82).

    A normal is highest at its mean, so the mean is the most likely y: the best completion of x.
    """
    slope = covariance[1, 0] / covariance[0, 0]
    return slope * np.asarray(x), covariance[1, 1] - slope * covariance[0, 1]


def custom_density(x: np.ndarray) -> np.ndarray:
    """A density that no library samples from: a triangle beside a narrow bump, total 1."""
    triangle = np.clip(1 - np.abs(x + 1.2) / 1.4, 0, None) / 1.4
    return 0.65 * triangle + 0.35 * norm.pdf(x, 1.4, 0.35)


def cumulative(x: np.ndarray, density: np.ndarray) -> np.ndarray:
    """The integral of a density given on the points x, scaled to end at exactly 1."""
    total = integrate.cumulative_trapezoid(density, x, initial=0)
    return total / total[-1]


def sample_by_inverse_cdf(x: np.ndarray, cdf: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Samples whose cumulative distribution is cdf on the points x, from uniform ones in [0, 1)."""
    return np.interp(uniform, cdf, x)


def draw_pdf() -> Figure:
    """The density of the standard normal."""
    figure, axes = _figure()
    x = np.linspace(-4, 4, 801)
    axes.plot(x, norm.pdf(x), color=BLUE, linewidth=2.5)
    axes.fill_between(x, norm.pdf(x), color=BLUE, alpha=0.15)
    axes.set(xlabel="x", ylabel="p(x)", xlim=(-4, 4), ylim=(0, 0.45), title="Standard normal")
    return figure


def draw_samples(rng: np.random.Generator, count: int = 35) -> Figure:
    """Samples of the standard normal on a line."""
    figure, axes = _figure(7, 2)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.scatter(rng.normal(size=count), np.zeros(count), s=45, color=BLUE, alpha=0.6, zorder=2)
    axes.set(xlabel="x", xlim=(-4, 4), yticks=[], title=f"{count} samples of a standard normal")
    axes.grid(False)
    return figure


def draw_normal_2d(rng: np.random.Generator, count: int = 200) -> Figure:
    """Contours of the 2-D standard normal with samples."""
    figure, axes = _figure(6, 6)
    _contours(axes, np.eye(2))
    x, y = rng.multivariate_normal([0, 0], np.eye(2), count).T
    axes.scatter(x, y, s=14, color="black", alpha=0.55, zorder=3)
    axes.set(title=f"2-D standard normal, {count} samples")
    return figure


def draw_most_likely(given: float = 1.2) -> Figure:
    """The most likely y for an x: on the plane, and along the line where x is given."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    plane, line = figure.subplots(1, 2)
    best, variance = conditional_normal(given, COVARIANCE)
    _contours(plane, COVARIANCE)
    x = np.array([-3, 3])
    plane.plot(x, conditional_normal(x, COVARIANCE)[0], "--", color=GREY, label="best y for any x")
    plane.axvline(given, color=RED, label=f"x = {given} is known")
    plane.plot(given, best, "o", color=RED, markersize=9, label=f"most likely y = {best:.2f}")
    plane.set(title="p(x, y)")
    plane.legend(loc="upper left")
    y = np.linspace(-3, 3, 601)
    line.plot(y, norm.pdf(y, best, np.sqrt(variance)), color=RED, linewidth=2.5)
    line.axvline(best, color=GREY, linestyle="--")
    line.set(xlabel="y", xlim=(-3, 3), ylim=(0, None), title=f"p(y | x = {given})")
    return figure


def draw_inverse_cdf(rng: np.random.Generator, count: int = 10_000) -> Figure:
    """A custom density, its cumulative distribution, and samples drawn through its inverse."""
    x = np.linspace(-3, 3, 2001)
    density = custom_density(x)
    cdf = cumulative(x, density)
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.plot(x, density, color=BLUE, linewidth=2.5)
    left.set(xlabel="x", ylim=(0, 0.6), title="Density p(x)")
    middle.plot(x, cdf, color=BLUE, linewidth=2.5)
    for u in (0.1, 0.3, 0.5, 0.7, 0.9):
        sample = sample_by_inverse_cdf(x, cdf, u)
        middle.plot([-3, sample, sample], [u, u, 0], color=RED, linewidth=1)
        middle.plot(sample, 0, "v", color=RED, clip_on=False, zorder=3)
    middle.set(xlabel="x", ylabel="uniform u", ylim=(0, 1.02), title="Cumulative: from u to x")
    samples = sample_by_inverse_cdf(x, cdf, rng.random(count))
    right.hist(samples, bins=80, range=(-3, 3), density=True, color=RED, alpha=0.5)
    right.plot(x, density, color=BLUE, linewidth=2)
    right.set(xlabel="x", ylim=(0, 0.6), title=f"{count:,} samples")
    for axes in (left, middle, right):
        axes.set_xlim(-3, 3)
    return figure


def _figure(width: float = 6.4, height: float = 4.8) -> tuple:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _contours(axes, covariance: np.ndarray) -> None:
    x = np.linspace(-3, 3, 241)
    points = np.stack(np.meshgrid(x, x), axis=2)
    density = multivariate_normal([0, 0], covariance).pdf(points)
    # The top of the colour map is a yellow that no label can be read in.
    lines = axes.contour(x, x, density, levels=8, cmap="viridis", vmax=1.3 * density.max())
    axes.clabel(lines, fontsize=8)
    axes.set(xlabel="x", ylabel="y", xlim=(-3, 3), ylim=(-3, 3), aspect="equal")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.Parser(description=__doc__.splitlines()[0])
    cli.flag(parser, "--outDir", type=Path, default=Path("."), help="where the pictures go [.]")
    cli.flag(parser, "--seed", type=cli.non_negative_int, default=0, help="of all samples [0]")
    args = parser.parse_args(arguments)
    rng = np.random.default_rng(args.seed)
    pictures = {
        "normal-pdf.png": draw_pdf,
        "normal-samples.png": lambda: draw_samples(rng),
        "normal-2d.png": lambda: draw_normal_2d(rng),
        "normal-2d-max.png": draw_most_likely,
        "inverse-cdf.png": lambda: draw_inverse_cdf(rng),
    }
    with style.context("bmh"):
        for name, draw in pictures.items():
            with files.replacing(args.out_dir / name) as temporary:
                draw().savefig(temporary, dpi=100)
            print(args.out_dir / name)


if __name__ == "__main__":
    cli.run(main)

"""Painting a picture in the hand of others by search over its pixels (Gatys et al. 2016); the loss
that the search and networks share."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from networks import imagenet
from networks.style_config import Objective
from pictures import codecs
from search import latent
from search.space import Cube
from training import statistics

LEAST = 64  # pixels of a shorter side, below which features tell little
MARGIN = 16  # pixels searched beyond a picture's edges, where features take in zeros


class Style(NamedTuple):
    """What is remembered of a style: its feature maps (N or 1, h, w, C), and their units."""

    maps: list[tf.Tensor]
    units: list[tf.Tensor]


class Loss:
    """An objective's loss of pictures, with the features that it takes."""

    def __init__(self, objective: Objective):
        self.objective = objective
        self.extract = imagenet.features(objective.extractor, objective.blocks)

    def features(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        """Maps by block, of pictures (N, H, W, 3) in [-1, 1]."""
        return dict(zip(self.objective.blocks, self.extract(pictures), strict=True))

    def content(self, pictures: tf.Tensor) -> list[tf.Tensor]:
        """What is remembered of pictures whose content shall stay."""
        features = self.features(pictures)
        return [features[block] for block in self.objective.content_blocks]

    def style(self, pictures: tf.Tensor) -> Style:
        """What is remembered of one style for all, (1, h, w, 3), or of one for each, (N, h, w, 3),
        in [-1, 1]."""
        features = self.features(pictures)
        maps = [features[block] for block in self.objective.style_blocks]
        return Style(maps, statistics.units(self.objective.statistics, maps))

    def parts(
        self,
        pictures: tf.Tensor,
        content: Sequence[tf.Tensor],
        styles: Sequence[Style],
        shares: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """content, style and variation of pictures (N, H, W, 3), each (N,), not yet weighted;
        shares (N, styles): how much of each style. The style loss of a mixture is the mixture of
        theirs; that of one style the mean over its blocks."""
        features = self.features(pictures)
        maps = [features[block] for block in self.objective.style_blocks]
        wanted = [features[block] for block in self.objective.content_blocks]
        kind = self.objective.statistics
        distances = [
            sum(
                statistics.block_loss(kind, *pair) / unit
                for *pair, unit in zip(maps, *style, strict=True)
            )
            for style in styles
        ]
        mixed = sum(shares[:, number] * distance for number, distance in enumerate(distances))
        return {
            "content": statistics.content_loss(wanted, content),
            "style": mixed / len(maps),
            "variation": statistics.total_variation(pictures),
        }

    def total(self, parts: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The weighted sum, (N,)."""
        return sum(getattr(self.objective, f"{name}_weight") * x for name, x in parts.items())


class Moment(NamedTuple):
    """What a painting has come to: pictures, uint8 (N, h, w, 3), of the size searched at; loss
    (N,), None where nothing is searched for."""

    step: int
    pictures: np.ndarray
    loss: np.ndarray | None


class Search:
    """Paints by L-BFGS over the pixels, a generator that is the identity. steps: in all; levels:
    sizes from coarse to fine, each twice the one before, which share the steps."""

    def __init__(self, objective: Objective, steps: int = 200, levels: int = 3):
        self.loss, self.steps, self.levels = Loss(objective), steps, levels
        self._graphs: dict = {}  # by the shape of the pictures

    def paint(
        self, pictures: np.ndarray, styles: Sequence[np.ndarray], shares: np.ndarray
    ) -> Iterator[Moment]:
        """Paint pictures, uint8 (N, H, W, 3), each by itself, as so much of each style, uint8
        (h, w, 3); shares: (N, styles). Yields each step, counted through all sizes."""
        first, start = 0, None
        for level in reversed(range(self.levels)):
            small = _smaller(pictures, level)
            seen = [self.loss.style(_float(_smaller(style[None], level))) for style in styles]
            start = small if start is None else _resized(start, *small.shape[1:3])
            steps = self.steps // self.levels + (self.steps % self.levels if level == 0 else 0)
            for moment in self._level(small, start=start, styles=seen, shares=shares, steps=steps):
                yield moment._replace(step=first + moment.step)
            first += steps
            start = moment.pictures

    def _level(self, pictures, start, styles, shares, steps: int) -> Iterator[Moment]:
        pictures, start = _with_margin(pictures), _with_margin(start)
        shape = pictures.shape
        content = self.loss.content(_float(pictures))
        shares = tf.constant(shares, tf.float32)
        if len(self._graphs) > 2 * self.levels:  # pictures of many sizes would fill the memory
            self._graphs.clear()
        graph = self._graphs.setdefault(
            shape, tf.function(self._value_and_gradient, autograph=False)
        )

        def value_and_gradient(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            x = tf.constant(rows.reshape(shape), tf.float32)
            loss, gradient = graph(x, content, styles, shares)
            return loss.numpy(), gradient.numpy().reshape(len(rows), -1)

        rows = codecs.to_float(start).reshape(len(start), -1)
        options = latent.Search("lbfgs", steps=steps)
        space = Cube(rows.shape[1])  # of pixels in [-1, 1]
        for step, found, loss in latent.search(value_and_gradient, rows, options, space=space):
            found = found.reshape(shape)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
            yield Moment(step, codecs.to_bytes(found), loss)

    def _value_and_gradient(self, pictures, content, styles, shares):
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            loss = self.loss.total(self.loss.parts(pictures, content, styles, shares))
        return loss, tape.gradient(loss, pictures)


def _smaller(pictures: np.ndarray, level: int) -> np.ndarray:
    """uint8 (N, H, W, 3), each side halved `level` times, but not to where nothing is seen."""
    height, width = pictures.shape[1:3]
    factor = max(0.5**level, min(1, LEAST / min(height, width)))
    return _resized(pictures, round(height * factor), round(width * factor))


def _with_margin(pictures: np.ndarray) -> np.ndarray:
    sides = (MARGIN, MARGIN)
    return np.pad(pictures, ((0, 0), sides, sides, (0, 0)), mode="reflect")


def _resized(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.stack([codecs.resize(picture, height, width) for picture in pictures])


def _float(pictures: np.ndarray) -> tf.Tensor:
    return tf.constant(codecs.to_float(pictures))

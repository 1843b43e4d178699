"""Differentiable augmentation of what the discriminator sees (Zhao et al. 2020, 2006.10738)."""

import tensorflow as tf

from training.recipe import POLICIES

fold_in = tf.random.fold_in


def augment(images: tf.Tensor, policies: tuple[str, ...], seed: tf.Tensor) -> tf.Tensor:
    """Apply each policy, drawn per image; differentiable, and the identity without policies.

    images: (N, S, S, C) in [-1, 1]. seed: int32 (2,); the same seed gives the same draws.
    """
    for number, policy in enumerate(POLICIES):
        if policy in policies:
            images = _APPLY[policy](images, _Draws(images, fold_in(seed, number)))
    return images


class _Draws:
    """Uniform draws, one row per image, from a stateless seed."""

    def __init__(self, images: tf.Tensor, seed: tf.Tensor):
        self.count = tf.shape(images)[0]
        self.seed = seed

    def uniform(self, number: int) -> list[tf.Tensor]:
        """`number` tensors (N, 1, 1, 1) in [0, 1)."""
        draws = tf.random.stateless_uniform((number, self.count, 1, 1, 1), self.seed)
        return tf.unstack(draws)


def _flip(images: tf.Tensor, draws: _Draws) -> tf.Tensor:
    (chance,) = draws.uniform(1)
    return tf.where(chance < 0.5, images[:, :, ::-1], images)


def _color(images: tf.Tensor, draws: _Draws) -> tf.Tensor:
    """Brightness by -0.5 to 0.5, saturation by a factor 0 to 2, contrast by a factor 0.5 to 1.5."""
    brightness, saturation, contrast = draws.uniform(3)
    images = images + brightness - 0.5
    grey = tf.reduce_mean(images, axis=3, keepdims=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * (0.5 + contrast)


def _translation(images: tf.Tensor, draws: _Draws) -> tf.Tensor:
    """Shift by up to an eighth of the side both ways; what comes in is zero."""
    side = images.shape[1]
    reach = side // 8
    padded = tf.pad(images, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
    rows, columns = (_offsets(u, side, reach) for u in draws.uniform(2))  # (N, S)
    padded = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(padded, columns, axis=2, batch_dims=1)


def _offsets(uniform: tf.Tensor, side: int, reach: int) -> tf.Tensor:
    start = tf.cast(uniform[:, 0, 0, :] * (2 * reach + 1), tf.int32)  # (N, 1)
    return start + tf.range(side)


def _cutout(images: tf.Tensor, draws: _Draws) -> tf.Tensor:
    """Zero a square of half the side at a random place, possibly across the border."""
    side = images.shape[1]
    centre_y, centre_x = (u * side for u in draws.uniform(2))
    axis = tf.range(side, dtype=tf.float32) + 0.5
    near_y = tf.abs(axis[None, :, None, None] - centre_y) < side / 4
    near_x = tf.abs(axis[None, None, :, None] - centre_x) < side / 4
    return images * tf.cast(~(near_y & near_x), images.dtype)


_APPLY = {"flip": _flip, "color": _color, "translation": _translation, "cutout": _cutout}

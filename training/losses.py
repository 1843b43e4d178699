"""Losses, one value per image: of training, on logits, and of completion.

Logits are (N, 1), or a map of them (N, ...), as of a discriminator that judges patches; the loss of
an image is then the mean over its map.
"""

from collections.abc import Callable

import tensorflow as tf

from ops import block_means


def discriminator_losses(
    kind: str, real_logits: tf.Tensor, fake_logits: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Losses of D on real and on generated images, each (N,), from logits (N, ...).

    gan: sigmoid cross-entropy, -log D(x) and -log(1 - D(G(z))) (Goodfellow et al. 2014);
    hinge: max(0, 1 - x), max(0, 1 + x) (Lim and Ye 2017); wgan-gp: -x, x (Gulrajani et al. 2017);
    lsgan: (x - 1)^2 / 2, x^2 / 2 (Mao et al. 2017, equation 9), whose border is at 1/2.
    """
    match kind:
        case "gan":
            real, fake = tf.nn.softplus(-real_logits), tf.nn.softplus(fake_logits)
        case "hinge":
            real, fake = tf.nn.relu(1 - real_logits), tf.nn.relu(1 + fake_logits)
        case "wgan-gp":
            real, fake = -real_logits, fake_logits
        case "lsgan":
            real, fake = tf.square(real_logits - 1) / 2, tf.square(fake_logits) / 2
    return per_image(real), per_image(fake)


def generator_loss(kind: str, fake_logits: tf.Tensor) -> tf.Tensor:
    """Loss of G on generated images, (N,), from logits (N, ...): -log D(G(z)) for gan, half the
    squared distance from 1 for lsgan, else minus the logit."""
    match kind:
        case "gan":
            return per_image(tf.nn.softplus(-fake_logits))
        case "lsgan":
            return per_image(tf.square(fake_logits - 1) / 2)
    return per_image(-fake_logits)


def per_image(values: tf.Tensor) -> tf.Tensor:
    """The mean of each image's values: (N, ...) -> (N,)."""
    return tf.reduce_mean(values, axis=list(range(1, len(values.shape))))


def gradient_penalty(
    discriminator: Callable, real: tf.Tensor, fake: tf.Tensor, position: tf.Tensor
) -> tf.Tensor:
    """(|grad D| - 1)^2 at real + position * (fake - real), (N,); position: (N, 1, 1, 1) in [0, 1]
    (Gulrajani et al. 2017, equation 3, without its factor 10)."""
    slope = _image_gradient(discriminator, real + position * (fake - real))
    return tf.square(tf.sqrt(slope + 1e-12) - 1)


def r1_penalty(discriminator: Callable, real: tf.Tensor) -> tf.Tensor:
    """|grad D|^2 / 2 per real image, (N,) (Mescheder et al. 2018, equation 9, without gamma)."""
    return _image_gradient(discriminator, real) / 2


def _image_gradient(discriminator: Callable, images: tf.Tensor) -> tf.Tensor:
    """Squared norm of the gradient of each image's logit, or its mean of them, (N,)."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = per_image(discriminator(images))
    return tf.reduce_sum(tf.square(tape.gradient(logits, images)), axis=(1, 2, 3))


def completion_l1(made: tf.Tensor, true: tf.Tensor, masks: tf.Tensor, known: float) -> tf.Tensor:
    """Mean absolute difference within the hole, and `known` times that of the known pixels, (N,).

    made, true: (N, S, S, C); masks: (N, S, S, 1), 1 where known. Each sum is divided by its own
    area and a pixel: a small hole counts about as much as a large one.
    """
    difference = tf.reduce_mean(tf.abs(made - true), axis=3, keepdims=True)

    def mean(weights):
        area = tf.reduce_sum(weights, axis=(1, 2, 3)) + 1
        return tf.reduce_sum(difference * weights, axis=(1, 2, 3)) / area

    return mean(1 - masks) + known * mean(masks)


def contextual_loss(
    generated: tf.Tensor, images: tf.Tensor, weights: tf.Tensor, norm: str = "l1"
) -> tf.Tensor:
    """Distance of generated from given images where they are known, (N,).

    Sum over pixels and channels of weights * |generated - images|, or of its square for norm "l2"
    (Yeh et al., arXiv 1607.07539, section 3.2). generated, images: (N, S, S, C) in [-1, 1];
    weights: (N, S, S, 1), 0 in the hole: the mask itself, or its nearness to the hole.
    """
    difference = generated - images
    distance = tf.abs(difference) if norm == "l1" else tf.square(difference)
    return tf.reduce_sum(weights * distance, axis=(1, 2, 3))


def lowres_loss(generated: tf.Tensor, means: tf.Tensor) -> tf.Tensor:
    """L1 distance from given block means (N, B, B, C), summed, (N,): what the lowres mask adds."""
    difference = block_means(generated, means.shape[1]) - means
    return tf.reduce_sum(tf.abs(difference), axis=(1, 2, 3))


def perceptual_loss(kind: str, logits: tf.Tensor) -> tf.Tensor:
    """How unreal D finds each generated image, (N,), from logits (N, ...).

    generator: -log D (the original program); paper: log(1 - D) (Yeh et al., equation 4).
    """
    unreal = tf.nn.softplus(-logits) if kind == "generator" else -tf.nn.softplus(logits)
    return per_image(unreal)

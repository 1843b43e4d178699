"""Losses. Of training: on logits, one value per image. Of completion: one value per image."""

from collections.abc import Callable

import tensorflow as tf

from ops import block_means


def discriminator_losses(
    kind: str, real_logits: tf.Tensor, fake_logits: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Losses of D on real and on generated images, each (N,), from logits (N, 1).

    gan: sigmoid cross-entropy, -log D(x) and -log(1 - D(G(z))) (Goodfellow et al. 2014);
    hinge: max(0, 1 - x), max(0, 1 + x) (Lim and Ye 2017); wgan-gp: -x, x (Gulrajani et al. 2017).
    """
    real, fake = real_logits[:, 0], fake_logits[:, 0]
    match kind:
        case "gan":
            return tf.nn.softplus(-real), tf.nn.softplus(fake)
        case "hinge":
            return tf.nn.relu(1 - real), tf.nn.relu(1 + fake)
        case "wgan-gp":
            return -real, fake


def generator_loss(kind: str, fake_logits: tf.Tensor) -> tf.Tensor:
    """Loss of G on generated images, (N,): -log D(G(z)) for gan, else minus the logit."""
    fake = fake_logits[:, 0]
    return tf.nn.softplus(-fake) if kind == "gan" else -fake


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
    """Squared norm of the logit's gradient with respect to each image, (N,)."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = discriminator(images)
    return tf.reduce_sum(tf.square(tape.gradient(logits, images)), axis=(1, 2, 3))


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
    """How unreal D finds each generated image, (N,), from logits (N, 1).

    generator: -log D (the original program); paper: log(1 - D) (Yeh et al., equation 4).
    """
    return tf.nn.softplus(-logits[:, 0]) if kind == "generator" else -tf.nn.softplus(logits[:, 0])

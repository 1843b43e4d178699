"""One training step of the blog post's DCGAN in PyTorch: the peer of bench/train.py.

The networks and the algorithm are this project's classic ones: 64 px, 512-256-128-64-3 channels,
5x5 kernels of stride 2, sigmoid cross-entropy, one D step, two G steps with the same z, Adam. The
schedule is that of PyTorch's own DCGAN tutorial plus a second G step: one backward pass each for
the real and the fake batch, and the first G step goes on from the D step's G(z). D is frozen during
G steps; the tutorial leaves that out and pays for gradients nobody uses: --tutorial measures that.

Runs in an environment of its own (requirements.txt beside it): python torch_step.py --steps 5
"""

import argparse
import resource
import sys
import time

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

FILTERS, Z_DIM = (512, 256, 128, 64), 100


def generator() -> nn.Sequential:
    """z (N, 100) -> image (N, 3, 64, 64) in [-1, 1]."""
    layers = [
        nn.Linear(Z_DIM, FILTERS[0] * 4 * 4),
        nn.Unflatten(1, (FILTERS[0], 4, 4)),
        nn.BatchNorm2d(FILTERS[0]),
        nn.ReLU(),
    ]
    for before, after in zip(FILTERS, FILTERS[1:], strict=False):
        layers += [upsample(before, after), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, upsample(FILTERS[-1], 3), nn.Tanh())


def discriminator() -> nn.Sequential:
    """image (N, 3, 64, 64) -> logit (N, 1)."""
    widths = (3, *reversed(FILTERS))
    layers = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers.append(nn.Conv2d(before, after, 5, stride=2, padding=2))
        if before != 3:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(FILTERS[0] * 4 * 4, 1))


def upsample(before: int, after: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)


def cross_entropy(logits: torch.Tensor, label: float) -> torch.Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class Trainer:
    """Both networks with their optimisers."""

    def __init__(self, freeze: bool = True) -> None:
        self.generator, self.discriminator = generator(), discriminator()
        self.freeze = freeze
        for network in (self.generator, self.discriminator):
            for layer in network.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                    nn.init.normal_(layer.weight, 0, 0.02)
                    nn.init.zeros_(layer.bias)
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.generator, self.discriminator)
        )

    def step(self, real: torch.Tensor, z: torch.Tensor) -> dict[str, torch.Tensor]:
        """real: (N, 3, 64, 64) in [-1, 1]; z: (N, 100) in [-1, 1]. One D step, two G steps."""
        fake = self.generator(z)
        self.d_optimizer.zero_grad()
        d_loss_real = cross_entropy(self.discriminator(real), 1)
        d_loss_real.backward()
        d_loss_fake = cross_entropy(self.discriminator(fake.detach()), 0)
        d_loss_fake.backward()
        self.d_optimizer.step()

        self.discriminator.requires_grad_(not self.freeze)
        self._generator_step(fake)
        g_loss = self._generator_step(self.generator(z))
        self.discriminator.requires_grad_(True)
        return {"d_loss_real": d_loss_real, "d_loss_fake": d_loss_fake, "g_loss": g_loss}

    def _generator_step(self, fake: torch.Tensor) -> torch.Tensor:
        self.g_optimizer.zero_grad()
        g_loss = cross_entropy(self.discriminator(fake), 1)
        g_loss.backward()
        self.g_optimizer.step()
        return g_loss


def seconds_per_step(steps: int = 10, batch_size: int = 64, freeze: bool = True) -> float:
    """Median seconds of `steps` training steps after two to warm up, random images as input."""
    torch.manual_seed(0)
    trainer = Trainer(freeze)
    real = torch.rand(batch_size, 3, 64, 64) * 2 - 1
    seconds = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        losses = trainer.step(real, torch.rand(batch_size, Z_DIM) * 2 - 1)
        if not all(loss.isfinite() for loss in losses.values()):
            raise FloatingPointError(f"a loss is not finite: {losses}")
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[2:])[steps // 2]


def peak_gibibytes() -> float:
    """Largest resident memory of this process so far; macOS counts bytes, Linux kibibytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--tutorial", action="store_true", help="do not freeze D during G steps")
    args = parser.parse_args()
    seconds = seconds_per_step(args.steps, args.batch_size, not args.tutorial)
    print(f"pytorch train step: {seconds:.3f} seconds")
    print(f"pytorch peak memory: {peak_gibibytes():.2f} GiB")


if __name__ == "__main__":
    main()

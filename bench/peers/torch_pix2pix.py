"""One training step of the one-pass network in PyTorch: the peer of bench/train.py --pix2pix.

Networks and recipe are those of train-pix2pix.py's best preset at 64 px in its adversarial phase:
the linear expectation, the residual U-Net, patches and the whole judged, hinge losses, feature
matching, R1 at every eighth step, clipped Adam, the average. As there, D is run on the true
pictures without a gradient for the matching, and its weights get none from G's loss.

Runs in an environment of its own (requirements.txt beside it).
"""

import copy

import torch
from torch import nn
from torch.nn import functional as F

SIZE, SIDE, COMPONENTS, CAUTION = 64, 32, 200, 30.0
FILTERS, D_FILTERS = (32, 64, 128, 256, 256), 48
SMOOTH, HINTED = 0.25, 0.1875
L1, KNOWN, ADVERSARIAL, MATCHING, R1, CLIP, EMA = 10.0, 0.1, 0.1, 1.0, 1.0, 5.0, 10_000.0


def active(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2)


class Expectation(nn.Module):
    """See networks/expectation.py; here of random components."""

    def __init__(self) -> None:
        super().__init__()
        numbers = 3 * SIDE * SIDE
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("axes", torch.randn(COMPONENTS, numbers) / 50)

    def forward(self, pictures: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        count = len(pictures)
        share = F.avg_pool2d(masks, SIZE // SIDE)  # (N, 1, 32, 32)
        means = F.avg_pool2d(pictures * masks, SIZE // SIDE) / share.clamp_min(1e-6)
        weighted = self.axes * share.expand(-1, 3, -1, -1).reshape(count, 1, -1)
        gram = weighted @ self.axes.T + CAUTION * 0.01 * torch.eye(COMPONENTS)
        codes = torch.linalg.solve(
            gram, weighted @ (means.reshape(count, -1) - self.mean)[..., None]
        )
        expected = (codes.transpose(1, 2) @ self.axes)[:, 0] + self.mean
        expected = expected.reshape(count, 3, SIDE, SIDE)
        return F.interpolate(expected, SIZE, mode="bicubic", align_corners=False)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(active(self.first(active(x))))


class Generator(nn.Module):
    """See networks/unet.unet."""

    def __init__(self) -> None:
        super().__init__()
        w, levels = FILTERS, len(FILTERS) - 1
        self.expectation = Expectation()
        self.first = nn.Conv2d(9, w[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(w[i], w[i + 1], 4, 2, padding=1) for i in range(levels))
        self.down_residuals = nn.ModuleList(
            nn.Sequential(*[Residual(w[i + 1]) for _ in range(2 if i >= levels - 2 else 1)])
            for i in range(levels)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(w[i + 1], w[i], 4, 2, padding=1) for i in range(levels)
        )
        self.joins = nn.ModuleList(nn.Conv2d(2 * w[i], w[i], 3, padding=1) for i in range(levels))
        self.up_residuals = nn.ModuleList(
            Residual(w[i]) if i >= levels - 2 else nn.Identity() for i in range(levels)
        )
        self.last = nn.Conv2d(w[0], 3, 3, padding=1)

    def forward(self, known, masks, fidelity, hints, trust):
        trusted = masks * 0 + trust
        expected = self.expectation(known, masks) * (1 - trusted) + hints * trusted
        unexpected = masks * (known - expected)
        filled = expected + unexpected
        x = torch.cat([filled, masks, unexpected, masks * 0 + fidelity, trusted], 1)
        x, skips = self.first(x), []
        for down, residuals in zip(self.down, self.down_residuals, strict=True):
            skips.append(x)
            x = residuals(down(active(x)))
        for i in reversed(range(len(self.up))):
            x = torch.cat([self.up[i](active(x)), skips[i]], 1)
            x = self.up_residuals[i](self.joins[i](active(x)))
        return filled + self.last(active(x))


class Discriminator(nn.Module):
    """See networks/patch.patches_and_whole."""

    def __init__(self) -> None:
        super().__init__()
        d = D_FILTERS
        self.trunk = nn.ModuleList(
            [
                nn.Conv2d(4, d, 4, 2, padding=1),
                nn.Conv2d(d, 2 * d, 4, 2, padding=1),
                nn.Conv2d(2 * d, 4 * d, 4),
            ]
        )
        self.patches = nn.Conv2d(4 * d, 1, 4)
        self.whole = nn.ModuleList(nn.Conv2d(4 * d, 4 * d, 4, 2, padding=1) for _ in range(2))
        self.last = nn.Linear(4 * d, 1)

    def forward(self, pictures, masks):
        x, features = torch.cat([pictures, masks], 1), []
        for i, layer in enumerate(self.trunk):
            x = active(layer(F.pad(x, (1, 2, 1, 2)) if i == 2 else x))
            features.append(x)
        patches = self.patches(F.pad(x, (1, 2, 1, 2)))
        for layer in self.whole:
            x = active(layer(x))
            features.append(x)
        return [patches, self.last(x.mean((2, 3)))], features


class Trainer:
    """Both networks, the average, and Adam for each."""

    def __init__(self) -> None:
        self.generator, self.discriminator = Generator(), Discriminator()
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.99))
            for network, rate in ((self.generator, 3e-4), (self.discriminator, 2e-4))
        )

    def step(self, true: torch.Tensor, masks: torch.Tensor, number: int) -> dict:
        """true (N, 3, 64, 64) in [-1, 1], masks (N, 1, 64, 64): an update of both networks."""
        count = len(true)
        smooth, hinted = round(SMOOTH * count), round(HINTED * count)
        numbers = torch.arange(count)[:, None, None, None]
        with torch.no_grad():
            hints = self.generator.expectation(true, torch.ones_like(masks))
        fidelity, trust = (numbers < smooth).float(), (numbers >= count - hinted).float()
        made = self.generator(true * masks, masks, fidelity, hints, trust)
        completed = masks * true + (1 - masks) * made
        distance = self._distance(made, true, masks)
        sharp = completed[smooth:], true[smooth:], masks[smooth:]
        self.discriminator.requires_grad_(False)
        maps, features = self.discriminator(sharp[0], sharp[2])
        with torch.no_grad():
            _, wanted = self.discriminator(sharp[1], sharp[2])
        g_loss = -sum(logits.flatten(1).mean(1) for logits in maps).sum() / count
        pairs = zip(features, wanted, strict=True)
        matching = sum((a - b).abs().flatten(1).mean(1) for a, b in pairs).sum()
        matching = matching / len(features) / count
        loss = L1 * distance + ADVERSARIAL * g_loss + MATCHING * matching
        self._update(self.generator, self.g_optimizer, loss)
        self.discriminator.requires_grad_(True)
        d_loss = self._d_loss(sharp[0].detach(), *sharp[1:], penalised=number % 8 == 0) / count
        self._update(self.discriminator, self.d_optimizer, d_loss)
        self._average(0.5 ** (count / min(max(number * count / 20, 1e-3), EMA)))
        return {"l1": distance, "g_loss": g_loss, "feature_matching": matching, "d_loss": d_loss}

    @staticmethod
    def _distance(made, true, masks) -> torch.Tensor:
        difference = (made - true).abs().mean(1, keepdim=True)

        def mean(weights):
            return (difference * weights).sum((1, 2, 3)) / (weights.sum((1, 2, 3)) + 1)

        return (mean(1 - masks) + KNOWN * mean(masks)).mean()

    def _d_loss(self, completed, true, masks, penalised: bool) -> torch.Tensor:
        true.requires_grad_(penalised)
        real, fake = (self.discriminator(x, masks)[0] for x in (true, completed))
        loss = sum(
            F.relu(1 - r).flatten(1).mean(1).sum() + F.relu(1 + f).flatten(1).mean(1).sum()
            for r, f in zip(real, fake, strict=True)
        )
        if penalised:
            score = sum(r.flatten(1).mean(1).sum() for r in real)
            (slope,) = torch.autograd.grad(score, true, create_graph=True)
            loss = loss + 8 * R1 * slope.square().sum() / 2
        return loss

    @staticmethod
    def _update(network: nn.Module, optimizer, loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        pair = [list(net.parameters()) for net in (self.average, self.generator)]
        torch._foreach_lerp_(*pair, 1 - decay)

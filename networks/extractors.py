"""Networks trained on ImageNet whose features are used, and the blocks that each has, by name."""

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

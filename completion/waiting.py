"""Pictures that wait until others are ready to be completed with them."""

import dataclasses
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from completion.animation import View
from completion.case import Case
from pictures import codecs


@dataclass(frozen=True)
class Waiting:
    """A picture while others of its batch are made ready, itself left out, as there is no room.

    cases: of each of its faces; data: the file as it came; hole: the mask's, compressed; shape: (H,
    W, 1) of the mask; before: the whole square of each case, float32 (S, S, C); views: of each.
    """

    cases: list[Case]
    data: bytes
    hole: bytes
    shape: tuple[int, int, int]
    before: list[np.ndarray]
    views: list[View]

    @classmethod
    def of(cls, cases: Sequence[Case], data: bytes) -> Self:
        mask = cases[0].mask
        return cls(
            cases=[dataclasses.replace(case, picture=None, mask=None) for case in cases],
            data=data,
            hole=zlib.compress(np.packbits(mask == 0), level=1),
            shape=mask.shape,
            before=[case.whole() for case in cases],
            views=[View.of(case) for case in cases],
        )

    @property
    def path(self) -> Path:
        return self.cases[0].path

    def ready(self) -> list[Case]:
        """The cases as they were, their file decoded again; their masks bool, as less room is left
        once a network is loaded."""
        bits = np.frombuffer(zlib.decompress(self.hole), np.uint8)
        hole = np.unpackbits(bits, count=math.prod(self.shape)).reshape(self.shape)
        picture = codecs.decode(self.data, self.path)
        mask = hole == 0
        return [dataclasses.replace(case, picture=picture, mask=mask) for case in self.cases]

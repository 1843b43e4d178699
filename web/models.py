"""The models of the page, and the ways to complete by them."""

import math
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import completion
from completion import Completer
from training import checkpoint
from web.memory import Recent

WAYS = {  # what a method of completion.METHODS is called on the page
    "network": "In one pass",
    "both": "In one pass, alternatives by search",
    "search": "By search",
}
SHIPS = "the models that ship"


class Models:
    """Models by the name of their folder, each restored when it is asked for, and kept in `recent`.

    ways: what the page calls each way to complete -> names and method, the first the default. With
    by_size, those that ship are of one name: the picture decides which is taken, as for
    complete.py. Raises ValueError where there is none.
    """

    def __init__(
        self, folders: Sequence[Path], by_size: bool = False, recent: Recent | None = None
    ):
        self.folders = {str(folder): folder for folder in folders}
        self._recent = recent or Recent()
        # Those in use, whose networks ways share.
        self._kept: MutableMapping[Path, Completer] = WeakValueDictionary()
        groups: dict[tuple[str, str], list[str]] = {}
        for name, folder in self.folders.items():
            ships = by_size and folder.resolve() in checkpoint.SHIPPED
            for method in _methods(folder):
                groups.setdefault((SHIPS if ships else name, method), []).append(name)
        several = len({whose for whose, _ in groups}) > 1
        self.ways: dict[str, tuple[list[str], str]] = {
            WAYS[method] + (f" ({whose})" if several else ""): (names, method)
            for (whose, method), names in groups.items()
        }
        if not self.ways:
            completion.restore(folders[0])  # which says why

    @property
    def names(self) -> list[str]:
        return list(self.folders)

    def by_way(self, way: str, pixels: float = math.inf) -> Completer:
        """pixels: a side of what is completed; of a face, which may have any size, inf."""
        if way not in self.ways:
            raise ValueError(f"There is no way {way!r}; choose from {', '.join(self.ways)}")
        names, method = self.ways[way]
        return self.get(self._fitting(names, pixels), method)

    def _fitting(self, names: Sequence[str], pixels: float) -> str:
        return min(names, key=lambda name: checkpoint.excess(self.folders[name], pixels))

    def get(
        self, name: str | None = None, method: str | None = None, pixels: float = math.inf
    ) -> Completer:
        """The model of that name, or the first for so many pixels, to complete by a method of
        completion.METHODS or by its own. Raises ValueError where there is none."""
        name = name or self._fitting(next(iter(self.ways.values()))[0], pixels)
        if name not in self.folders:
            raise ValueError(f"There is no model {name!r}; choose from {', '.join(self.names)}")
        if method is None:  # its own, by which the page may have asked for it
            method = next(iter(_methods(self.folders[name])), None)
        return self._recent.get(
            (name, method),
            lambda: completion.restore(self.folders[name], method, kept=self._kept),
        )


def _methods(folder: Path) -> list[str]:
    """Those by which the model of a folder fills holes; a search that only its prior makes, which
    is a model of its own, is not among them."""
    config = checkpoint.config_of(folder)
    if config.get("damage", "hole") != "hole":
        return []
    kind = config.get("kind", "dcgan")
    methods = [method for method, needed in completion.METHODS.items() if needed == kind]
    return [method for method in methods if method != "both" or config.get("prior")]

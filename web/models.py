"""The models of the page, and the ways to complete by them."""

import threading
from collections.abc import Sequence
from pathlib import Path

import completion
from completion import Completer
from training import checkpoint

WAYS = {  # what a method of completion.METHODS is called on the page
    "network": "In one pass",
    "both": "In one pass, alternatives by search",
    "search": "By search",
}


class Models:
    """Models by the name of their folder; each is restored when first asked for.

    ways: what the page calls each way to complete -> folder and method, the first the default.
    Raises ValueError where there is none.
    """

    def __init__(self, folders: Sequence[Path]):
        self.folders = {str(folder): folder for folder in folders}
        self._lock = threading.Lock()
        self._restored: dict[tuple[str, str | None], Completer] = {}
        self.ways: dict[str, tuple[str, str]] = {}
        for name, folder in self.folders.items():
            several = f" ({name})" if len(folders) > 1 else ""
            for method in _methods(folder):
                self.ways[WAYS[method] + several] = name, method
        if not self.ways:
            completion.restore(folders[0])  # which says why

    @property
    def names(self) -> list[str]:
        return list(self.folders)

    def by_way(self, way: str) -> Completer:
        if way not in self.ways:
            raise ValueError(f"There is no way {way!r}; choose from {', '.join(self.ways)}")
        return self.get(*self.ways[way])

    def get(self, name: str | None = None, method: str | None = None) -> Completer:
        """The model of that name, or the first, to complete by a method of completion.METHODS or
        by its own. Raises ValueError where there is none."""
        name = name or self.names[0]
        if name not in self.folders:
            raise ValueError(f"There is no model {name!r}; choose from {', '.join(self.names)}")
        if method is None:  # its own, by which the page may have asked for it
            method = next(iter(_methods(self.folders[name])), None)
        with self._lock:
            if (name, method) not in self._restored:
                self._restored[name, method] = completion.restore(self.folders[name], method)
            return self._restored[name, method]


def _methods(folder: Path) -> list[str]:
    """Those by which the model of a folder fills holes; a search that only its prior makes, which
    is a model of its own, is not among them."""
    config = checkpoint.config_of(folder)
    if config.get("damage", "hole") != "hole":
        return []
    kind = config.get("kind", "dcgan")
    methods = [method for method, needed in completion.METHODS.items() if needed == kind]
    return [method for method in methods if method != "both" or config.get("prior")]

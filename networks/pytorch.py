"""Weights saved by PyTorch, read without it."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_state(path: Path) -> dict[str, np.ndarray]:
    """The state dict in a file of torch.save's format before version 1.6 (not a zip archive).

    Four pickles, the third telling of the writer's machine and the fourth being the state, then
    the keys of its storages, then the storages: their length, 8 bytes, and their numbers. The
    unpickler knows tensors and OrderedDict alone, so a file cannot run anything. Raises ValueError
    for a file of another format, or one that needs more than those.
    """
    with path.open("rb") as file:
        try:
            magic, protocol, _ = (_Unpickler(file).load() for _ in range(3))
            if (magic, protocol) != (MAGIC, PROTOCOL):
                raise pickle.UnpicklingError("not of torch.save's format before version 1.6")
            reader = _Unpickler(file)
            state, keys = reader.load(), _Unpickler(file).load()
            for key in keys:
                _fill(file, reader.storages[key])
        except (pickle.UnpicklingError, EOFError, KeyError) as error:
            raise ValueError(f"{path}: cannot be read as PyTorch's weights: {error}") from error
    return dict(state)


class _Unpickler(pickle.Unpickler):
    """storages: the arrays that tensors are views of, by key, allocated but not yet filled."""

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no tensor")

    def persistent_load(self, reference: tuple) -> np.ndarray:
        _, dtype, key, _, count, _ = reference  # "storage", ..., device, ..., view
        return self.storages.setdefault(key, np.empty(count, dtype))


def _tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_
) -> np.ndarray:
    """A view of the storage; strides count numbers, not bytes."""
    steps = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if min((offset, *strides, *shape)) < 0 or offset + steps >= len(storage):
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    strides = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides, writeable=False)


def _fill(file: BinaryIO, storage: np.ndarray) -> None:
    count = int.from_bytes(file.read(8), "little")
    if count != len(storage) or file.readinto(storage) != storage.nbytes:
        raise EOFError("it is cut short")

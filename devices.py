"""Which devices a run uses: strategies by name, GPU memory, workers that have died."""

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multiworker")


def strategy(name: str) -> tf.distribute.Strategy:
    """none: one device; mirrored: all GPUs of this machine, else its CPU; multiworker: the machines
    that the environment variable TF_CONFIG lists, as TensorFlow documents it.

    Call it before any tensor is made. GPU memory is taken as it is needed, not all at once.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multiworker":
        _check_cluster()
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def _check_cluster() -> None:
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        workers[task["index"]]
    except (ValueError, KeyError, TypeError, IndexError):
        raise ValueError(
            f"TF_CONFIG is {text!r}; --strategy multiworker needs "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        ) from None


def describe(chosen: tf.distribute.Strategy) -> str:
    """The devices in use, in words."""
    names = [device.name for device in tf.config.list_logical_devices()]
    replicas = chosen.num_replicas_in_sync
    devices = ", ".join(name.removeprefix("/device:") for name in names)
    return f"{devices}; {replicas} replica{'s' * (replicas > 1)}"


def is_chief(chosen: tf.distribute.Strategy) -> bool:
    """Whether this process writes what all processes compute."""
    resolver = chosen.cluster_resolver
    return resolver is None or resolver.task_id in (None, 0)


@contextmanager
def writing(run, chosen: tf.distribute.Strategy) -> Iterator:
    """The run as this process is to write it: the chief's own, else one in a temporary folder.

    Every worker has to take part in saving, because reading batch norm's statistics is a sum over
    the workers; what the others write is thrown away.
    """
    if is_chief(chosen):
        yield run
        return
    with tempfile.TemporaryDirectory() as folder:
        names = ("checkpoint_dir", "sample_dir", "log_dir")
        yield dataclasses.replace(run, **{name: f"{folder}/{name}" for name in names})


@contextmanager
def watching_workers(chosen: tf.distribute.Strategy) -> Iterator[None]:
    """Turns what TensorFlow raises when another worker has gone into one line."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError,
            tf.errors.CancelledError, tf.errors.InternalError) as error:  # fmt: skip
        if chosen.cluster_resolver is None:
            raise
        raise ValueError(
            "another worker stopped, so this one stops too; start all of them again to resume "
            f"({type(error).__name__})"
        ) from None

"""The course of a run: TensorBoard events and metrics.jsonl, cut back to where it resumes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from pictures.files import remove_leftovers, replacing

SPEEDS = ("images_per_second",)  # among what a step measures


class Journal:
    """Writes what a run measures. Opened at `step`, it drops every line of later steps; at step 0
    it moves the events of an earlier run aside, where TensorBoard shows them as another run."""

    def __init__(self, log_dir: Path, metrics: Path, step: int):
        log_dir, metrics = Path(log_dir), Path(metrics)
        for folder in (log_dir, metrics.parent):
            folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(log_dir)
        with _tensorflow_faults():
            _set_aside(log_dir) if step == 0 else _cut_events(log_dir, step)
            self._writer = tf.summary.create_file_writer(str(log_dir))
        _cut_metrics(metrics, step)
        self._metrics = metrics.open("a")

    def scalars(
        self, step: int, values: Mapping[str, float], group: str = "loss", **also: float
    ) -> None:
        """Write each value to TensorBoard, as GROUP/NAME, and one line with all of them and `also`
        by their names alone."""
        self._metrics.write(json.dumps({"step": step, **also, **values}) + "\n")
        self._metrics.flush()
        with self._at(step):
            for name, value in values.items():
                tf.summary.scalar(f"{'speed' if name in SPEEDS else group}/{name}", value)

    def histograms(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        with self._at(step):
            for name, value in values.items():
                tf.summary.histogram(name, value)

    def images(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Write pictures, each uint8 (N, H, W, C) or float in [0, 1]."""
        with self._at(step):
            for name, value in values.items():
                tf.summary.image(name, value, max_outputs=len(value))

    def graph(self, graph: tf.Graph) -> None:
        with self._at(0):
            tf.summary.graph(graph)

    def flush(self) -> None:
        with _tensorflow_faults():
            self._writer.flush()

    def close(self) -> None:
        with _tensorflow_faults():
            self._writer.close()
        self._metrics.close()

    @contextmanager
    def _at(self, step: int) -> Iterator[None]:
        with _tensorflow_faults(), self._writer.as_default(step):
            yield


@contextmanager
def _tensorflow_faults() -> Iterator[None]:
    """A full disk or a folder that cannot be written to is an OSError here too, of one line."""
    try:
        yield
    except tf.errors.OpError as error:
        # "{{function_node ...}} FILE; REASON [Op:...] name:", then lines on what was lost
        why = error.message.splitlines()[0].split("}} ")[-1].split(" [Op:")[0]
        raise OSError(why) from None


def _event_files(log_dir: Path) -> list[Path]:
    return sorted(log_dir.glob("events.out.tfevents.*"))


def _set_aside(log_dir: Path) -> None:
    files = _event_files(log_dir)
    if files:
        number = next(n for n in range(1, 10**6) if not (log_dir / f"earlier-{n}").exists())
        (log_dir / f"earlier-{number}").mkdir()
        for path in files:
            path.rename(log_dir / f"earlier-{number}" / path.name)


def _cut_events(log_dir: Path, step: int) -> None:
    """Rewrite event files without events beyond `step`, nor the torn record a kill may leave."""
    for path in _event_files(log_dir):
        with replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
            try:
                for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                    if tf.compat.v1.Event.FromString(record).step <= step:
                        writer.write(record)
            except tf.errors.DataLossError:
                pass  # the rest of a torn file is what this function drops


def _cut_metrics(path: Path, step: int) -> None:
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        with replacing(path) as temporary:
            temporary.write_text("".join(kept))

"""What `make demo` does again, and what not."""

import os

import numpy as np

import demo
from pictures import codecs


def test_a_mask_is_painted_where_it_is_not_there_or_another(tmp_path):
    path, mask = tmp_path / "scratches.png", demo.scratches((512, 512, 3))
    demo.paint(path, mask)
    os.utime(path, (1, 1))
    demo.paint(path, mask)
    assert path.stat().st_mtime == 1  # as it was: what was completed with it is done
    codecs.write(path, 255 - mask)
    demo.paint(path, mask)
    np.testing.assert_array_equal(codecs.read(path, 1), mask)

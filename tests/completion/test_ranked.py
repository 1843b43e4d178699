"""The order in which alternatives are shown."""

import numpy as np

from completion import ranked
from completion.case import Case


class Judge:
    """A completer that finds bright pictures real."""

    def score(self, pictures, masks):
        return pictures.mean(axis=(1, 2, 3))


def test_the_first_draw_stays_first_and_the_others_follow_by_score():
    square, mask = np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 1), np.float32)
    case = Case("x", None, None, np.eye(2, 3), square, mask, None)
    draws = [np.full((4, 4, 3), x, np.float32) for x in (0.1, -0.5, 0.9, 0.3)]
    assert ranked(Judge(), case, draws) == [0, 2, 3, 1]
    assert ranked(Judge(), case, draws[:1]) == [0]

"""Commands of before there was a network still search: their flags say so."""

import pytest

import complete


@pytest.mark.parametrize(
    ("flags", "given", "way"),
    [
        ("", {}, None),
        ("--seed 3 --alternatives 2 --fidelity 1", {"seed": 3, "alternatives": 2}, None),
        ("--nIter 5", {"steps": 5}, "search"),
        ("--lam 0.1", {"lam": 0.1}, "search"),
        ("--guide none", {"guide": "none"}, "search"),
        ("--maskType lowres", {}, "search"),
        ("--preset original", {}, "search"),
        ("--preset original --checkpointDir mine", {}, "search"),
        ("--nIter 5 --checkpointDir mine", {"steps": 5}, None),
    ],
)
def test_the_way_that_flags_mean(flags, given, way):
    arguments = complete.parser().parse_args(["picture.png", *flags.split()])
    assert complete._asked_for(arguments, given) == way

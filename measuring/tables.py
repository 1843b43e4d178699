"""Tables of figures in plain text, which are markdown too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: the figure it shows, its title, how many decimals of how large a multiple."""

    figure: str
    title: str
    decimals: int
    scale: float = 1


def markdown(
    rows: Mapping[tuple[str, ...], Mapping], heads: Sequence[str], columns: Sequence[Column]
) -> str:
    """An aligned table. rows: a row's names, one below each head -> its figures, each a number, or
    {"mean", "low", "high"}, shown as the mean ± half the interval. A column that is empty in all
    rows is left out."""
    filled = [c for c in columns if any(row.get(c.figure) is not None for row in rows.values())]
    lines = [[*heads, *(column.title for column in filled)]]
    for names, row in rows.items():
        lines.append([*names, *(_cell(row.get(column.figure), column) for column in filled)])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    names = len(heads)  # these to the left, numbers to the right
    rule = ["-" * (width - (i >= names)) + ":" * (i >= names) for i, width in enumerate(widths)]
    aligned = [
        [
            cell.rjust(w) if i >= names else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (aligned[0], rule, *aligned[1:]))


def _cell(figure: float | Mapping | None, column: Column) -> str:
    if figure is None:
        return "-"
    if not isinstance(figure, Mapping):
        return f"{figure * column.scale:.{column.decimals}f}"
    half = (figure["high"] - figure["low"]) / 2
    mean, half = (f"{value * column.scale:.{column.decimals}f}" for value in (figure["mean"], half))
    return f"{mean} ±{half}"

"""Text made to fit a number of cells. Pure."""

from __future__ import annotations

from typing import Literal

from rich.cells import cell_len, set_cell_size


def clip(text: str, width: int) -> str:
    """The text in at most `width` cells, with an ellipsis where it was cut."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + "…" if width > 1 else "…"[:width]


def place(text: str, width: int, align: Literal["left", "right"]) -> str:
    """The text in exactly `width` cells."""
    text = clip(text, width)
    gap = " " * (width - cell_len(text))
    return gap + text if align == "right" else text + gap

"""Textual's bindings, made from the tables of keys."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from routemq_tui.tui.dialog_keys import PLACED_KEYS, Place
from routemq_tui.tui.keys import KEY_BY_ID


def bindings(place: Place = Place.MAIN, priority: bool = False) -> list[BindingType]:
    """All keys of a place."""
    return [
        Binding(
            key.keys,
            key.action,
            key.label,
            tooltip=KEY_BY_ID[key.id].help if key.id in KEY_BY_ID else key.label,
            id=key.id,
            show=key.id in KEY_BY_ID and KEY_BY_ID[key.id].footer != 0,
            priority=priority,
        )
        for key in PLACED_KEYS[place]
    ]

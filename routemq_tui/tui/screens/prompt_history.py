"""What was entered in prompts of one kind, for as long as the screen is there. Pure."""

from __future__ import annotations

MOST = 50


class PromptHistory:
    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """The newest, once; not what says nothing."""
        if text.strip():
            self._texts = [*(each for each in self._texts if each != text), text][-MOST:]

    def walk(self) -> Walk:
        return Walk(self._texts)


class Walk:
    """Back and forth through the texts; behind the newest one is what was being typed."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = [*texts, ""]
        self._at = len(texts)

    def step(self, step: int, text: str) -> str | None:
        """The text so many further, for the one that is there now; None beyond either end."""
        self._texts[self._at] = text
        if not 0 <= self._at + step < len(self._texts):
            return None
        self._at += step
        return self._texts[self._at]

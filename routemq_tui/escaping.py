r"""What stands for letters that an encoding lacks: `\u20ac`, as in JSON, so that JSON stays JSON."""

from __future__ import annotations

import codecs

ESCAPED = "routemq_tui.escaped"
"""A name for `errors=`, as of any other handler of encoding errors."""


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high << 8 | low:04x}" for high, low in pairs), error.end


codecs.register_error(ESCAPED, _escape)

"""`python -m routemq_tui` is the same as `routemq-tui`."""

from routemq_tui.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

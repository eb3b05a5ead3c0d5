"""Everything but a screen: supervision, metrics, logs."""

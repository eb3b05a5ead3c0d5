"""TOML to frozen values, with every error at once."""

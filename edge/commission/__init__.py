"""Commissioning: what is plugged in, what is wrong with it, which reader is which, and the TOML that says so."""

"""Relay boards, one file per family; driven by the relay guard only."""

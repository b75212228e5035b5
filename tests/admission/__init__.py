"""Tests of `admission`, mirroring its files."""

"""Scanners and tag readers, one file per device family, imported only when configured."""

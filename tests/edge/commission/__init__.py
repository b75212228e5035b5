"""Commissioning, on boxes made of files and simulated devices."""

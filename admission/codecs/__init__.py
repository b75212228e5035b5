"""Ticket codecs: text in, verified claims or a reason out. One file per format."""

"""What runs inside the guest, on Debian's own Python: the standard library only, and nothing of the rest of the house."""

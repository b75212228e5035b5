"""Sans-I/O parsers: bytes or key events in, frames out."""

"""What a gate keeps on disk: the list (replaceable) and the log (precious), each a file of its own."""

"""Input boards: passage, ready and fire contacts; one file per family."""

"""A whole venue in one process on virtual time: every seed is one evening, which a checker then reads."""

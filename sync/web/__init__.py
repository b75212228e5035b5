"""The centre over HTTP: how the capabilities' handlers are put together, and what all answers share."""

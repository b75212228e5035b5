"""Hardware: devices in, events out. Never knows what a ticket is."""

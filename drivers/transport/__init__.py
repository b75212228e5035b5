"""The ways to a device: serial port, kernel input device, GPIO chip."""

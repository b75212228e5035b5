"""The device's side of each protocol, over real ptys: for `make run`, tests and commissioning without hardware."""

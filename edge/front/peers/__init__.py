"""The gate's neighbours on the LAN: logs and rosters from gate to gate, with or without a centre."""

"""The lab: the installed gate in a Debian guest, on a real kernel, with its devices as the kernel sees them. `make lab`."""

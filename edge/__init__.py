"""The gate daemon: reads, decides, commits, opens; keeps its log; talks to the centre."""

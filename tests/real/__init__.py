"""A real venue on one machine: gates and a centre as processes, links, cards and power that fail, and the simulation's checker."""

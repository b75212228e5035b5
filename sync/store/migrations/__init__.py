"""How the tables came to be, step by step; run by `gatehouse-sync migrate` and at each start."""

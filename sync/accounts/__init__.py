"""Who may do what at the centre: users, roles, sign-in, tokens, idempotency keys, and the log of who changed what."""

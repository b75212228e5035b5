"""What takes place and what is on sale: organizations, venues, ticketings, event groups, events, sessions, zones, products."""

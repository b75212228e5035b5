"""What is sold and who may enter: events, sessions, zones, products, tickets, credentials, lane plans."""

"""The process that faces the network: pages, uplink, peers."""

"""The contract between gates and centre: messages, list files, and the one replication machine."""

"""Who people are, where they said it: customers, and the tags they carry."""

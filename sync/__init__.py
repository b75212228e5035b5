"""The centre: it owns the sales data and tells every gate who may enter."""

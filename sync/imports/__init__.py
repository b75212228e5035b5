"""Lists that others sold, taken in; and data given out. Nothing is written before every bad row was named."""

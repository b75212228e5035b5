"""The centre's data in a second place: backup, check, restore; and a backup before every upgrade."""

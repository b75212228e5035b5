"""What people buy: orders and their lines, the quota they take, passes."""

"""The review of a change: what of it a reviewer can trust, and whether it is more than chance."""

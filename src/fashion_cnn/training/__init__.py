"""The architectures, one deterministic fit, and what is measured on a network at hand."""

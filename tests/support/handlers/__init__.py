"""Request handlers as others write them, for the code folder of a model archive."""

"""Statistics and figures of the images, before any network sees them."""

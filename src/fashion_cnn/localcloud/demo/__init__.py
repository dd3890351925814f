"""The demo page at the embedded endpoint's address. Plain HTML and JavaScript; nothing here is built."""

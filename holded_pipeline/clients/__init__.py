"""The only files that speak to a network."""

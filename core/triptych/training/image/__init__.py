"""Networks, losses and recipes of the picture models."""

"""What trains: PyTorch networks, losses and recipes. Nothing outside this package imports it."""

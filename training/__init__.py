"""Data sets, losses, one training step for each system, and the one loop that runs them."""

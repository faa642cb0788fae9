"""Networks only: what a paper draws."""

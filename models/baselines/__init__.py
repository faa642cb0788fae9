"""Networks of others that ours are measured against."""

"""Settings of the search, by method."""

"""The server: searches and restorations as jobs over HTTP, none of which is ever lost."""

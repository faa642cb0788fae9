"""The real microscopy images that come with relumen, with their sources and licences."""

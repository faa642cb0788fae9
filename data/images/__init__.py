"""The image files; see ``relumen.data`` for what each shows."""

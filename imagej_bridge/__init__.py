"""numpy <-> ImageJ, and the sessions in which relumen meets a real ImageJ."""

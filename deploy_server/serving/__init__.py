"""Running the server: one parent, its workers, two ports."""

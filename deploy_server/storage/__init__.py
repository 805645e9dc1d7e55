"""Database and package files; never Flask."""

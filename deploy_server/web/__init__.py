"""The faces on HTTP; the only importers of Flask."""

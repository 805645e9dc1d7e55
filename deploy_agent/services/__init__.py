"""What the agent does, one deed a module."""

"""What the server does; each service takes a session and a store."""

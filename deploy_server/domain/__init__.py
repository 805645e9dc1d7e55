"""The server's rules, pure: no clock, no disk, no socket, no database."""

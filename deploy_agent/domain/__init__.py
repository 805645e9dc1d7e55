"""The agent's rules, pure: no clock, no disk, no socket."""

"""The wire: bytes to values and back, for both sides. No I/O, clock, randomness or logging."""

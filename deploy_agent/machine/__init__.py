"""Everything that touches this computer or the network."""

"""Pure: no Beam, no network, no clock."""

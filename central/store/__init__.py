"""Where points live: one small protocol (base), its embedded implementation (duck)."""

"""Sends a hundred thousand mutated requests to the running service (`make fuzz`); some of them are also a test."""

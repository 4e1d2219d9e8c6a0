"""Requests that nobody would send on purpose, by the hundred thousand (`make fuzz`); a slice of them is a test."""

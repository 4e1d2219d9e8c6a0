"""Authenticate callers: client tokens and the keys that verify them."""

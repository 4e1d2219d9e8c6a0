"""Whom the service trusts: where it may call, and who may call it."""

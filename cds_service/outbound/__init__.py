"""Whom we may call: the policy of a site, and the only sessions that leave this machine."""

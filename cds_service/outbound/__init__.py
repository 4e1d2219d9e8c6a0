"""Call other servers: the policy of a site, and the sessions that keep to it."""

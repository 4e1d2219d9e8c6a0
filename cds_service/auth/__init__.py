"""Who may call us: client tokens, their keys, one accepted caller for each request."""

"""What of a site's charts the service reads and what it passes over: the integrator's first look (`coverage PATHS…`)."""

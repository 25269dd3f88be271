"""Groups of gateways: which one gets a call, how they are watched, and what is done when one fails."""

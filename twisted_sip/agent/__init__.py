"""The user agent: registrations, calls and what is done with them (RFC 3261 sections 10.2, 12 to 15, RFC 5626)."""

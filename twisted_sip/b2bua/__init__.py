"""Back-to-back user agents: two calls joined (RFC 3261 section 6, RFC 7092)."""

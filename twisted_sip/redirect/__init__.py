"""The redirect server (RFC 3261 section 8.3)."""

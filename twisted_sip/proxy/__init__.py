"""The proxy: request validation, targets, forwarding and the response context (RFC 3261 section 16)."""

"""Transports: UDP, TCP and TLS over one notion of flow (RFC 3261 section 18), and RFC 3263."""

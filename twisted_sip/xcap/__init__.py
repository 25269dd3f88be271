"""XCAP: documents of users over HTTP, server and client (RFC 4825)."""

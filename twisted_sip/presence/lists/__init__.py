"""The resource list server: one subscription for many resources (RFC 4662)."""

"""Digest: challenges, nonces, verification, bans, the client's side (RFC 3261 section 22, RFC 7616, RFC 8760)."""

"""STUN: what a SIP port needs of it, sans-I/O (RFC 8489, RFC 5626 section 3.5.2)."""

"""ICE: the way between two hosts that NATs part, sans-I/O (RFC 8445, RFC 8839), and TURN relays for it (RFC 8656)."""

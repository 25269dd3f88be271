"""A Twisted-based, multi-protocol telephony framework; SIP (RFC 3261) is its spine."""

__version__ = "0.1.0"

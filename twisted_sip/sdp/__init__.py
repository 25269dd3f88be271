"""Session descriptions (RFC 8866) and the offer/answer model (RFC 3264, RFC 6337), without I/O."""

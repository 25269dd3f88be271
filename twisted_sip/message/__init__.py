"""The grammar of SIP: URIs, header fields, parser, stream framer and serialiser (RFC 3261 sections 7, 19, 20 and 25).

No I/O happens here. Heads are ``str``, decoded from UTF-8 with ``surrogateescape``, so that every byte survives.
"""

"""One SIP element: the chain that requests come in through, the sender they go out through, and what both share.

Services stand on this room: an Element joins transports, transactions, resolver and the RequestSender, owns the tokens
and the memory of dead targets, and shows what passes to those who watch.
"""

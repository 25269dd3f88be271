"""Media: RTP, RTCP, codecs, tones, the media of a call, relays; ICE and protection in rooms of their own."""

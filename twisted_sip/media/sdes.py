"""Keys for SRTP inside session descriptions (RFC 4568; the suites of RFC 7714 too).

One key inline per attribute, with or without MKI. Attributes with several keys, with a lifetime that no key has, or
with session parameters that change what is protected are left out of the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted_sip.errors import MediaRefused, RemoteProtocolError
from twisted_sip.media.srtp_profile import LIFETIME, MOST_PACKETS, PROFILES, MasterKey, SRTPProfile, decoded
from twisted_sip.sdp.crypto import Crypto, SRTPKey
from twisted_sip.sdp.media_description import MediaDescription

#: Section 6.3: a window size is a hint for the receiver; all others change what is sent.
_HARMLESS = frozenset({"WSH"})


class OwnKeys:
    """Our master keys, one for each suite, the same in all offers and answers until they are renewed."""

    def __init__(self, profiles: Sequence[SRTPProfile], random_bytes: Callable[[int], bytes]) -> None:
        """Make them when they are needed.

        :param profiles: in order of preference.
        :param random_bytes: a cryptographically strong source.
        """
        self._profiles = tuple(profiles)
        self._random = random_bytes
        self._keys: dict[str, str] = {}

    def renew(self) -> None:
        """Have others from now on (section 5.1.4)."""
        self._keys.clear()

    def lines(self) -> tuple[Crypto, ...]:
        """Return the attributes for an offer, the best first (section 5.1.1)."""
        return tuple(self.line(profile, tag) for tag, profile in enumerate(self._profiles, 1))

    def line(self, profile: SRTPProfile, tag: int) -> Crypto:
        """Return the attribute with our key for *profile*."""
        text = self._keys.get(profile.suite)
        if text is None:
            text = self._keys[profile.suite] = MasterKey(profile, self._random(profile.length)).text
        return Crypto.build(tag, profile.suite, SRTPKey(text))

    def answer(self, offered: Sequence[Crypto]) -> tuple[Crypto, MasterKey] | None:
        """Choose the first attribute that can be had (section 5.1.2).

        :return: our attribute with its tag, and the peer's key; None where nothing is in common.
        """
        for crypto in offered:
            theirs = master_key(crypto)
            if theirs is not None and theirs.profile in self._profiles:
                return self.line(theirs.profile, crypto.tag), theirs
        return None


def master_key(crypto: Crypto) -> MasterKey | None:
    """Return the key of an attribute, None if it is not valid, or wants what is not had here (sections 6.1 to 6.3)."""
    profile = PROFILES.get(crypto.suite.upper())
    if profile is None or len(crypto.key_params) != 1 or crypto.mandatory_params - _HARMLESS:
        return None
    try:
        keys = crypto.keys
    except RemoteProtocolError:
        return None
    if len(keys) != 1:
        return None
    key = keys[0]
    key_salt = decoded(profile, key.key_salt)
    packets = key.packets
    if key_salt is None or (packets is not None and not 0 < packets <= MOST_PACKETS):
        return None
    mki = b""
    if key.mki is not None:
        if key.mki >> 8 * key.mki_length:
            return None
        mki = key.mki.to_bytes(key.mki_length, "big")
    return MasterKey(profile, key_salt, mki, LIFETIME if packets is None else min(packets, LIFETIME))


def agreed_keys(local: MediaDescription, remote: MediaDescription, *, offered: bool) -> tuple[MasterKey, MasterKey]:
    """Return our key and the peer's key as offer and answer have them (sections 5.1.3 and 7.1.3).

    :param offered: the offer was ours.
    :raises MediaRefused: the answer is none to the offer, or its key cannot be used.
    """
    offer, answer = (local, remote) if offered else (remote, local)
    chosen = answer.crypto
    if len(chosen) != 1:
        raise MediaRefused("An answer has one crypto attribute", warning_code=306)
    found = next((one for one in offer.crypto if one.tag == chosen[0].tag), None)
    if found is None or found.suite.upper() != chosen[0].suite.upper():
        raise MediaRefused("The crypto attribute of the answer was not offered", warning_code=306)
    first, second = master_key(found), master_key(chosen[0])
    if first is None or second is None:
        raise MediaRefused("No such crypto attribute", warning_code=306)
    if first.key_salt == second.key_salt:
        # Section 7.1.2: the same key both ways would give the keystream away.
        raise MediaRefused("The answer has the key of the offer", warning_code=306)
    return (first, second) if offered else (second, first)

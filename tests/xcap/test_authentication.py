"""Who may come in: digest over HTTP with the credentials of SIP (RFC 4825 section 8, RFC 7616)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import TestCase

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.digest import digest_response
from twisted_sip.auth.digest import ha1 as ha1_of
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.credentials import Credential
from twisted_sip.message.auth_params import Challenge, Credentials
from twisted_sip.storage.credentials_memory import MemoryCredentialStore
from twisted_sip.testing.xcap_site import MOUNT, Answer, XCAPSite
from twisted_sip.xcap.client import XCAPClient, XCAPRefused
from twisted_sip.xcap.digest import HTTPDigest, same_target
from twisted_sip.xcap.resource import XCAPResource

ALICE = "sip:alice@example.com"
CAROL = "sip:carol@example.org"
PASSWORDS = {ALICE: "a-secret", CAROL: "c-secret"}
DOMAINS = ("example.com", "example.org")
RULES = "application/auth-policy+xml"
EMPTY = b'<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"/>'
HOME = f"{MOUNT}/pres-rules/users/{ALICE}/index"
CAPS = f"{MOUNT}/xcap-caps/global/index"


class SiteCase(TestCase):
    def site(self, **how: Any) -> XCAPSite:
        site = XCAPSite(reactor, PASSWORDS, domains=DOMAINS, **how)
        self.addCleanup(site.stop)
        return site

    async def challenge(self, site: XCAPSite, target: str, headers: Mapping[str, str] | None = None) -> Challenge:
        answer = await site.send("GET", target, headers=headers)
        assert answer.status == 401, answer
        return Challenge.parse(answer.header("www-authenticate"))

    async def signed(
        self,
        site: XCAPSite,
        target: str = HOME,
        *,
        user: str = "alice",
        hashed: str = "",
        password: str = "a-secret",
        uri: str = "",
        realm: str = "",
        challenge: Challenge | None = None,
        nc: int = 1,
        **params: str,
    ) -> Answer:
        """Send a GET with credentials made by hand."""
        challenge = challenge or await self.challenge(site, target)
        realm = realm or challenge.realm
        secret = ha1_of(hashed or user, realm, password, challenge.algorithm)
        response = digest_response(
            secret, "GET", uri or target, challenge.nonce, algorithm=challenge.algorithm, qop="auth",
            nc=f"{nc:08x}", cnonce="c",
        )  # fmt: skip
        credentials = Credentials.digest(
            username=user, realm=realm, nonce=challenge.nonce, uri=uri or target, response=response,
            algorithm=challenge.algorithm, cnonce="c", nc=nc, qop="auth", params=params.items(),
        )  # fmt: skip
        return await site.send("GET", target, headers={"Authorization": str(credentials)})


class DigestTests(SiteCase):
    async def test_a_challenge_is_for_the_domain_of_the_user(self) -> None:
        site = self.site()
        challenge = await self.challenge(site, HOME)
        assert (challenge.realm, challenge.algorithm, challenge.qop) == ("example.com", "MD5", ("auth",))
        assert (await self.challenge(site, HOME.replace(ALICE, CAROL))).realm == "example.org"
        assert (await self.challenge(site, CAPS)).realm == "example.com"

    async def test_nothing_is_told_to_strangers(self) -> None:
        site = self.site()
        await site.client(ALICE).put_document("pres-rules", EMPTY, RULES)
        answers = [
            await site.send(method, path, b"<x" if method == "PUT" else b"")
            for method in ("GET", "PUT", "DELETE", "HEAD")
            for path in (HOME, HOME + "x", HOME.replace("alice", "nobody"), HOME + "/~~/ruleset")
        ]
        assert {answer.status for answer in answers} == {401}
        assert len({answer.body for answer in answers}) == 2  # that of HEAD is empty

    async def test_every_algorithm(self) -> None:
        for algorithm in ("MD5", "SHA-256", "SHA-512-256"):
            site = self.site(settings=AuthSettings(algorithms=(algorithm,)))  # type: ignore[arg-type]
            assert (await self.challenge(site, HOME)).algorithm == algorithm
            assert (await self.signed(site)).status == 404
        site = self.site(settings=AuthSettings(algorithms=("SHA-256", "MD5")))
        await site.client(ALICE).put_document("pres-rules", EMPTY, RULES)

    async def test_one_realm_for_all(self) -> None:
        known = MemoryCredentialStore()
        known.add("alice", "everybody", "a-secret")
        site = self.site(settings=AuthSettings(realm="everybody"), credentials=known)
        assert (await self.challenge(site, HOME)).realm == "everybody"
        assert (await self.signed(site)).status == 404
        await site.client(ALICE, realms=("everybody",)).put_document("pres-rules", EMPTY, RULES)
        with pytest.raises(XCAPRefused):
            await site.client(ALICE).get_document("pres-rules")

    async def test_the_global_tree_is_for_users_of_every_domain(self) -> None:
        site = self.site()
        for realm, user in (("example.com", "alice"), ("example.org", "carol")):
            answer = await self.signed(site, CAPS, user=user, password=f"{user[0]}-secret", realm=realm)
            assert answer.status == 200, realm

    async def test_user_names_that_are_whole_identifiers(self) -> None:
        site = self.site()
        for name in ("alice@example.com", "sip:alice@EXAMPLE.com"):
            # Known by the HA1 of the user part.
            assert (await self.signed(site, user=name, hashed="alice")).status == 404
            assert (await self.signed(site, user=name)).status == 401
        assert (await self.signed(site, user="alice@example.org", hashed="alice")).status == 401

        class Whole(MemoryCredentialStore):
            def lookup(self, user: str, realm: str) -> Any:
                return succeed(super().lookup(user, realm)) if "@" in user else super().lookup(user, realm)

        known = Whole()
        known.add("alice@example.com", "example.com", "a-secret")
        site = self.site(credentials=known)
        assert (await self.signed(site, user="alice@example.com")).status == 404
        # A user of another server may be called like one of ours; only the realm counts.
        known.add("alice@example.org", "example.com", "a-secret")
        answer = await self.signed(site, user="alice@example.org")
        assert answer.status == 403

    async def test_the_digest_uri(self) -> None:
        site = self.site()
        for uri in (HOME.replace("sip:", "sip%3a"), f"http://127.0.0.1{HOME}", f"https://proxy.example{HOME}"):
            assert (await self.signed(site, uri=uri)).status == 404, uri
        for uri in (HOME + "x", "/", "http://["):
            assert (await self.signed(site, uri=uri)).status == 400, uri

    async def test_replays_and_nonces(self) -> None:
        site = self.site()
        challenge = await self.challenge(site, HOME)
        assert (await self.signed(site, challenge=challenge)).status == 404
        again = await self.signed(site, challenge=challenge)
        assert again.status == 401 and "stale=true" in again.header("www-authenticate")
        assert (await self.signed(site, challenge=challenge, nc=2)).status == 404
        forged = Challenge.digest("example.com", "0" * 60)
        assert (await self.signed(site, challenge=forged)).status == 401
        site.clock.advance(10_000)
        assert (await self.signed(site, challenge=challenge, nc=3)).status == 401

    async def test_who_guesses_is_banned(self) -> None:
        site = self.site(settings=AuthSettings(ban_failures=3))
        for number in range(3):
            status = (await self.signed(site, password=str(number))).status
        assert status == 403
        assert (await self.signed(site, challenge=await self.challenge(site, HOME))).status == 403
        assert [ban.user for ban in site.authenticator.bans.list()] == ["alice"]
        # By a whole identifier it is the same user.
        challenge = await self.challenge(site, HOME)
        assert (await self.signed(site, challenge=challenge, user="alice@example.com", hashed="alice")).status == 403

    async def test_credentials_that_cannot_be_read(self) -> None:
        site = self.site()
        for text in ("Digest", "Basic YWxpY2U6YS1zZWNyZXQ=", "Digest x=", "Digest " + "x" * 5000, "\x01", ""):
            answer = await site.send("GET", HOME, headers={"Authorization": text})
            assert answer.status == 401, text

    async def test_a_name_in_another_form(self) -> None:
        site = self.site()
        challenge = await self.challenge(site, HOME)
        response = digest_response(
            ha1_of("alice", challenge.realm, "a-secret"), "GET", HOME, challenge.nonce, qop="auth", nc="00000001",
            cnonce="c",
        )  # fmt: skip
        text = (
            f'Digest username*=UTF-8\'\'al%69ce, realm="{challenge.realm}", nonce="{challenge.nonce}", '
            f'uri="{HOME}", response="{response}", qop=auth, nc=00000001, cnonce="c"'
        )
        assert (await site.send("GET", HOME, headers={"Authorization": text})).status == 404
        # A hash of the name is not asked for, and not looked up.
        assert (await self.signed(site, userhash="true")).status == 401

    async def test_what_a_client_says_of_itself_is_no_proof(self) -> None:
        site = self.site()
        for name in ("X-3GPP-Asserted-Identity", "X-3GPP-Intended-Identity", "X-XCAP-Preferred-Identity"):
            await self.challenge(site, HOME, {name: f'"{ALICE}"'})

    async def test_a_store_that_does_not_work(self) -> None:
        class Broken(MemoryCredentialStore):
            def lookup(self, user: str, realm: str) -> Any:
                return fail(StoreError("oh"))

        site = self.site(credentials=Broken())
        assert (await site.send("GET", HOME)).status == 500

    async def test_a_store_that_answers_later(self) -> None:
        class Slow(MemoryCredentialStore):
            def lookup(self, user: str, realm: str) -> Any:
                return succeed(super().lookup(user, realm))

        known = Slow()
        known.add("alice", "example.com", "a-secret")
        site = self.site(credentials=known)
        assert (await self.signed(site)).status == 404

    async def test_in_a_trusted_network_every_claim_is_believed(self) -> None:
        site = self.site(settings=AuthSettings(required=False))
        client = XCAPClient(site.root, ALICE, request=functools.partial(treq.request, persistent=False))
        await client.put_document("pres-rules", EMPTY, RULES)
        assert (await client.capabilities()).auids


class IdentityTests(SiteCase):
    async def test_an_identity_may_be_known_by_other_means(self) -> None:
        def by_token(request: Any) -> str | None:
            return ALICE if request.getHeader("authorization") == "Bearer right" else None

        site = self.site(identity_of=by_token)
        assert (await site.send("GET", HOME, headers={"Authorization": "Bearer right"})).status == 404
        assert (await site.send("GET", HOME, headers={"Authorization": "Bearer wrong"})).status == 401

    async def test_an_identity_may_be_waited_for(self) -> None:
        site = self.site(identity_of=lambda request: succeed(CAROL))
        assert (await site.send("GET", HOME)).status == 403

    def test_the_hook_may_be_overridden(self) -> None:
        class Mine(XCAPResource):
            def identity_of(self, request: Any) -> str:
                return ALICE

        site = self.site()
        mine = Mine(site.store, site.usages, site.resource.digest, root=site.root, now=site.clock.seconds)
        request: Any = None
        assert mine.identity_of(request) == ALICE
        assert site.resource.identity_of(request) is None


@pytest.mark.parametrize(
    ("uri", "target", "same"),
    [
        ("/a%20b", "/a%20b", True),
        ("/%61", "/a", True),
        ("http://h/a?b=c", "/a?b=c", True),
        ("/a?b", "/a", False),
        ("http://[", "/a", False),
        ("\udcff", "/a", False),
    ],
)
def test_targets_are_compared_by_what_they_mean(uri: str, target: str, same: bool) -> None:
    assert same_target(uri, target) is same


def test_without_a_credential_store_names_are_user_parts() -> None:
    known = MemoryCredentialStore([Credential("alice", "example.com", {"MD5": ha1_of("alice", "example.com", "s")})])
    authenticator = Authenticator.build(known, AuthSettings(), lambda: 0.0)
    digest = HTTPDigest(authenticator, ["EXAMPLE.com"])

    def challenged() -> str:
        made: list[Any] = []
        Deferred.fromCoroutine(digest.check("GET", "/a", (), "192.0.2.1", "")).addCallback(made.append)
        return Challenge.parse(made[0].headers[0][1]).nonce

    for name, identity in (("alice", ALICE), ("alice@example.com", ALICE)):
        nonce = challenged()
        response = digest_response(known.lookup("alice", "example.com").ha1["MD5"], "GET", "/a", nonce)  # type: ignore[union-attr]
        text = f'Digest username="{name}", realm="example.com", nonce="{nonce}", uri="/a", response="{response}"'
        found: list[Any] = []
        Deferred.fromCoroutine(digest.check("GET", "/a", (text,), "192.0.2.1", ALICE)).addBoth(found.append)
        assert found == [identity]

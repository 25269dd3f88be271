"""The twistd commands of twisted_sip; nothing of it is imported until one of them runs."""

from twisted.application.service import ServiceMaker

sip_proxy = ServiceMaker(
    "SIP proxy",
    "twisted_sip.tap.sip_proxy",
    "A SIP proxy and registrar: phones register with it and call through it.",
    "sip-proxy",
)
sip_registrar = ServiceMaker(
    "SIP registrar",
    "twisted_sip.tap.sip_registrar",
    "A SIP registrar alone: it keeps where users are and forwards nothing.",
    "sip-registrar",
)
sip_redirect = ServiceMaker(
    "SIP redirect server",
    "twisted_sip.tap.sip_redirect",
    "A SIP redirect server and registrar: it tells callers where to find those they call.",
    "sip-redirect",
)
sip_b2bua = ServiceMaker(
    "SIP back-to-back user agent",
    "twisted_sip.tap.sip_b2bua",
    "A SIP back-to-back user agent: each side of a call sees this server alone.",
    "sip-b2bua",
)
sip_presence = ServiceMaker(
    "SIP presence",
    "twisted_sip.tap.sip_presence",
    "A presence and messaging server: clients register, publish, watch each other and chat.",
    "sip-presence",
)
sip_ua = ServiceMaker(
    "SIP user agent",
    "twisted_sip.tap.sip_ua",
    "A telephone that answers by itself: echo, announcement, answering machine, menu of keys.",
    "sip-ua",
)

"""The settings of the transports, gathered from the sections of the configuration that they come from."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from twisted_sip.tap.configuration import Configuration
from twisted_sip.transport.descriptors import parse_descriptor
from twisted_sip.transport.self_signed import self_signed_certificate
from twisted_sip.transport.settings import CertificateFiles, TLSSettings, TransportSettings


def transport_settings(
    configuration: Configuration, names: Iterable[str], also: Iterable[str] = ()
) -> TransportSettings:
    """Return the settings of the transports; a certificate is made where TLS is wanted and none is given.

    :param names: what a certificate made now is for.
    :param also: where else the server listens, as descriptors.
    :raises ConfigurationError: it cannot be made.
    """
    limits = configuration.limits
    return attrs.evolve(
        configuration.transport,
        advertise=configuration.server.advertise,
        connections=limits.max_connections,
        connections_per_source=limits.max_connections_per_source,
        tls=_tls(configuration, names, also),
    )


def _tls(configuration: Configuration, names: Iterable[str], also: Iterable[str]) -> TLSSettings:
    section = configuration.tls
    certificates: tuple[CertificateFiles, ...] = ()
    if section.certificate is not None and section.private_key is not None:
        certificates = (CertificateFiles(private_key=str(section.private_key), certificate=str(section.certificate)),)
    elif _needs_certificate([*configuration.server.listen, *also]):
        server = configuration.server
        wanted = [*names, server.advertise] if server.advertise else [*names]
        certificates = (self_signed_certificate(server.state_dir, wanted),)
    return TLSSettings(
        certificates=certificates,
        trust_roots="" if section.ca is None else str(section.ca),
        verify_peers=section.verify,
        client_certificates=section.client_certificates,
        client_roots="" if section.client_ca is None else str(section.client_ca),
        clients=section.client,
        alias=section.reuse_connections,
    )


def _needs_certificate(listen: Iterable[str]) -> bool:
    """Tell whether something listens for TLS without a certificate of its own."""
    descriptors = [parse_descriptor(text) for text in listen]
    return any(descriptor.kind.secure and descriptor.certificate is None for descriptor in descriptors)

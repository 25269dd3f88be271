"""``twistd sip-ua``."""

from __future__ import annotations

from twisted.application.service import IService

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.making import LoggedService
from twisted_sip.tap.startup import report_start_failures, stop_with
from twisted_sip.tap.ua_composition import UAServer
from twisted_sip.tap.ua_options import UAOptions


class Options(UAOptions):
    """The options of the user agent."""


def makeService(options: Options) -> IService:
    """Return the service; a configuration that cannot be used ends the process with its faults."""
    from twisted.internet import reactor

    report_start_failures()
    try:
        server = UAServer(reactor, options.configuration())
        server.reread = options.configuration
        service: IService = LoggedService(server, options)
        return service
    except ConfigurationError as error:
        stop_with(error.problems)

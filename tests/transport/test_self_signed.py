"""The certificate made on first start."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from twisted_sip.errors import ConfigurationError
from twisted_sip.transport.certificates import load_key_pair
from twisted_sip.transport.identity import sip_identities
from twisted_sip.transport.self_signed import LIFETIME, self_signed_certificate

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NAMES = ["Example.com", "192.0.2.1", "[2001:db8::1]", "bücher.example", "example.com"]


def test_made_once(tmp_path):
    files = self_signed_certificate(tmp_path / "state", NAMES, lambda: NOW)
    assert stat.S_IMODE(Path(files.private_key).stat().st_mode) == 0o600
    pair = load_key_pair(files, NOW)
    assert pair.identities == ("example.com", "xn--bcher-kva.example", "192.0.2.1", "2001:db8::1")
    names = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["example.com", "xn--bcher-kva.example"]
    before = Path(files.certificate).read_bytes()
    assert self_signed_certificate(tmp_path / "state", NAMES, lambda: NOW) == files
    assert Path(files.certificate).read_bytes() == before
    assert len(list((tmp_path / "state").iterdir())) == 2


def test_made_anew_when_it_has_expired(tmp_path):
    files = self_signed_certificate(tmp_path, ["example.com"], lambda: NOW)
    before = Path(files.certificate).read_bytes()
    later = NOW + LIFETIME + timedelta(days=1)
    self_signed_certificate(tmp_path, ["example.org"], lambda: later)
    assert Path(files.certificate).read_bytes() != before
    assert sip_identities(load_key_pair(files, later).certificate) == ("example.org",)


def test_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write"):
        self_signed_certificate(tmp_path / "file" / "state", ["example.com"], lambda: NOW)

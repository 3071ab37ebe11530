# SPDX-License-Identifier: Apache-2.0
"""Certificates of the tests, made by the openssl command: an authority, and what it signs."""
from __future__ import annotations

import dataclasses
import pathlib
import subprocess
from typing import Optional

from . import process


@dataclasses.dataclass(frozen=True)
class Certificate:
    """cert and key as PEM files; ca: the authority that a peer must believe for this one."""
    ca: pathlib.Path
    cert: pathlib.Path
    key: pathlib.Path


def _openssl(*words: object) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True,
                          env=process.clean_environment())
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(map(str, words))}: {done.stderr}")


class Authority:
    """A certificate authority in a folder.

    authority = Authority(folder); agent = authority.issue("agent.aipx"); server = authority.issue("collector",
    alt="IP:127.0.0.1,DNS:localhost"); authority.cert is what its peers believe.
    """

    def __init__(self, folder: pathlib.Path, name: str = "lifeboat test authority"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / "ca.crt", self.folder / "ca.key"
        self._count = 0
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                 "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                 "-keyout", self.key, "-out", self.cert)

    def issue(self, name: str, *, alt: Optional[str] = None, days: int = 30,
              stem: Optional[str] = None) -> Certificate:
        """A certificate for that common name; days below 0: it has expired. The same stem: in its place."""
        self._count += 1
        stem = stem or f"{self._count}-{name}"
        cert, key = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        request, extensions = self.folder / f"{stem}.csr", self.folder / f"{stem}.ext"
        extensions.write_text("basicConstraints=CA:FALSE\n" + (f"subjectAltName={alt}\n" if alt else ""))
        new_cert, new_key = cert.with_suffix(".crt.new"), key.with_suffix(".key.new")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", f"/CN={name}", "-keyout", new_key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-set_serial",
                 1000 + self._count, "-days", days, "-extfile", extensions, "-out", new_cert)
        new_key.rename(key)
        new_cert.rename(cert)
        return Certificate(self.cert, cert, key)

"""Certificates that other people's tools make: OpenSSL's command line, with any fault wanted."""

import subprocess
from pathlib import Path

#: How a key in PKCS#8 form begins; in two pieces, so that no file here looks like one.
PKCS8 = b"-----BEGIN " + b"PRIVATE KEY-----"

PROFILE = Path(__file__).parents[2] / "certs" / "openssl.cnf"


def openssl(*arguments: str | Path, folder: Path, stdin: bytes = b"") -> str:
    """What ``openssl`` printed; its own words in the failure."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        cwd=folder,
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Pki:
    """A root, an intermediate CA and whatever they sign, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.root = self.self_signed("root", "ca_with_ca_below")
        self.intermediate = self.sign("intermediate", by="root", extensions="ca")

    def path(self, name: str) -> Path:
        return self.folder / name

    def self_signed(self, name: str, extensions: str, *more: str) -> Path:
        """``name.crt`` and ``name.key``."""
        openssl(
            *("req", "-x509", "-config", str(self._config()), "-extensions", extensions),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"),
            *("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}"),
            *(more or ("-days", "3650")),
            folder=self.folder,
        )
        return self.path(f"{name}.crt")

    def sign(
        self,
        name: str,
        *more: str,
        by: str = "intermediate",
        extensions: str = "server",
        request: Path | None = None,
        key: tuple[str, ...] = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    ) -> Path:
        """``name.crt``, signed by ``by``; with ``name.key`` where no request is given."""
        if request is None:
            request = self.path(f"{name}.csr")
            openssl(
                *("req", "-new", "-newkey", *key, "-noenc", "-config", str(self._config())),
                *("-keyout", f"{name}.key", "-out", str(request), "-subj", f"/CN={name}"),
                *("-addext", "subjectAltName=DNS:deploy.example.org"),
                folder=self.folder,
            )
        openssl(
            *("x509", "-req", "-in", str(request), "-CA", f"{by}.crt", "-CAkey", f"{by}.key"),
            *("-CAcreateserial", "-copy_extensions", "copy", "-extfile", str(self._config())),
            *("-extensions", extensions, "-out", f"{name}.crt", *(more or ("-days", "365"))),
            folder=self.folder,
        )
        return self.path(f"{name}.crt")

    def joined(self, name: str, *files: Path) -> Path:
        """One file with the contents of several, in this order."""
        self.path(name).write_bytes(b"".join(file.read_bytes() for file in files))
        return self.path(name)

    def _config(self) -> Path:
        config = self.path("openssl.cnf")
        if not config.exists():
            config.write_text(
                PROFILE.read_text()
                + "\n[ca_with_ca_below]\nbasicConstraints = critical, CA:true\n"
                + "keyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n"
                + "authorityKeyIdentifier = keyid:always\n"
                + "\n[client]\nbasicConstraints = critical, CA:false\n"
                + "keyUsage = critical, digitalSignature\nextendedKeyUsage = clientAuth\n"
                + "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid:always\n"
                + "\n[no_identifiers]\nbasicConstraints = critical, CA:false\n"
                + "subjectKeyIdentifier = none\nauthorityKeyIdentifier = none\n"
                + "\n[bare]\nbasicConstraints = CA:true\n"
            )
        return config

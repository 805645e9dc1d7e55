"""A TLS client and a TLS server that talk in memory: what a verifier says, without a socket."""

import ssl
from pathlib import Path


def handshake(
    server_file: Path,
    ca_file: Path,
    name: str,
    *,
    flags: ssl.VerifyFlags | int = 0,
    key_file: Path | None = None,
) -> None:
    """Return when a client that trusts only ``ca_file`` accepts the server as ``name``."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(server_file, key_file)
    client = ssl.create_default_context(cafile=str(ca_file))
    client.verify_flags |= flags
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in (*ends, *ends, *ends):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert ends[0].version() is not None

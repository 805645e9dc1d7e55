"""OCS's server as far as the recordings go: its replies, its info file, its fragments, its silence.

Only the address inside the replies is changed, because nobody can listen on the recorded one.
"""

import re
import zlib
from pathlib import Path

from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, parse_request
from tests.support.vectors import Exchange
from tests.support.webfolder import PlainWebServer

PACKAGE = "1800000001"
_FILES = {
    "info": ("agent-07-get-info-launch", True),
    f"{PACKAGE}-1": ("agent-08-get-fragment-1", False),
    f"{PACKAGE}-2": ("agent-09-get-fragment-2", False),
    f"{PACKAGE}-3": ("agent-10-get-fragment-3", False),
}
_RECORDED_ADDRESS = re.compile(rb"127\.0\.0\.1:8[15]90")


class RecordedOcsServer(PlainWebServer):
    """Answers as OCS's server did, on one port with TLS.

    Attributes:
        prolog: the reply's XML; an exchange's, or what a test puts there.
        reports: the results that agents sent, in order.
    """

    def __init__(self, folder: Path, certificate: Path) -> None:
        super().__init__(folder, certificate=certificate)
        self.prolog = Exchange("agent-03-prolog-one-package").response.xml
        self.reports: list[DownloadReport] = []
        package = folder / "download" / PACKAGE
        package.mkdir(parents=True)
        for name, (exchange, is_xml) in _FILES.items():
            half = Exchange(exchange).response
            data = half.xml if is_xml else half.body
            # The recorded fragments came over HTTP; here the one port speaks TLS.
            package.joinpath(name).write_bytes(data.replace(b'PROTO="HTTP"', b'PROTO="HTTPS"'))

    def answer_post(self, path: str, body: bytes) -> bytes | None:
        """What OCS's server answered to a message of that kind."""
        if path != "/ocsinventory":
            return None
        match parse_request(zlib.decompress(body)):
            case Prolog():
                here = self.address.encode()
                return zlib.compress(_RECORDED_ADDRESS.sub(here, self.prolog))
            case Inventory():
                return Exchange("agent-05-inventory-nosoftware").response.body
            case DownloadReport() as report:
                self.reports.append(report)
        return b""

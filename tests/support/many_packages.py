"""A server in this process that offers many packages at once, none of which can start yet."""

import functools
import zlib
from pathlib import Path

from deploy_agent.wire.info import InfoFile, write_info
from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, parse_request
from deploy_agent.wire.replies import (
    DownloadSettings,
    InventoryReply,
    PackageOffer,
    PrologReply,
    TrancheOption,
)
from deploy_agent.wire.terms import Action
from tests.support.webfolder import PlainWebServer, _Handler

LATER = "2099/01/01 00:00"


class _KeepsOpen(_Handler):
    """One handshake for all info files instead of one for each."""

    protocol_version = "HTTP/1.1"
    # Head and body are two writes: the second would wait 40 ms for somebody to confirm the first.
    disable_nagle_algorithm = True


class ManyPackages(PlainWebServer):
    """Offers ``count`` packages without files, scheduled for a day that nobody here sees.

    Attributes:
        contacts: how often the agent came.
    """

    def __init__(self, folder: Path, certificate: Path, *, count: int) -> None:
        super().__init__(folder, certificate=certificate)
        handler = functools.partial(_KeepsOpen, self, directory=str(folder))
        self._server.RequestHandlerClass = handler
        self.contacts = 0
        self.ids = [str(1_800_000_001 + number) for number in range(count)]
        for package_id in self.ids:
            place = folder / "download" / package_id
            place.mkdir(parents=True)
            info = InfoFile(package_id, priority=5, action=Action.EXECUTE, target="echo later")
            (place / "info").write_bytes(write_info(info))

    def answer_post(self, path: str, body: bytes) -> bytes | None:
        if path != "/ocsinventory":  # events, which this server does not take
            return None
        match parse_request(zlib.decompress(body)):
            case Prolog():
                self.contacts += 1
                return zlib.compress(self._prolog_reply().to_bytes())
            case Inventory():
                return zlib.compress(InventoryReply().to_bytes())
            case DownloadReport() as report:
                raise AssertionError(f"nothing could end, and {report} came")
        return None

    def _prolog_reply(self) -> PrologReply:
        location = f"{self.address}/download"
        return PrologReply(
            send_inventory=False,
            settings=DownloadSettings(cycle_latency_s=0, frag_latency_s=0),
            offers=tuple(
                PackageOffer(each, location, location, attempt=7, revision=1, schedule=LATER)
                for each in self.ids
            ),
            tranche=TrancheOption(contact_minutes=60),
        )
